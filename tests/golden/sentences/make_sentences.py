"""A folder as sentence-transformers saves it: a tiny random BERT, a pooling of the highest values, a prompt put before
every text and a limit of tokens; see ../torch_texts.py.

texts.json                        texts, the last longer than the limit
golden.safetensors, computed in float64 and stored in float32:
    ids [texts, longest], lengths [texts], labels [texts]   as the folder's tokenizer gives them, prompt included
    embedding [texts, 16]         what SentenceTransformer.encode gives
    classifier.weight [3, 16], classifier.bias [3]
    logits, loss, grad.<name>     of the classifier over the embedding; every parameter's gradient
    cls.… and mean.…              the same with that pooling in place of the folder's
Run from the repository root: python tests/golden/sentences/make_sentences.py
"""

import copy
import json
import sys
import tempfile
from pathlib import Path

import torch
import torch.nn.functional as F
from sentence_transformers import SentenceTransformer
from sentence_transformers.models import Pooling, Transformer
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

sys.path.append(str(Path(__file__).resolve().parents[1]))

from torch_golden import folder_of
from torch_texts import SIZES, check_float32_of, inputs, losses, randomize, report, versions, write

HERE = folder_of(__file__)
WORDS = "search query : the a cat dog sat ran on mat in rain slowly and then far away home".split()
TEXTS = [
    "The cat sat on the mat",
    "A dog ran",
    "rain",
    "the dog and the cat ran slowly and then far far away in the rain",
]
PROMPT, LIMIT, CLASSES = "search query: ", 12, 3
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def tokenizer():
    tokens = SPECIAL + WORDS + [f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]
    made = Tokenizer(models.WordPiece({token: id for id, token in enumerate(tokens)}, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    ends = [("[SEP]", 3), ("[CLS]", 2)]
    made.post_processor = processors.BertProcessing(*ends)
    named = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return PreTrainedTokenizerFast(tokenizer_object=made, mask_token="[MASK]", **named)


def save():
    """The folder, by the libraries themselves, and the model again as they read it."""
    rng = torch.Generator().manual_seed(13)
    model = BertModel(BertConfig(**SIZES, architectures=["BertModel"]), add_pooling_layer=False)
    randomize(model, rng)
    with tempfile.TemporaryDirectory() as encoder, tempfile.TemporaryDirectory() as whole:
        model.save_pretrained(encoder)
        tokenizer().save_pretrained(encoder)
        # Without a pooler in the file transformers would make one up, which nothing here reads.
        module = Transformer(encoder, max_seq_length=LIMIT)
        pooling = Pooling(SIZES["hidden_size"], pooling_mode="max")
        SentenceTransformer(
            modules=[module, pooling],
            prompts={"query": PROMPT, "document": ""},
            default_prompt_name="query",
            device="cpu",
        ).save(whole, create_model_card=False)
        for path in Path(whole).rglob("*"):
            if path.is_file() and path.suffix == ".json":
                target = HERE / path.relative_to(whole)
                target.parent.mkdir(exist_ok=True)
                # How torch was built is of no interest.
                target.write_text(path.read_text().replace(torch.__version__, torch.__version__.split("+")[0]) + "\n")
    weights = {name: p.detach() for name, p in model.named_parameters()}
    write(HERE / "model.safetensors", weights, {"format": "pt"} | versions("transformers"))
    return SentenceTransformer(str(HERE), device="cpu", model_kwargs={"attn_implementation": "eager"}).eval(), rng


def pooled(hidden, mask, pooling):
    kept = mask[..., None].bool()
    match pooling:
        case "max":
            return hidden.masked_fill(~kept, -1e9).max(1).values
        case "cls":
            return hidden[:, 0]
        case "mean":
            return (hidden * kept).sum(1) / kept.sum(1)


def passes(model, features, labels, head):
    found = {}
    parameters = [(k, p) for k, p in model.named_parameters() if "pooler" not in k] + list(head.items())
    for prefix, pooling in [("", "max"), ("cls.", "cls"), ("mean.", "mean")]:
        hidden = model(**features).last_hidden_state
        embedding = pooled(hidden, features["attention_mask"], pooling)
        logits = F.linear(embedding, head["classifier.weight"], head["classifier.bias"])
        found[f"{prefix}embedding"] = embedding.detach().float()
        found |= losses(logits, labels, parameters, prefix)
    return found


def main():
    torch.set_num_threads(1)
    whole, rng = save()
    embeddings = torch.tensor(whole.encode(TEXTS, batch_size=len(TEXTS)))
    features = whole.tokenize([PROMPT + text for text in TEXTS])
    features = {key: features[key] for key in ("input_ids", "attention_mask")}
    assert features["input_ids"].shape[1] == LIMIT, "the last text is cut"
    labels = torch.randint(0, CLASSES, (len(TEXTS),), generator=rng)
    width = SIZES["hidden_size"]
    head = {"classifier.weight": torch.randn(CLASSES, width, generator=rng) * 0.2}
    head["classifier.bias"] = torch.randn(CLASSES, generator=rng) * 0.2
    model = whole[0].auto_model
    exact = {k: v.double().requires_grad_() for k, v in head.items()}
    found = passes(copy.deepcopy(model).double(), features, labels, exact)
    assert torch.allclose(found["embedding"], embeddings, atol=1e-5), "the library gives something else"
    head = {k: v.requires_grad_() for k, v in head.items()}
    check_float32_of(passes(model, features, labels, head), found)
    lengths = features["attention_mask"].sum(1)
    golden = inputs(features["input_ids"], lengths, labels) | {k: v.detach() for k, v in head.items()} | found
    write(HERE / "golden.safetensors", golden, versions("transformers", "sentence-transformers"))
    (HERE / "texts.json").write_text(json.dumps(TEXTS, indent=2) + "\n")
    report(HERE, found)


if __name__ == "__main__":
    main()
