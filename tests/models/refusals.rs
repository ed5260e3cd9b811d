//! What of a checkpoint is not understood is an error that names it, and what changes nothing is taken.

use std::path::Path;

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView, serialize};
use serde_json::{Value, json};
use taps::base::Base;
use taps::graph::{Graph, Host};
use taps::kernels::Workspace;
use taps::models::{InputSpec, Model, Options, Pooling};
use taps::runtime::{Network, Task};

use crate::common;

/// A golden's base with other keys in its files and more tensors; null takes a key away.
struct Altered(tempfile::TempDir);

impl Altered {
    fn of(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        copy(&common::folder(name), folder.path());
        Self(folder)
    }

    fn set(self, file: &str, keys: &Value) -> Self {
        let path = self.0.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut json: Value =
            std::fs::read(&path).map_or_else(|_| json!({}), |bytes| serde_json::from_slice(&bytes).unwrap());
        match (json.as_object_mut(), keys.as_object()) {
            (Some(json), Some(keys)) => {
                for (key, value) in keys {
                    if value.is_null() {
                        json.remove(key)
                    } else {
                        json.insert(key.clone(), value.clone())
                    };
                }
            }
            _ => json = keys.clone(),
        }
        std::fs::write(path, json.to_string()).unwrap();
        self
    }

    fn tensor(self, name: &str, shape: &[usize]) -> Self {
        let path = self.0.path().join("model.safetensors");
        let bytes = std::fs::read(&path).unwrap();
        let more = vec![0; 4 * shape.iter().product::<usize>()];
        let mut all = SafeTensors::deserialize(&bytes).unwrap().tensors();
        all.push((name.to_owned(), TensorView::new(Dtype::F32, shape.to_vec(), &more).unwrap()));
        std::fs::write(path, serialize(all, None).unwrap()).unwrap();
        self
    }

    fn open_with(&self, options: &Options) -> Result<Model, String> {
        let base = Base::open(self.0.path()).map_err(|error| error.to_string())?;
        Model::open_with(&base, options).map_err(|error| error.to_string())
    }

    fn open(&self) -> Result<Model, String> {
        self.open_with(&Options::default())
    }

    /// The message says all of these.
    fn is_refused(&self, what: &str, said: &[&str]) {
        let message = self.open().err().unwrap_or_else(|| panic!("{what} is taken"));
        assert!(said.iter().all(|said| message.contains(said)), "{what}: {message}");
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn a_tensor_of_a_part_that_is_not_implemented_is_named() {
    let of_timm = [
        ("blocks.0.ls1.gamma", &[16][..]),
        ("blocks.1.attn.q_norm.weight", &[8]),
        ("blocks.1.attn.norm.weight", &[16]),
        ("reg_token", &[1, 4, 16]),
        ("norm_pre.weight", &[16]),
        ("patch_embed.norm.weight", &[16]),
        ("attn_pool.latent", &[1, 1, 16]),
        ("head_dist.weight", &[5, 16]),
        ("blocks.3.norm1.weight", &[16]),
    ];
    let of_others = [
        ("vit", "vit.encoder.layer.0.layer_scale1.lambda1", &[32][..]),
        ("bert", "encoder.layer.0.crossattention.self.query.weight", &[32, 32]),
        ("bert", "encoder.layer.3.output.dense.weight", &[32, 64]),
        ("bert", "encoder.layer.0.attention.self.distance_embedding.weight", &[79, 8]),
        ("resnet_basic", "layer1.0.se.fc1.weight", &[4, 8, 1, 1]),
        ("resnet_basic", "layer5.0.conv1.weight", &[8, 8, 3, 3]),
        ("resnet_transformers", "resnet.encoder.stages.0.layers.0.attention.weight", &[8]),
        ("densenet", "features.denseblock9.denselayer1.norm1.weight", &[8]),
        ("mobilenet_v2", "features.19.0.weight", &[8, 8, 1, 1]),
        ("mobilenet_timm", "blocks.7.0.conv_pw.weight", &[8, 8, 1, 1]),
    ];
    let all = of_timm.into_iter().map(|(name, shape)| ("vit_timm", name, shape)).chain(of_others);
    for (base, name, shape) in all {
        Altered::of(base).tensor(name, shape).is_refused(name, &[name]);
    }
}

#[test]
fn tensors_that_no_classifier_uses_are_taken() {
    for (base, name, shape) in [
        ("bert", "embeddings.position_ids", &[1, 40][..]),
        ("bert", "pooler.dense.weight", &[32, 32]),
        ("bert", "cls.predictions.bias", &[100]),
        ("bert_classifier", "bert.embeddings.position_ids", &[1, 24]),
        ("vit", "vit.pooler.dense.bias", &[32]),
        ("vit", "vit.embeddings.mask_token", &[1, 1, 32]),
        ("vit_timm", "mask_token", &[1, 1, 16]),
        ("resnet_basic", "layer1.0.bn7.num_batches_tracked", &[]),
    ] {
        let opened = Altered::of(base).tensor(name, shape).open();
        assert!(opened.is_ok(), "{name}: {:?}", opened.err());
    }
}

#[test]
fn a_key_that_means_another_network_is_named() {
    for (base, key, value) in [
        ("bert", "hidden_act", json!("relu")),
        ("bert", "hidden_act", json!("gelu_new")),
        ("bert", "position_embedding_type", json!("relative_key")),
        ("bert", "is_decoder", json!(true)),
        ("bert", "pruned_heads", json!({"0": [1]})),
        ("bert", "num_attention_heads", json!(5)),
        ("bert", "quantization_config", json!({"bits": 4})),
        ("bert", "auto_map", json!({"AutoModel": "remote.Code"})),
        ("vit", "hidden_act", json!("quick_gelu")),
        ("vit", "num_attention_heads", json!(null)),
        ("vit", "num_hidden_layers", json!(7)),
        ("vit", "qkv_bias", json!(false)),
        ("vit_timm", "global_pool", json!("map")),
        ("vit_timm", "model_args", json!({"num_heads": 3})),
        ("vit_timm", "model_args", json!({"num_heads": 2, "init_values": 1e-5})),
        ("vit_timm", "model_args", json!({"num_heads": 2, "reg_tokens": 4})),
        ("vit_timm", "model_args", json!({"num_heads": 2, "act_layer": "quick_gelu"})),
        ("resnet_basic", "avg_down", json!(true)),
        ("resnet_basic", "cardinality", json!(32)),
        ("resnet_basic", "output_stride", json!(16)),
        ("resnet_transformers", "hidden_act", json!("gelu")),
        ("resnet_transformers", "depths", json!([1, 1, 1, 1])),
        ("densenet", "aa_layer", json!("avg")),
        ("mobilenet_timm", "act_layer", json!("hard_swish")),
        ("mobilenet_timm", "model_args", json!({"pad_type": "valid"})),
    ] {
        let said = match value.as_object().and_then(|args| args.keys().next_back()) {
            Some(inner) if key == "model_args" && inner != "num_heads" => inner,
            Some(_) if key == "model_args" => "num_attention_heads",
            _ => key,
        };
        Altered::of(base).set("config.json", &json!({key: value})).is_refused(key, &["config.json", said]);
    }
}

#[test]
fn what_no_reference_reads_is_ignored() {
    for base in ["bert", "vit", "vit_timm", "resnet_basic", "densenet", "mobilenet_v2"] {
        let altered =
            Altered::of(base).set("config.json", &json!({"my_notes": ["x"], "layer_norm": "rms", "n_head": 3}));
        assert!(altered.open().is_ok(), "{base}");
    }
}

/// BERT's first checkpoints have the names of TensorFlow for the scale and shift of norms.
#[test]
fn old_names_of_norms_are_the_same_network() {
    let altered = Altered::of("bert");
    let path = altered.0.path().join("model.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    let old = |name: &str| match name.contains("LayerNorm") {
        true => name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"),
        false => name.to_owned(),
    };
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let renamed: Vec<_> = tensors.tensors().into_iter().map(|(name, view)| (old(&name), view)).collect();
    std::fs::write(&path, serialize(renamed, None).unwrap()).unwrap();
    let features = |folder: &Path| {
        let model = Model::open(&Base::open(folder).unwrap()).unwrap();
        let input = common::networks::input(&model, &[4, 7]);
        let (task, workspace) = (Task::of_base(&model), Workspace::new(1));
        model.features(&mut Graph::eval(Host::new(&task, &workspace)), &input).unwrap().value().to_vec()
    };
    assert_eq!(features(altered.0.path()), features(&common::folder("bert")));
}

/// A pooler and a head over it are of one network whatever class wrote them, and no head for another pooling is used.
#[test]
fn a_head_is_used_with_what_it_was_made_for() {
    for class in [json!(["MyBert"]), json!(["BertModel"]), json!(["BertForMaskedLM"]), json!([])] {
        let altered = Altered::of("bert_classifier").set("config.json", &json!({"architectures": class}));
        let model = altered.open().unwrap();
        assert_eq!(model.settings().get("pooling"), Some("pooler"), "{class}");
        assert!(model.notes().is_empty() && model.layout().layer(model.layout().head()).weight.tensor.is_some());
    }
    let pooling = json!({"pooling_mode_mean_tokens": true});
    let model = Altered::of("bert_classifier").set("1_Pooling/config.json", &pooling).open().unwrap();
    assert_eq!(model.settings().get("pooling"), Some("mean"));
    assert!(model.layout().layer(model.layout().head()).weight.tensor.is_some());
    assert!(model.notes()[0].contains("mean pooling"), "{:?}", model.notes());
}

#[test]
fn what_is_said_of_texts_elsewhere_counts() {
    let limit = |altered: &Altered| match altered.open().unwrap().input() {
        InputSpec::Tokens(texts) => texts.max_tokens,
        InputSpec::Images(_) => panic!("a bert reads texts"),
    };
    assert_eq!(limit(&Altered::of("bert").set("tokenizer_config.json", &json!({"model_max_length": 8}))), Some(8));
    assert_eq!(limit(&Altered::of("bert").set("tokenizer_config.json", &json!({"model_max_length": 1e30}))), None);
    for key in ["config_kwargs", "tokenizer_args", "processing_kwargs"] {
        let set = |value: Value| Altered::of("sentences").set("sentence_bert_config.json", &json!({key: value}));
        set(json!({"num_hidden_layers": 1})).is_refused(key, &["sentence_bert_config.json", key]);
        assert!(set(json!({})).open().is_ok(), "{key}");
    }
    let eps = Altered::of("resnet_transformers").set("config.json", &json!({"batch_norm_eps": 0.1}));
    assert_eq!(eps.open().unwrap().settings(), Altered::of("resnet_transformers").open().unwrap().settings());
}

#[test]
fn a_network_of_a_name_that_says_more_is_refused() {
    let named = |name: &str| json!({"architecture": name, "model_args": {"num_heads": 2, "img_size": 16}});
    let quick = Altered::of("vit_timm").set("config.json", &named("vit_base_patch32_clip_quickgelu_224"));
    quick.is_refused("quickgelu", &["activation"]);
    let deeper = Altered::of("resnet_basic").set("config.json", &json!({"architecture": "resnet152"}));
    deeper.is_refused("depth", &["resnet152", "layers"]);
}

#[test]
fn modules_that_are_not_implemented_are_named() {
    let module = |kind: &str, path: &str| json!({"idx": 0, "path": path, "type": format!("sentence_transformers.models.{kind}")});
    let modules = |list: &[Value]| Altered::of("sentences").set("modules.json", &Value::from(list));
    let (encoder, pooling) = (module("Transformer", ""), module("Pooling", "1_Pooling"));
    modules(&[encoder.clone(), pooling.clone(), module("Dense", "2_Dense")])
        .is_refused("Dense", &["modules.json", "Dense"]);
    modules(&[module("WordEmbeddings", ""), pooling.clone()]).is_refused("words", &["modules.json", "WordEmbeddings"]);
    modules(&[module("Transformer", "0_Transformer"), pooling.clone()]).is_refused("elsewhere", &["0_Transformer"]);
    modules(&[encoder.clone(), module("Pooling", "9_Pooling")]).is_refused("no file", &["9_Pooling"]);
    modules(std::slice::from_ref(&encoder)).is_refused("no pooling", &["modules.json", "Pooling"]);
    let taken = modules(&[encoder, pooling, module("Normalize", "2_Normalize")]);
    assert_eq!(pooling_of(&taken.open().unwrap()), Pooling::Max);
}

fn pooling_of(model: &Model) -> Pooling {
    match model {
        Model::Bert(bert) => bert.pooling(),
        _ => panic!("no encoder of texts"),
    }
}

#[test]
fn poolings_are_as_their_files_say() {
    let old = |flag: &str| {
        let flags = json!({"pooling_mode": null, "pooling_mode_mean_tokens": false, flag: true});
        Altered::of("sentences").set("1_Pooling/config.json", &flags)
    };
    for (flag, pooling) in [
        ("pooling_mode_cls_token", Pooling::Cls),
        ("pooling_mode_mean_tokens", Pooling::Mean),
        ("pooling_mode_max_tokens", Pooling::Max),
    ] {
        assert_eq!(pooling_of(&old(flag).open().unwrap()), pooling);
    }
    old("pooling_mode_weightedmean_tokens").is_refused("weighted", &["1_Pooling/config.json", "weightedmean"]);
    old("pooling_mode_lasttoken").is_refused("the last", &["1_Pooling/config.json", "lasttoken"]);
    let two = json!({"pooling_mode": ["mean", "max"]});
    Altered::of("sentences").set("1_Pooling/config.json", &two).is_refused("two", &["pooling_mode", "one of them"]);
    let without = json!({"include_prompt": false});
    Altered::of("sentences").set("1_Pooling/config.json", &without).is_refused("prompt", &["include_prompt"]);
    let cut = json!({"truncate_dim": 8});
    Altered::of("sentences").set("config_sentence_transformers.json", &cut).is_refused("fewer", &["truncate_dim"]);
    let unknown = json!({"default_prompt_name": "passage"});
    let unknown = Altered::of("sentences").set("config_sentence_transformers.json", &unknown);
    unknown.is_refused("a prompt that is not there", &["default_prompt_name", "passage"]);
    let colbert = json!({"query_expansion": {"strategy": "fixed"}});
    Altered::of("sentences").set("sentence_bert_config.json", &colbert).is_refused("colbert", &["query_expansion"]);
}

#[test]
fn a_head_for_something_else_is_left_out_and_said() {
    let left_out = |altered: Altered, options: &Options, said: &str| {
        let model = altered.open_with(options).unwrap();
        assert!(model.layout().labels().is_empty(), "{said}");
        assert!(model.notes().iter().any(|note| note.contains(said)), "{said}: {:?}", model.notes());
    };
    let mean = Options { pooling: Some(Pooling::Mean), ..Options::default() };
    left_out(Altered::of("bert_classifier"), &mean, "pooler");
    let set = |keys: Value| Altered::of("bert_classifier").set("config.json", &keys);
    left_out(set(json!({"problem_type": "multi_label_classification"})), &Options::default(), "multi_label");
    left_out(set(json!({"architectures": ["BertForTokenClassification"]})), &Options::default(), "TokenClassification");
    let whole = Altered::of("bert_classifier").open().unwrap();
    assert_eq!((pooling_of(&whole), whole.layout().labels().len()), (Pooling::Pooler, 3));
    assert!(whole.notes().is_empty());
    // A file of sentence-transformers goes before what the class says.
    let stated = Altered::of("bert_classifier").set("1_Pooling/config.json", &json!({"pooling_mode": "cls"}));
    assert_eq!(pooling_of(&stated.open().unwrap()), Pooling::Cls);
}

#[test]
fn processors_that_are_not_implemented_are_named() {
    for (key, value) in [
        ("do_pad", json!(true)),
        ("do_resize", json!(false)),
        ("resample", json!(9)),
        ("image_processor_type", json!("BeitImageProcessor")),
        ("size", json!({"longest_edge": 16})),
        ("size", json!({"shortest_edge": 16})),
        ("image_mean", json!([0.5, 0.5])),
        ("rescale_factor", json!(0)),
    ] {
        let altered =
            Altered::of("deit").set("preprocessor_config.json", &json!({"do_center_crop": false, key: value}));
        altered.is_refused(key, &["preprocessor_config.json", key]);
    }
    for (key, value) in [("crop_mode", json!("border")), ("crop_pct", json!(1.5)), ("interpolation", json!("random"))] {
        let mut cfg = json!({"input_size": [3, 16, 16], "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]});
        cfg[key] = value;
        Altered::of("vit_timm").set("config.json", &json!({"pretrained_cfg": cfg})).is_refused(key, &[key]);
    }
}

/// timm's DeiT are of ImageNet's mean and deviation wherever nothing states them, and other ViTs are not.
#[test]
fn a_name_alone_says_how_images_are_normalized() {
    for (name, mean) in [("deit_tiny_distilled_patch16_224", 0.485), ("deit_tiny_distilled_patch16_224.fb_in1k", 0.485)]
    {
        let altered = Altered::of("deit_distilled");
        std::fs::remove_file(altered.0.path().join("config.json")).unwrap();
        let architecture = Some(name.to_owned());
        let error = altered.open_with(&Options { architecture: architecture.clone(), ..Options::default() }).err();
        assert!(error.is_some_and(|error| error.contains("pos_embed")), "the size is 224 where nothing says another");
        let keys = json!({"img_size": 16, "num_heads": 2});
        let altered = altered.set("config.json", &keys);
        let InputSpec::Images(spec) =
            altered.open_with(&Options { architecture, ..Options::default() }).unwrap().input()
        else {
            panic!("it reads images")
        };
        assert_eq!(spec.mean[0], mean, "{name}");
    }
}

/// A layer's window is never wider than what is left of an image: that is found when the network is opened.
#[test]
fn an_image_too_small_for_a_window_is_refused() {
    let open = |name: &str, side| {
        let options = Options { image_size: Some([side; 2]), ..Options::default() };
        Model::open_with(&Base::open(common::folder(name)).unwrap(), &options).map(drop).map_err(|e| e.to_string())
    };
    for name in ["densenet", "densenet_bc"] {
        let error = open(name, 1).unwrap_err();
        assert!(error.contains("image_size") && error.contains("a layer's window is wider"), "{name}: {error}");
    }
    for name in ["resnet_basic", "resnet_cifar", "mobilenet_v2", "mobilenet_v2_same"] {
        assert_eq!(open(name, 1), Ok(()), "{name} pads");
    }
}
