"""Writes hostile.jsonl and known.jsonl: tokenizer.json files that must be refused, and heads of published ones that must not.

Each line is a name and the file as a text. What a hostile one does to the tokenizers library (0.23.2) where it is given
to it is in its name: panics, aborts, memory without end, no end, or other tokens than it states. Files of more than
8,000 bytes are not written: src/data/tokenizer/mod.rs makes those itself.
Run from the repository root: python tests/golden/tokenizers/make_tokenizers.py
"""

import base64
import json
import random
import struct
from pathlib import Path

HERE = Path(__file__).resolve().parent
CASES = {}


def save(name, obj, raw=False):
    CASES[name] = obj if raw else json.dumps(obj, ensure_ascii=False)


def write(name):
    lines = [json.dumps([key, text]) for key, text in CASES.items() if len(text) <= 8000]
    (HERE / name).write_text("\n".join(lines) + "\n")
    CASES.clear()


WL = lambda **v: {"type": "WordLevel", "unk_token": "[UNK]", "vocab": {"[UNK]": 0, "a": 1, **v}}
BPE = lambda vocab=None, merges=(), **k: {
    "type": "BPE",
    "dropout": None,
    "unk_token": None,
    "continuing_subword_prefix": None,
    "end_of_word_suffix": None,
    "fuse_unk": False,
    "byte_fallback": False,
    "vocab": vocab if vocab is not None else {"a": 0},
    "merges": list(merges),
    **k,
}
UNI = lambda vocab, unk=0, **k: {"type": "Unigram", "unk_id": unk, "vocab": vocab, **k}
ASCII = {chr(c): i for i, c in enumerate(range(32, 127))}


def tok(model=None, **k):
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": None,
        "pre_tokenizer": None,
        "post_processor": None,
        "decoder": None,
        **k,
        "model": model or WL(),
    }


def added(c, i=2, **k):
    return {
        "id": i,
        "content": c,
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "special": False,
        **k,
    }


seq = lambda *n: {"type": "Sequence", "normalizers": list(n)}
pseq = lambda *n: {"type": "Sequence", "pretokenizers": list(n)}
rep = lambda p, c: {"type": "Replace", "pattern": p, "content": c}
R = lambda r: {"Regex": r}
S = lambda r: {"String": r}
split = lambda p, b="Isolated", inv=False: {"type": "Split", "pattern": p, "behavior": b, "invert": inv}
SP = lambda i, t=0: {"SpecialToken": {"id": i, "type_id": t}}
A = {"Sequence": {"id": "A", "type_id": 0}}
B = {"Sequence": {"id": "B", "type_id": 0}}


def tp(single, special=None, pair=None):
    return {"type": "TemplateProcessing", "single": single, "pair": pair or [A, B], "special_tokens": special or {}}


def st(i, ids, toks):
    return {i: {"id": i, "ids": ids, "tokens": toks}}


BL = lambda ap=False, rx=False: {"type": "ByteLevel", "add_prefix_space": ap, "trim_offsets": False, "use_regex": rx}


# ---- nesting
def nest(key, inner, d, typed=True, kind="Sequence"):
    for _ in range(d):
        inner = {**({"type": kind} if typed else {}), key: [inner]}
    return inner


save("ok_nesting60_normalizer_tagged", tok(normalizer=nest("normalizers", {"type": "NFC"}, 60)))
save("ok_nesting60_normalizer_untagged", tok(normalizer=nest("normalizers", {"type": "NFC"}, 60, False)))
save("ok_nesting60_pretokenizer", tok(pre_tokenizer=nest("pretokenizers", {"type": "WhitespaceSplit"}, 60)))
save("ok_nesting60_postprocessor", tok(post_processor=nest("processors", BL(), 60)))
save("ok_nesting60_decoder", tok(decoder=nest("decoders", {"type": "Fuse"}, 60)))
save("loaderr_nesting200_ignored_key", json.dumps(tok(x=1)).replace('"x": 1', '"x": ' + "[" * 200 + "]" * 200), True)
# ---- load panics
save("load_panic_precompiled_garbage", tok(normalizer={"type": "Precompiled", "precompiled_charsmap": "AAAA"}))
save("load_panic_precompiled_null", tok(normalizer={"type": "Precompiled", "precompiled_charsmap": None}))
save("load_panic_precompiled_not_base64", tok(normalizer={"type": "Precompiled", "precompiled_charsmap": "!!!!"}))


def cm(units, s):
    return base64.b64encode(struct.pack("<I", 4 * len(units)) + struct.pack("<%dI" % len(units), *units) + s).decode()


save(
    "load_oom_precompiled_trie_size_4g",
    tok(
        normalizer={
            "type": "Precompiled",
            "precompiled_charsmap": base64.b64encode(struct.pack("<I", 0xFFFFFFFC) + b"\0" * 8).decode(),
        }
    ),
)
save("load_panic_bpe_merge_longer_than_longest_token", tok(BPE({"ab": 0, "cd": 1}, ["ab cd"])))
save(
    "load_panic_bpe_prefix_longer_than_merge_part",
    tok(BPE({"abcdef": 0, "b": 1, "abcdefb": 2}, ["abcdef b"], continuing_subword_prefix="####")),
)
save(
    "load_ub_bpe_prefix_cuts_utf8",
    tok(BPE({"abcdef": 0, "aé": 1, "abcdefghijklmn": 2}, ["abcdef aé"], continuing_subword_prefix="##")),
)
save("loaderr_bpe_merge_not_in_vocab", tok(BPE({"a": 0, "bbb": 1}, ["a z"])))
save("loaderr_bpe_dropout_2", tok(BPE(dropout=2.0)))
# ---- load memory and time
save("drop_abort_stack_overflow_unigram_token_1MB", tok(UNI([["<unk>", 0.0], ["a" * 1000000, -1.0]])))
save("drop_abort_stack_overflow_unigram_token_50KB_on_2MB_stack", tok(UNI([["<unk>", 0.0], ["a" * 50000, -1.0]])))
random.seed(1)
save(
    "load_oom_unigram_trie_12MB_of_tokens",
    tok(UNI([["<unk>", 0.0]] + [["".join(random.choices("abcdefgh", k=600)), -1.0] for _ in range(20000)])),
)
save(
    "load_hang_and_oom_regex_many_delegates",
    tok(pre_tokenizer=split(R("(?:" + "".join(r"(?=[^a]|\w{%d})" % (200 + i % 7) for i in range(900)) + ")"))),
)
save("load_slow_regex_one_delegate", tok(pre_tokenizer=split(R(r"\w{100}"))))
save("loaderr_regex_nested_repeat", tok(pre_tokenizer=split(R(r"((a{1000}){1000}){1000}"))))
save("loaderr_regex_syntax", tok(pre_tokenizer=split(R("("))))
save(
    "load_1GB_from_8MB_of_json_in_an_unknown_model_key",
    json.dumps(tok(WL(zz=9))).replace('"zz": 9}', '"zz": 9}, "junk": [' + ",".join(["[0]"] * 2000000) + "]"),
    True,
)
save(
    "load_oom_added_token_normalized_at_load",
    tok(added_tokens=[added("aaaaaaaa", normalized=True)], normalizer=seq(*[rep(S("a"), "a" * 10)] * 9)),
)
save("loaderr_id_beyond_u32", tok(WL(b=4294967296)))
save("loaderr_score_1e999", json.dumps(tok(UNI([["<unk>", 0.0], ["a", 12345]]))).replace("12345", "-1e999"), True)
save("loaderr_unknown_top_level_key", tok(zz=1))
save("loaderr_unk_id_out_of_range", tok(UNI([["a", 0.0]], unk=1)))
save("ok_id_u32_max_wrong_ids", tok(WL(b=4294967295), pre_tokenizer={"type": "WhitespaceSplit"}))
# ---- encode panics
save("encode_panic_template_missing_special", tok(post_processor=tp([SP("[CLS]"), A])))
save("encode_panic_template_B_in_single", tok(post_processor=tp([A, B])))
save(
    "encode_panic_sequence_of_two_templates",
    tok(post_processor={"type": "Sequence", "processors": [tp([SP("x"), A, SP("x")], st("x", [0], ["x"]))] * 2}),
)
save(
    "encode_wrong_sequence_template_then_bert",
    tok(
        post_processor={
            "type": "Sequence",
            "processors": [
                tp([SP("x"), A, SP("x")], st("x", [0], ["x"])),
                {"type": "BertProcessing", "sep": ["s", 7], "cls": ["c", 8]},
            ],
        }
    ),
)
save("encode_panic_fixed_length_0", tok(pre_tokenizer={"type": "FixedLength", "length": 0}))
save("encode_panic_replace_caret_then_lowercase", tok(normalizer=seq(rep(R("^"), "x"), {"type": "Lowercase"})))
save(
    "encode_panic_prepend_empty_then_lowercase",
    tok(normalizer=seq({"type": "Prepend", "prepend": ""}, {"type": "Lowercase"})),
)

save("encode_oom_replace_keepout_in_lookbehind", tok(normalizer=rep(R(r"(?<=\K..)"), "x")))
save(
    "encode_panic_added_token_normalizes_to_empty",
    tok(
        added_tokens=[added(" ", 2, normalized=True)],
        normalizer={"type": "Strip", "strip_left": True, "strip_right": True},
    ),
)
save(
    "encode_panic_added_token_zero_width_bert",
    tok(
        added_tokens=[added("\u200c", 2, normalized=True)],
        normalizer={
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": True,
        },
    ),
)
units = [0] * 4
units[0] = 0xFFFF << 10
save(
    "encode_panic_precompiled_trie_out_of_bounds",
    tok(normalizer={"type": "Precompiled", "precompiled_charsmap": cm(units, b"x\0")}),
)


# one unit for every first byte: leaf with a value
def allbytes(value, s):
    # root offset 256: child of byte c at 256^c; each child: label c, has_leaf, offset so that node_pos^offset = 512
    u = [0] * 1024
    u[0] = 256 << 10
    for c in range(1, 256):
        pos = 256 ^ c
        off = pos ^ 512
        u[pos] = c | (1 << 8) | (off << 10)
    u[512] = value
    return cm(u, s)


save(
    "encode_panic_precompiled_value_out_of_bounds",
    tok(normalizer={"type": "Precompiled", "precompiled_charsmap": allbytes(1000, b"x\0")}),
)
save(
    "encode_panic_precompiled_value_inside_char",
    tok(normalizer={"type": "Precompiled", "precompiled_charsmap": allbytes(1, "é\0".encode())}),
)
save(
    "encode_oom_precompiled_expands_each_char_to_100KB",
    tok(normalizer={"type": "Precompiled", "precompiled_charsmap": allbytes(0, b"y" * 5000000 + b"\0")}),
)
# ---- encode memory
save("encode_oom_replace_chain", tok(normalizer=seq(*[rep(S("a"), "a" * 10)] * 10)))
save("encode_oom_replace_empty_regex_long_content", tok(normalizer=rep(R(""), "y" * 5000000)))
save("encode_oom_replace_empty_string_chain", tok(normalizer=seq(*[rep(S(""), "y")] * 30)))
save(
    "encode_oom_prepend_long_per_segment",
    tok(added_tokens=[added(" ", 2)], normalizer={"type": "Prepend", "prepend": "y" * 3000000}),
)
save("encode_oom_bytelevel_normalizer_chain", tok(normalizer=seq(*[{"type": "ByteLevel"}] * 28)))
save("encode_oom_bytelevel_pretokenizer_chain", tok(pre_tokenizer=pseq(*[BL()] * 28)))
save(
    "encode_oom_split_then_metaspace_chain",
    tok(
        pre_tokenizer=pseq(
            *[
                x
                for i in range(28)
                for x in (
                    split(R(r"[\s\S]")),
                    {"type": "Metaspace", "replacement": "xyz"[i % 3], "prepend_scheme": "always", "split": False},
                )
            ]
        )
    ),
)
save("encode_oom_template_many_A_with_overflow", tok(BPE(ASCII), post_processor=tp([A] * 6)))
save(
    "encode_oom_template_tokens_longer_than_ids",
    tok(post_processor=tp([A] + [SP("x")] * 20000, st("x", [], ["y"] * 20000))),
)
save("encode_wrong_template_A_twice_longer_than_max", tok(BPE(ASCII), post_processor=tp([A, A])))
save("encode_wrong_template_no_A", tok(BPE(ASCII), post_processor=tp([SP("x")], st("x", [7], ["x"]))))
save("longtext_oom_whitespace_added_token_rstrip", tok(added_tokens=[added(" ", 2, rstrip=True)]))
save("longtext_hang_whitespace_added_token_lstrip", tok(added_tokens=[added(" ", 2, lstrip=True)]))
# ---- encode time
save("encode_hang_regex_empty_repeat_1e18", tok(pre_tokenizer=split(R(r"((?=)){1000000000000000000}"))))
save(
    "encode_hang_regex_backtracking_below_limit",
    tok(pre_tokenizer=split(R(r"(?:" + r"(?:.|(?=.).)" * 18 + r"(?=\b)(?=\B)|[\s\S])"))),
)
save("encode_wrong_regex_backtrack_limit_is_silent", tok(pre_tokenizer=split(R(r"(?:(?=\w)\w|(?=\w)\w)*!\z"))))
save("longtext_hang_easy_regex_quadratic", tok(pre_tokenizer=split(R(r"[\s\S]*\x00|[\s\S]"))))
save("longtext_hang_lookahead_scans_to_the_end", tok(pre_tokenizer=split(R(r"(?=[^\x00]*\x00)\w|[\s\S]"))))
save(
    "longtext_hang_wordpiece_max_input_chars_1e9",
    tok(
        {
            "type": "WordPiece",
            "unk_token": "a",
            "continuing_subword_prefix": "#",
            "max_input_chars_per_word": 1000000000,
            "vocab": {**{c: i for c, i in ASCII.items()}, **{"#" + c: i + 100 for c, i in ASCII.items()}},
        }
    ),
)
save("encode_slow_bpe_prefix_3MB", tok(BPE({"a": 0}, continuing_subword_prefix="#" * 3000000)))
save(
    "encode_oom_bpe_byte_fallback_expands_prefix",
    tok(
        BPE(
            {"a": 0, "<0x23>": 1, **{"<0x%02X>" % c: c + 2 for c in range(256)}},
            continuing_subword_prefix="#" * 1000000,
            byte_fallback=True,
        )
    ),
)
save(
    "encode_slow_wordpiece_prefix_3MB",
    tok(
        {
            "type": "WordPiece",
            "unk_token": "a",
            "continuing_subword_prefix": "#" * 3000000,
            "max_input_chars_per_word": 100,
            "vocab": {**ASCII},
        },
        pre_tokenizer={"type": "WhitespaceSplit"},
    ),
)
save("longtext_slow_unigram_prefix_tokens", tok(UNI([["<unk>", 0.0]] + [["a" * k, -1.0] for k in range(1, 1500)])))
save(
    "encode_nondeterministic_bpe_dropout",
    tok(
        BPE(
            {**ASCII, "ll": 200, "or": 201, "is": 202, "te": 203, "rm": 204, "al": 205},
            ["l l", "o r", "i s", "t e", "r m", "a l"],
            dropout=0.5,
        )
    ),
)
save(
    "encode_nondeterministic_added_tokens_normalize_alike",
    tok(
        added_tokens=[
            added("Hello", 2, normalized=True),
            added("hello", 3, normalized=True),
            added("HELLO", 4, normalized=True),
        ],
        normalizer={"type": "Lowercase"},
        pre_tokenizer={"type": "WhitespaceSplit"},
    ),
)
save(
    "encode_wrong_added_token_id_is_ignored",
    tok(added_tokens=[added("Hello", 77777)], pre_tokenizer={"type": "WhitespaceSplit"}),
)
save(
    "encode_wrong_added_token_id_collides_with_sparse_vocab",
    tok(
        {"type": "WordLevel", "unk_token": "[UNK]", "vocab": {"[UNK]": 0, "world,": 2}},
        added_tokens=[added("Hello", 5)],
        pre_tokenizer={"type": "WhitespaceSplit"},
    ),
)
save(
    "encode_wrong_type_is_not_checked_prepend", tok(BPE({**ASCII}), normalizer={"type": "Nonsense", "prepend": "zzz"})
)
save(
    "encode_wrong_duplicate_key_type",
    json.dumps(tok(normalizer={"type": "NFC"}, pre_tokenizer={"type": "WhitespaceSplit"})).replace(
        '{"type": "NFC"}', '{"type":"Lowercase","type":"NFC"}'
    ),
    True,
)
save(
    "encode_wrong_duplicate_vocab_key",
    json.dumps(tok(pre_tokenizer={"type": "WhitespaceSplit"})).replace('"a": 1', '"a": 1, "Hello": 5, "Hello": 6'),
    True,
)
save(
    "encode_wrong_normalizer_error_is_ignored",
    tok(BPE(ASCII), normalizer=seq(rep(R(r"(?:(?=\w)\w|(?=\w)\w)*!\z"), "Q"))),
)
save("encode_err_unigram_no_unk", tok(UNI([["a", 0.0]], unk=None)))
save("encode_err_wordlevel_no_unk", tok({"type": "WordLevel", "unk_token": "zz", "vocab": {"a": 0}}))
save("encode_wrong_unicode_scripts_drops_leading_space", tok(BPE(ASCII), pre_tokenizer={"type": "UnicodeScripts"}))
save(
    "ok_truncation_padding_huge_are_replaced",
    tok(
        pre_tokenizer={"type": "WhitespaceSplit"},
        truncation={
            "direction": "Left",
            "max_length": 18446744073709551615,
            "strategy": "OnlySecond",
            "stride": 18446744073709551615,
        },
        padding={
            "strategy": {"Fixed": 18446744073709551615},
            "direction": "Right",
            "pad_to_multiple_of": 18446744073709551615,
            "pad_id": 0,
            "pad_type_id": 0,
            "pad_token": "x",
        },
    ),
)
save(
    "ok_unigram_scores_minus_1e308",
    tok(UNI([["<unk>", -1.7e308], ["H", -1.7e308], ["e", -1.7e308], ["l", 1.7e308], ["o", 1.7e308]])),
)
save(
    "ok_empty_token_and_empty_added_token",
    tok(BPE({"": 0, "a": 1, "b": 2}, [["a", ""]]), added_tokens=[added("", 9)]),
)
BERTN = {
    "type": "BertNormalizer",
    "clean_text": True,
    "handle_chinese_chars": True,
    "strip_accents": None,
    "lowercase": True,
}
save(
    "encode_oom_added_tokens_one_empty_after_normalizing",
    tok(
        added_tokens=[added("\u200c", 2, normalized=True), added("apples..", 3, normalized=True)],
        normalizer=BERTN,
        pre_tokenizer={"type": "BertPreTokenizer"},
    ),
)
save("encode_oom_split_keepout_in_lookbehind", tok(pre_tokenizer=split(R(r"(?<=\K..)"))))
save(
    "longtext_hang_wordpiece_max_input_chars_1e9",
    tok(
        {
            "type": "WordPiece",
            "unk_token": "a",
            "continuing_subword_prefix": "#",
            "max_input_chars_per_word": 1000000000,
            "vocab": {**{c: i for c, i in ASCII.items()}, **{"#" + c: i + 100 for c, i in ASCII.items()}, "#\n": 99},
        }
    ),
)
save(
    "encode_wrong_text_lost_after_1M_spaces_removed_invert",
    tok(BPE(ASCII), pre_tokenizer=split(R(r"\w+|\s+(?!\S)|\s+"), "Removed", True)),
)
save("load_panic_decoder_bad_json", '{"version":"1.0","model":' + json.dumps(WL()) + ',"decoder":{"type":', True)
save(
    "load_panic_decoder_nesting",
    '{"version":"1.0","decoder":' + "[" * 130 + "]" * 130 + ',"model":' + json.dumps(WL()) + "}",
    True,
)
save(
    "loaderr_nesting_in_normalizer",
    '{"version":"1.0","normalizer":' + "[" * 130 + "]" * 130 + ',"model":' + json.dumps(WL()) + "}",
    True,
)
save(
    "longtext_hang_added_token_is_long_and_almost_matches",
    tok(added_tokens=[added("a", 2), added("a" * 65536 + "b", 3)]),
)
save("load_slow_replace_string_1MB", tok(normalizer=rep(S("ab" * 500000), "x")))
save(
    "load_slow_50000_added_tokens",
    tok(
        added_tokens=[
            added("".join(random.choices("abcdefghijklmnopqrstuvwxyz<>|_", k=12)), 2 + i) for i in range(50000)
        ]
    ),
)

write("hostile.jsonl")


def wp(unk="[UNK]"):
    return {
        "type": "WordPiece",
        "unk_token": unk,
        "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100,
        "vocab": {
            unk: 0,
            "[CLS]": 1,
            "[SEP]": 2,
            "[MASK]": 3,
            "<s>": 4,
            "</s>": 5,
            "<mask>": 6,
            "[PAD]": 7,
            "<pad>": 8,
            "a": 9,
            "##a": 10,
        },
    }


def bpe(**k):
    return BPE(
        {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "a": 4, "b": 5, "ab": 6, "<mask>": 7, "</w>": 8, "a</w>": 9},
        ["a b"],
        **k,
    )


U = UNI(
    [
        ["<s>", 0.0],
        ["<pad>", 0.0],
        ["</s>", 0.0],
        ["<unk>", 0.0],
        ["▁a", -3.0],
        ["<mask>", 0.0],
        ["[CLS]", 0.0],
        ["[SEP]", 0.0],
    ],
    unk=3,
)
T = lambda *x, **k: tp(list(x), k)
sp = lambda c, i: {"id": c, "ids": [i], "tokens": [c]}
bertpost = tp(
    [SP("[CLS]"), A, SP("[SEP]")],
    {"[CLS]": sp("[CLS]", 1), "[SEP]": sp("[SEP]", 2)},
    [SP("[CLS]"), A, SP("[SEP]"), B, SP("[SEP]", 1)],
)
xpost = tp(
    [SP("<s>"), A, SP("</s>")],
    {"<s>": sp("<s>", 0), "</s>": sp("</s>", 2)},
    [SP("<s>"), A, SP("</s>"), SP("</s>"), B, SP("</s>")],
)
BN = {
    "type": "BertNormalizer",
    "clean_text": True,
    "handle_chinese_chars": True,
    "strip_accents": None,
    "lowercase": True,
}
ms = {"type": "Metaspace", "replacement": "▁", "add_prefix_space": True, "prepend_scheme": "always"}
S_ = {
    "bert_distilbert": tok(
        wp(),
        normalizer=BN,
        pre_tokenizer={"type": "BertPreTokenizer"},
        post_processor=bertpost,
        decoder={"type": "WordPiece", "prefix": "##", "cleanup": True},
        added_tokens=[
            added("[PAD]", 7, special=True),
            added("[UNK]", 0, special=True),
            added("[CLS]", 1, special=True),
            added("[SEP]", 2, special=True),
            added("[MASK]", 3, special=True),
        ],
    ),
    "mpnet": tok(
        wp("[UNK]"),
        normalizer=BN,
        pre_tokenizer={"type": "BertPreTokenizer"},
        post_processor={
            "type": "RobertaProcessing",
            "sep": ["</s>", 5],
            "cls": ["<s>", 4],
            "trim_offsets": True,
            "add_prefix_space": False,
        },
        added_tokens=[
            added("<s>", 4, special=True, normalized=True),
            added("<pad>", 8, special=True, normalized=True),
            added("</s>", 5, special=True, normalized=True),
            added("[UNK]", 0, special=True),
            added("<mask>", 6, special=True, lstrip=True),
        ],
    ),
    "roberta": tok(
        bpe(),
        pre_tokenizer=BL(False, True),
        post_processor={
            "type": "RobertaProcessing",
            "sep": ["</s>", 2],
            "cls": ["<s>", 0],
            "trim_offsets": True,
            "add_prefix_space": False,
        },
        added_tokens=[
            added("<s>", 0, special=True, normalized=True),
            added("<pad>", 1, special=True, normalized=True),
            added("</s>", 2, special=True, normalized=True),
            added("<unk>", 3, special=True, normalized=True),
            added("<mask>", 7, special=True, lstrip=True),
        ],
    ),
    "gpt2": tok(
        bpe(),
        pre_tokenizer=BL(False, True),
        post_processor=BL(True, True),
        added_tokens=[added("<|endoftext|>", 10, special=True, normalized=True)],
    ),
    "smollm2": tok(
        bpe(),
        pre_tokenizer=pseq({"type": "Digits", "individual_digits": True}, BL(False, True)),
        post_processor=None,
        added_tokens=[added("<|im_start|>", 10, special=True)],
    ),
    "falcon": tok(
        bpe(),
        pre_tokenizer=pseq(
            {"type": "Punctuation", "behavior": "Contiguous"},
            BL(False, True),
            {"type": "Digits", "individual_digits": False},
            split(R("[0-9][0-9][0-9]")),
        ),
    ),
    "modernbert": tok(
        bpe(),
        normalizer={"type": "NFC"},
        pre_tokenizer=BL(False, True),
        post_processor=tp([SP("<s>"), A, SP("</s>")], {"<s>": sp("<s>", 0), "</s>": sp("</s>", 2)}),
        added_tokens=[
            added("                        ", 10, normalized=True),
            added("  ", 11, normalized=True),
            added("[MASK]", 12, special=True, lstrip=True),
        ],
    ),
    "llama31": tok(
        bpe(ignore_merges=True),
        pre_tokenizer=pseq(
            split(
                R(
                    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
                )
            ),
            BL(),
        ),
        post_processor={
            "type": "Sequence",
            "processors": [BL(True, True), tp([SP("<s>"), A], {"<s>": sp("<s>", 0)})],
        },
    ),
    "clip": tok(
        BPE(
            {"<|startoftext|>": 0, "<|endoftext|>": 1, "a": 2, "a</w>": 3},
            end_of_word_suffix="</w>",
            unk_token="<|endoftext|>",
        ),
        normalizer=seq({"type": "NFC"}, rep(R("\\s+"), " "), {"type": "Lowercase"}),
        pre_tokenizer=pseq(
            split(R(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"), "Removed", True), BL(False, True)
        ),
        post_processor={
            "type": "RobertaProcessing",
            "sep": ["<|endoftext|>", 1],
            "cls": ["<|startoftext|>", 0],
            "trim_offsets": False,
            "add_prefix_space": False,
        },
    ),
    "mistral": tok(
        bpe(unk_token="<unk>", fuse_unk=True, byte_fallback=True),
        pre_tokenizer={"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False},
        post_processor=tp([SP("<s>"), A], {"<s>": sp("<s>", 0)}),
    ),
    "phi3": tok(
        bpe(unk_token="<unk>", fuse_unk=True, byte_fallback=True),
        normalizer=seq({"type": "Prepend", "prepend": "▁"}, rep(S(" "), "▁")),
        added_tokens=[added("<|end|>", 10, special=True, rstrip=True)],
    ),
    "whisper": tok(
        bpe(),
        pre_tokenizer=BL(False, True),
        post_processor=tp(
            [SP("<s>"), SP("<pad>"), A, SP("</s>")],
            {"<s>": sp("<s>", 0), "<pad>": sp("<pad>", 1), "</s>": sp("</s>", 2)},
        ),
    ),
}
for k, v in S_.items():
    save(k, v)

save(
    "xlmr",
    tok(
        U,
        pre_tokenizer=pseq({"type": "WhitespaceSplit"}, ms),
        post_processor=xpost,
        added_tokens=[added("<s>", 0, special=True), added("<mask>", 5, special=True, lstrip=True)],
    ),
)
write("known.jsonl")
