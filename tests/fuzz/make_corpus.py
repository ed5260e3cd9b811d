"""Writes where fuzzing of files of JSON begins, from what is in tests/golden: corpus/{config,lora,tokenizer,index,ranking,records}.

Run from the repository root: python tests/fuzz/make_corpus.py
"""

import json
import re
from pathlib import Path

HERE = Path(__file__).resolve().parent
GOLDEN = HERE.parent / "golden"
# As in fuzz_targets/config.rs.
FILES = [
    "config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "modules.json",
    "1_Pooling/config.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
]
HEAD = {"criterion": "squared gradient", "architecture": "bert"}
RECORD = {
    "task": "t",
    "method": "taps",
    "parameters": 10,
    "adapter": "ab",
    "settings": {"max_active_layers": 3, "lambda": 0.1, "rate": 1e-3, "epochs": 2, "seed": 0, "select": "probe"},
    "active_layers": ["encoder.layer.0.output.dense"],
    "validation_accuracy": 0.5,
    "seconds": 1.5,
    "resumed_after": 3,
    "curves": {
        "head": [2.0, 1.0],
        "select": [1.0],
        "tune": [0.9, 0.5, 0.1],
        "epochs": [
            {
                "epoch": 1,
                "step": 2,
                "loss": 0.5,
                "validation_accuracy": 0.5,
                "validation_loss": 0.7,
                "active_layers": 2,
            }
        ],
    },
}


def write(target, name, data):
    folder = HERE / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data if isinstance(data, bytes) else compact(data))


def compact(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def main():
    networks = re.findall(r'^    "(\w+)",$', (HERE.parent / "common/networks.rs").read_text(), re.M)
    for number, network in enumerate(networks):
        for which, file in enumerate(FILES):
            path = GOLDEN / network / file
            if path.is_file():
                name = f"{network}_{which}"
                write("config", name, bytes([number, which]) + compact(json.loads(path.read_text())))
    cases = json.loads((GOLDEN / "processors/cases.json").read_text())
    for name, case in cases.items():
        for file, value in case["files"].items():
            if name.endswith(".small") and case["base"] in networks:
                head = bytes([networks.index(case["base"]), FILES.index(file)])
                write("config", f"processor_{name}", head + compact(value))

    lora = GOLDEN / "lora"
    write("lora", "config", b"\0" + compact(json.loads((lora / "adapter_config.json").read_text())))
    write("lora", "weights", b"\1" + (lora / "adapter_model.safetensors").read_bytes())

    config = GOLDEN / "sentences/tokenizer_config.json"
    write("tokenizer", "beside", b"\0" + compact(json.loads(config.read_text())))
    for file in ["known", "hostile"]:
        for line in (GOLDEN / f"tokenizers/{file}.jsonl").read_text().splitlines():
            name, text = json.loads(line)[:2]
            write("tokenizer", name, b"\1" + text.encode())

    shards = {"one": "a.safetensors", "two": "b.safetensors"}
    write("index", "both", {"metadata": {"total_size": 16}, "weight_map": shards})
    write("index", "one", {"weight_map": {"one": "a.safetensors"}})
    write("index", "missing", {"weight_map": shards | {"three": "c.safetensors"}})
    write("index", "outside", {"weight_map": {"one": "../a.safetensors"}})

    names = ["attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"]
    names += ["attention.output.LayerNorm", "intermediate.dense", "output.dense", "output.LayerNorm"]
    layers = [{"name": f"encoder.layer.{n}.{name}", "worth": 1.5} for n in range(3) for name in names]
    write("ranking", "all", HEAD | {"layers": layers})
    write("ranking", "dense", HEAD | {"layers": [layer for layer in layers if "LayerNorm" not in layer["name"]]})
    write("ranking", "none", HEAD | {"layers": []})

    write("records", "full", RECORD)
    write("records", "short", {key: RECORD[key] for key in ["task", "method", "parameters"]})
    write("records", "wrong", RECORD | {"validation_accuracy": 1.5})


if __name__ == "__main__":
    main()
