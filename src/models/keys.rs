//! Which keys of a configuration a network's reference implementation reads, and what becomes of each here.

/// Keys of a network's configuration. Those that the reference does not read are in no list, and are ignored.
pub(super) struct Keys {
    /// Keys that are read.
    pub(super) read: &'static [&'static str],
    /// Keys with the only values that mean what this crate computes, as JSON has them but for the quotes of strings; a key
    /// that is missing is fine.
    pub(super) fixed: &'static [(&'static str, &'static [&'static str])],
    /// Keys that change nothing in evaluation.
    #[cfg_attr(not(test), expect(dead_code, reason = "a table for people, which the tests check"))]
    pub(super) harmless: &'static [&'static str],
}

/// What transformers reads of every configuration.
pub(super) const TRANSFORMERS: Keys = Keys {
    read: &["model_type", "architectures", "id2label", "problem_type"],
    fixed: &[
        ("quantization_config", &["null"]),
        ("per_layer_config", &["null"]),
        ("configuration_files", &["null", "[]"]),
        ("transformers_weights", &["null"]),
        ("auto_map", &["null", "{}"]),
    ],
    harmless: &[
        "_name_or_path",
        "name_or_path",
        "_commit_hash",
        "_auto_class",
        "_attn_implementation",
        "_experts_implementation",
        "attn_implementation",
        "bos_token_id",
        "chunk_size_feed_forward",
        "cross_attention_hidden_size",
        "dtype",
        "eos_token_id",
        "finetuning_task",
        "function_to_apply",
        "gradient_checkpointing",
        "initializer_range",
        "is_encoder_decoder",
        "label2id",
        // Read where id2label is missing, and then the head has so many outputs.
        "num_labels",
        "output_attentions",
        "output_hidden_states",
        "pad_token_id",
        "return_dict",
        "sentence_transformers",
        "task_specific_params",
        "tf_legacy_loss",
        "tie_encoder_decoder",
        "tie_word_embeddings",
        "tokenizer_class",
        "torch_dtype",
        "torchscript",
        "transformers_version",
        "use_bfloat16",
        "use_cache",
        "use_return_dict",
    ],
};

/// What timm reads of every configuration.
pub(super) const TIMM: Keys = Keys {
    read: &[
        "architecture",
        "model_args",
        "pretrained_cfg",
        "label_names",
        "input_size",
        "img_size",
        "in_chans",
        "mean",
        "std",
        "interpolation",
        "crop_pct",
        "crop_mode",
        "fixed_input_size",
    ],
    fixed: &[
        ("label_offset", &["null", "0"]),
        ("use_naflex", &["null", "false"]),
        ("features_only", &["null", "false"]),
    ],
    harmless: &[
        "classifier",
        "custom_load",
        "description",
        "device",
        "drop_path_rate",
        "drop_rate",
        "dtype",
        "file",
        "first_conv",
        "hf_hub_filename",
        "hf_hub_id",
        "label_descriptions",
        "license",
        "min_input_size",
        "notes",
        // The head has so many outputs.
        "num_classes",
        "num_features",
        "origin_url",
        "paper_ids",
        "paper_name",
        "pool_size",
        "source",
        "state_dict",
        "tag",
        "test_crop_pct",
        "test_input_size",
        "test_pool_size",
        "url",
    ],
};

/// What this crate reads of every network of images.
pub(super) const IMAGES: Keys = Keys { read: &["image_size", "image_mean", "image_std"], fixed: &[], harmless: &[] };

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::{bert, densenet, mobilenet_v2, resnet, vit};

    /// What `tests/golden/keys/make_keys.py` found in the source of the references: no key they read is in no list.
    #[test]
    fn every_key_that_a_reference_reads_is_in_one_list() {
        let text = include_str!("../../tests/golden/keys/keys.json");
        let references: serde_json::Value = serde_json::from_str(text).unwrap();
        let networks: [(&str, &[&Keys]); 9] = [
            ("transformers.BertConfig", &[&TRANSFORMERS, &bert::KEYS]),
            ("transformers.ViTConfig", &[&TRANSFORMERS, &IMAGES, &vit::KEYS]),
            ("transformers.DeiTConfig", &[&TRANSFORMERS, &IMAGES, &vit::KEYS]),
            ("transformers.ResNetConfig", &[&TRANSFORMERS, &IMAGES, &resnet::KEYS]),
            ("timm.PretrainedCfg", &[&TIMM]),
            ("timm.VisionTransformer", &[&TIMM, &vit::KEYS]),
            ("timm.ResNet", &[&TIMM, &resnet::KEYS]),
            ("timm.DenseNet", &[&TIMM, &densenet::KEYS]),
            ("timm.EfficientNet", &[&TIMM, &mobilenet_v2::KEYS]),
        ];
        assert_eq!(references.as_object().unwrap().len(), networks.len());
        for (reference, tables) in networks {
            let keys = references[reference].as_array().unwrap();
            assert!(keys.len() > 9, "{reference}");
            for key in keys {
                let key = key.as_str().unwrap();
                let times: usize = tables.iter().map(|table| table.lists(key)).sum();
                assert!(times > 0, "{reference} reads {key}, which no list has");
            }
        }
    }

    #[test]
    fn no_key_is_in_two_lists() {
        let all = [&bert::KEYS, &vit::KEYS, &resnet::KEYS, &densenet::KEYS, &mobilenet_v2::KEYS];
        for table in all {
            let keys = table.read.iter().chain(table.harmless).chain(table.fixed.iter().map(|(key, _)| key));
            for key in keys {
                let common = [&TRANSFORMERS, &TIMM, &IMAGES].iter().map(|table| table.lists(key)).sum::<usize>();
                assert_eq!((table.lists(key), common), (1, 0), "{key}");
            }
        }
    }

    impl Keys {
        fn lists(&self, key: &str) -> usize {
            let fixed = self.fixed.iter().filter(|(fixed, _)| *fixed == key).count();
            fixed + self.read.iter().chain(self.harmless).filter(|found| **found == key).count()
        }
    }
}
