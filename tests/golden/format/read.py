#!/usr/bin/env python3
"""Reads an adapter of version 1, 2 or 3 (src/format/SPEC.md) and prints it as JSON. Needs Python 3.8 and nothing else.

It is written from the specification alone and refuses what the specification refuses.
"""

import json
import struct
import sys

MASK = 0xFFFFFFFF
IV = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
PERMUTATION = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
CHUNK_START, CHUNK_END, PARENT, ROOT = 1, 2, 4, 8


def mix(v, a, b, c, d, x, y):
    for word, turn_d, turn_b in ((x, 16, 12), (y, 8, 7)):
        v[a] = (v[a] + v[b] + word) & MASK
        v[d] ^= v[a]
        v[d] = (v[d] >> turn_d | v[d] << (32 - turn_d)) & MASK
        v[c] = (v[c] + v[d]) & MASK
        v[b] ^= v[c]
        v[b] = (v[b] >> turn_b | v[b] << (32 - turn_b)) & MASK


def compress(chain, words, counter, length, flags):
    v = list(chain) + list(IV[:4]) + [counter & MASK, counter >> 32, length, flags]
    for _ in range(7):
        for i in range(4):
            mix(v, i, 4 + i, 8 + i, 12 + i, words[2 * i], words[2 * i + 1])
        for i in range(4):
            mix(v, i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4, words[8 + 2 * i], words[9 + 2 * i])
        words = [words[i] for i in PERMUTATION]
    return [v[i] ^ v[i + 8] for i in range(8)]


def chunk(data, index, flags):
    chain = IV
    blocks = [data[i : i + 64] for i in range(0, len(data), 64)] or [b""]
    for i, block in enumerate(blocks):
        first = CHUNK_START if i == 0 else 0
        last = CHUNK_END | flags if i == len(blocks) - 1 else 0
        words = struct.unpack("<16I", block.ljust(64, b"\0"))
        chain = compress(chain, words, index, len(block), first | last)
    return chain


def tree(data, index, flags):
    if len(data) <= 1024:
        return chunk(data, index, flags)
    half = 1024
    while half * 2 < len(data):
        half *= 2
    left = tree(data[:half], index, 0)
    right = tree(data[half:], index + half // 1024, 0)
    return compress(IV, left + right, 0, 64, PARENT | flags)


def blake3(data):
    return struct.pack("<8I", *tree(data, 0, ROOT))


class Refused(Exception):
    pass


def need(condition, message):
    if not condition:
        raise Refused(message)


class Manifest:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        need(self.at + count <= len(self.data), "the manifest ends too early")
        self.at += count
        return self.data[self.at - count : self.at]

    def varint(self, bits=32):
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            shift += 7
            need(value < 1 << bits, "a varint is too large")
            if byte < 0x80:
                need(byte != 0 or shift == 7, "a varint is too long")
                return value

    def text(self):
        text = self.take(self.varint()).decode("utf-8")
        need(1 <= len(text.encode()) <= 255, "a text is empty or too long")
        need(not any(ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 for c in text), "a control character")
        return text

    def digest(self):
        return self.take(32).hex()

    def f32(self):
        (value,) = struct.unpack("<f", self.take(4))
        need(finite(value), "a number is not finite")
        return value

    def option(self, read):
        tag = self.take(1)[0]
        need(tag < 2, "an option is neither 0 nor 1")
        return read() if tag else None

    def flag(self):
        tag = self.take(1)[0]
        need(tag < 2, "a flag is neither 0 nor 1")
        return tag == 1

    def list(self, read, limit):
        count = self.varint()
        need(count <= limit, "a list is too long")
        return [read() for _ in range(count)]

    def setting(self):
        return {"name": self.text(), "required": self.flag(), "value": self.text()}

    def entry(self):
        name, role, code = self.text(), self.varint(), self.varint()
        need(role < 3 and code < 7, "an unknown role or encoding")
        encoding = ("f32", "f16", "int8", "int4", "onebit", "lowrank", "sparse")[code]
        if code == 3:
            encoding = {"int4": {"group": self.varint()}}
        if code == 5:
            encoding = {"lowrank": {"rank": self.varint(), "half": self.flag()}}
        if code == 6:
            encoding = {"sparse": {"count": self.varint(), "places": self.varint()}}
        shape = self.list(self.varint, 6)
        offset, length, base = self.varint(64), self.varint(64), self.option(self.digest)
        return {
            "name": name,
            "role": ("delta", "replacement", "statistics")[role],
            "encoding": encoding,
            "shape": shape,
            "offset": offset,
            "length": length,
            "base": base,
        }


def finite(value):
    return value - value == 0


def rounded(value):
    """The nearest binary32 number."""
    return struct.unpack("<f", struct.pack("<f", value))[0]


def kind(entry):
    """The name of an entry's encoding and its parameters."""
    encoding = entry["encoding"]
    return (encoding, {}) if isinstance(encoding, str) else next(iter(encoding.items()))


def rows_of(entry):
    return entry["shape"][0] if len(entry["shape"]) > 1 else 1


def expected_length(entry, elements):
    name, of = kind(entry)
    if name in ("f32", "f16"):
        return {"f32": 4, "f16": 2}[name] * elements
    if name == "sparse":
        need(of["count"] <= elements, "more places than elements")
        return 4 + of["places"] + of["count"]
    need(len(entry["shape"]) >= (1 if name == "int4" else 2), "an encoding by rows without rows")
    rows = rows_of(entry)
    width = elements // rows
    if name == "int8":
        return 4 * rows + elements
    if name == "int4":
        need(of["group"] > 0 and of["group"] % 2 == 0, "a group that is not even")
        return rows * (2 * -(-width // of["group"]) + -(-width // 2))
    if name == "onebit":
        return rows * (4 + -(-width // 8))
    need(1 <= of["rank"] <= min(rows, width), "a rank")
    return (rows + width) * of["rank"] * (2 if of["half"] else 4)


def need_scale(bits, limit):
    """Zero, or positive and normal, `limit` times which is finite in binary32."""
    (scale,) = struct.unpack("<f", struct.pack("<I", bits))
    normal = 0x00800000 <= bits < 0x7F800000
    need(bits == 0 or normal and scale * limit < 2.0**128 - 2.0**103, "a scale")
    return scale


def decode(entry, payload, elements):
    name, of = kind(entry)
    if name in ("f32", "f16"):
        values = struct.unpack("<%d%s" % (elements, name[1] == "3" and "f" or "e"), payload)
        need(all(map(finite, values)), "a value is not finite")
        return list(values)
    if name == "sparse":
        return decode_sparse(of, payload, elements)
    rows = rows_of(entry)
    width = elements // rows
    return {"int8": decode_int8, "int4": decode_int4, "onebit": decode_one_bit, "lowrank": decode_low_rank}[name](
        of, payload, rows, width
    )


def decode_int8(_, payload, rows, width):
    scales = [need_scale(bits, 127) for bits in struct.unpack("<%dI" % rows, payload[: 4 * rows])]
    quantised = struct.unpack("<%db" % (rows * width), payload[4 * rows :])
    need(all(-127 <= q and (q == 0 or scales[i // width]) for i, q in enumerate(quantised)), "a quantised value")
    return [rounded(scales[i // width] * q) for i, q in enumerate(quantised)]


def decode_int4(of, payload, rows, width):
    groups, stride = -(-width // of["group"]), -(-width // 2)
    halves = struct.unpack("<%dH" % (rows * groups), payload[: 2 * rows * groups])
    scales = [need_scale(half << 16, 7) for half in halves]
    values = []
    for row in range(rows):
        line = payload[2 * rows * groups + row * stride :][:stride]
        nibbles = [half for byte in line for half in (byte & 15, byte >> 4)]
        need(not any(nibbles[width:]), "unused bits")
        for at, nibble in enumerate(nibbles[:width]):
            scale, q = scales[row * groups + at // of["group"]], nibble - 16 * (nibble > 7)
            need(q != -8 and (q == 0 or scale), "a quantised value")
            values.append(rounded(scale * q))
    return values


def decode_one_bit(_, payload, rows, width):
    scales = [need_scale(bits, 1) for bits in struct.unpack("<%dI" % rows, payload[: 4 * rows])]
    stride, values = -(-width // 8), []
    for row, scale in enumerate(scales):
        bits = int.from_bytes(payload[4 * rows + row * stride :][:stride], "little")
        need(bits >> width == 0 and (bits == 0 or scale), "unused bits, or signs of nothing")
        values += [-scale if bits >> at & 1 else scale for at in range(width)]
    return values


def decode_low_rank(of, payload, rows, width):
    rank = of["rank"]
    factors = struct.unpack("<%d%s" % ((rows + width) * rank, "e" if of["half"] else "f"), payload)
    need(all(map(finite, factors)), "a factor is not finite")
    left, right = factors[: rows * rank], factors[rows * rank :]
    most = max(map(abs, left)) * max(map(abs, right)) * rank
    need(most < 2.0**128 - 2.0**104, "factors are too large")
    values = []
    for row in range(rows):
        for column in range(width):
            value = 0.0
            for k in range(rank):
                value = rounded(value + rounded(left[row * rank + k] * right[k * width + column]))
            values.append(value)
    return values


def decode_sparse(of, payload, elements):
    scale = need_scale(*struct.unpack("<I", payload[:4]), 127)
    need((scale == 0) == (of["count"] == 0), "a scale of nothing, or none")
    gaps = Manifest(payload[4 : 4 + of["places"]])
    values, at = [0.0] * elements, -1
    for q in struct.unpack("<%db" % of["count"], payload[4 + of["places"] :]):
        at += gaps.varint() + 1
        need(at < elements and q not in (0, -128), "a place or a quantised value")
        values[at] = rounded(scale * q)
    need(gaps.at == of["places"], "places go on after the last")
    return values


def read(file):
    need(len(file) >= 96, "too short")
    magic, version, flags, manifest_length, total = struct.unpack("<8sHHIQ", file[:24])
    need(magic == b"\x89TAPS\r\n\x1a", "not an adapter")
    need(version in (1, 2, 3) and flags < 2, "version %d, flags %d" % (version, flags))
    need(total == len(file), "the length is not the stated one")
    file, signature = (file[:-96], file[-96:]) if flags else (file, None)
    need(len(file) >= 96, "too short for a signature")
    checksum = file[-32:]
    need(blake3(file[:-32]) == checksum, "the checksum does not match")
    need(manifest_length <= 16 << 20, "the manifest is too long")

    body, at = file[:-32], 24 + manifest_length
    start = -(-at // 64) * 64
    need(start <= len(body) and not any(body[at:start]), "padding after the manifest")
    manifest = Manifest(body[24:at])
    adapter = {name: manifest.text() for name in ("task", "architecture", "method")}
    adapter.update((name, manifest.digest()) for name in ("base", "content"))
    summary = {name: manifest.f32() for name in ("lambda", "tau")}
    summary["max_active_layers"] = manifest.option(manifest.varint)
    summary.update((name, manifest.varint()) for name in ("active_layers", "layers", "steps", "examples"))
    summary["seed"] = manifest.varint(64)
    summary["validation"] = accuracy = manifest.option(manifest.f32)
    need(accuracy is None or 0 <= accuracy <= 1, "validation is out of range")
    adapter["summary"] = summary
    adapter["labels"] = manifest.list(manifest.text, 65535)
    if version == 3:
        adapter["settings"] = settings = manifest.list(manifest.setting, 255)
        names = [setting["name"].encode() for setting in settings]
        need(names and all(a < b for a, b in zip(names, names[1:])), "names of settings do not ascend")
    adapter["entries"] = entries = manifest.list(manifest.entry, 65535)
    need(manifest.at == manifest_length, "the manifest goes on after its last entry")

    new = any(kind(entry)[0] in ("int4", "onebit", "lowrank", "sparse") for entry in entries)
    need(version == 3 or version == 1 + new, "a version that is not the lowest")
    end = 0
    for before, entry in zip([None] + entries, entries):
        need(before is None or before["name"].encode() < entry["name"].encode(), "names do not ascend")
        need(entry["role"] != "delta" or entry["base"], "a delta without a base")
        elements = 1
        for dim in entry["shape"]:
            elements *= dim
        need(elements > 0 and entry["offset"] == end, "a zero dimension or an offset")
        need(entry["length"] == expected_length(entry, elements), "a payload's length")
        at = start + end + entry["length"]
        end = -(-(end + entry["length"]) // 64) * 64
        need(start + end <= len(body) and not any(body[at : start + end]), "padding after a payload")
        entry["values"] = decode(entry, body[at - entry["length"] : at], elements)
    need(start + end == len(body), "the payloads do not end at the checksum")
    adapter["digest"] = checksum.hex()
    if signature:
        adapter["signature"] = {"key": signature[:32].hex(), "bytes": signature[32:].hex()}
    return adapter


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8", newline="\n")
    try:
        with open(sys.argv[1], "rb") as source:
            print(json.dumps(read(source.read()), indent=1, ensure_ascii=False))
    except (Refused, UnicodeDecodeError) as refused:
        sys.exit("refused: %s" % refused)
