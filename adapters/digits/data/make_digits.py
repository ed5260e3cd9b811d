"""Writes digits-images-idx3-ubyte and digits-labels-idx1-ubyte: scikit-learn's handwritten digits as IDX files.

Made with scikit-learn 1.9.1 and numpy 2.4.6.
Run from the repository root: python adapters/digits/data/make_digits.py

1797 images of 8 x 8 in the order of `load_digits`; values 0..16 become round(v * 255 / 16).
"""
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

HERE = Path(__file__).parent


def write_idx(name, array):
    # Two zero bytes, 8 for unsigned bytes, the number of dimensions, the dimensions, the data.
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    (HERE / name).write_bytes(header + array.astype(np.uint8).tobytes())


def main():
    digits = load_digits()
    write_idx("digits-images-idx3-ubyte", np.floor(digits.images * 255 / 16 + 0.5))
    write_idx("digits-labels-idx1-ubyte", digits.target)


if __name__ == "__main__":
    main()
