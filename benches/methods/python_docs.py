"""Makes a text task of what every Python has: which module of the standard library a docstring is from.

    python3 benches/methods/python_docs.py DIR

writes DIR/train.csv and DIR/test.csv with the columns text and label: the first paragraphs of docstrings of functions,
classes and methods, at most 240 characters, from the modules with the most of them. The same text is never in both, and
a text that names its module is left out. The standard library is under the PSF licence; its files are read where they
are, and nothing is downloaded. Figures belong to a version of Python, which is printed.
"""
import ast
import csv
import hashlib
import re
import sys
import sysconfig
from pathlib import Path

MODULES, TRAIN, TEST = 24, 60, 30
LEFT_OUT = {"test", "idlelib", "lib2to3", "site-packages", "dist-packages", "turtledemo", "ensurepip", "pydoc_data"}


def docstrings(path):
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (SyntaxError, UnicodeDecodeError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            first = (ast.get_docstring(node) or "").split("\n\n")[0]
            yield re.sub(r"\s+", " ", first).strip()[:240]


def main():
    out = Path(sys.argv[1])
    library = Path(sysconfig.get_path("stdlib"))
    found = {}
    for path in sorted(library.rglob("*.py")):
        module = path.relative_to(library).parts[0].removesuffix(".py")
        if module in LEFT_OUT or module.startswith("_"):
            continue
        for text in docstrings(path):
            if len(text) >= 30 and module not in text.lower():
                found.setdefault(text, set()).add(module)
    texts = {}
    for text, modules in found.items():
        if len(modules) == 1:
            texts.setdefault(modules.pop(), []).append(text)
    largest = sorted(texts, key=lambda module: (-len(texts[module]), module))[:MODULES]
    if len(largest) < 2:
        raise SystemExit(f"{library}: no sources of the standard library")
    out.mkdir(parents=True, exist_ok=True)
    parts = {"train": [], "test": []}
    for module in sorted(largest):
        order = sorted(texts[module], key=lambda text: hashlib.sha256(text.encode()).hexdigest())
        test = min(TEST, len(order) // 3)
        parts["test"] += [(text, module) for text in order[:test]]
        parts["train"] += [(text, module) for text in order[test:test + TRAIN]]
    for name, rows in parts.items():
        with open(out / f"{name}.csv", "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["text", "label"])
            writer.writerows(rows)
        print(f"{out / name}.csv: {len(rows)} texts of {len(largest)} modules, Python {sys.version.split()[0]}")


main()
