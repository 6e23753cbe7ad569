#!/usr/bin/env python3
"""Make decode.json: what Hugging Face tokenizers 0.23.2 decodes lists of ids to, for decoders of every kind.

usage: make_decode.py > decode.json
"""
import json
import random

import tokenizers

assert tokenizers.__version__ == "0.23.2"
PIECES = ["a", "b", "He", "llo", "##ing", "##", "##a##", "\u2581", "\u2581the", "\u2581\u2581x\u2581", "\u0120the", "\u010a", "\u00c3", "\u00a9",
          "\u00ff\u00d8", "\u00f0\u0141\u013b", "\u0124", "\u4e2d", "\u0120\u4e2d", "<0x41>", "<0xE2>", "<0x82>", "<0xAC>", "<0xFF>", "<0x+A>", "<0xG0>", "<0x4>",
          "</w>", "lo</w>", "</w></w>", "|", "<pad>", "h<pad>i", "|x|", "'", "n't", "do", "not", "do not", ".", "?", "!", ",", "'s", "'m", "'ve", "'re",
          " .", " ' ", "  ", " x ", "", "\u00e9", "_", "__a_", "\U0001f642", "aab", "A1b22", "\n", "\r\n"]
ADDED = ["<s>", "</s>", "<x> y", "\u2581"]
DECODERS = [
    None, {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
    {"type": "BPEDecoder", "suffix": "</w>"}, {"type": "BPEDecoder", "suffix": ""}, {"type": "BPEDecoder", "suffix": "##"},
    {"type": "WordPiece", "prefix": "##", "cleanup": True}, {"type": "WordPiece", "prefix": "##", "cleanup": False},
    {"type": "WordPiece", "prefix": "", "cleanup": True},
    {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": True},
    {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "first", "split": False},
    {"type": "Metaspace", "replacement": "_", "prepend_scheme": "never"}, {"type": "Metaspace", "replacement": "\u2581", "add_prefix_space": True},
    {"type": "CTC", "pad_token": "<pad>", "word_delimiter_token": "|", "cleanup": True},
    {"type": "CTC", "pad_token": "<pad>", "word_delimiter_token": "|", "cleanup": False},
    {"type": "CTC", "pad_token": "", "word_delimiter_token": "", "cleanup": True},
    {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "}, {"type": "Replace", "pattern": {"String": ""}, "content": "-"},
    {"type": "Replace", "pattern": {"Regex": "[a-z]+|\\d"}, "content": "<&>"}, {"type": "Replace", "pattern": {"Regex": "x*"}, "content": "-"},
    {"type": "Replace", "pattern": {"String": "."}, "content": ""}, {"type": "Replace", "pattern": {"String": "aa"}, "content": "a"},
    {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}, {"type": "Strip", "content": "_", "start": 5, "stop": 0},
    {"type": "Strip", "content": "\u2581", "start": 1, "stop": 0}, {"type": "ByteFallback"},
    {"type": "Sequence", "decoders": []},
    {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
                                      {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
    {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": "a", "start": 2, "stop": 0}]},
    {"type": "Sequence", "decoders": [{"type": "Fuse"}, {"type": "Sequence", "decoders": [{"type": "Strip", "content": " ", "start": 3, "stop": 0}, {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}]}]},
    {"type": "Sequence", "decoders": [{"type": "WordPiece", "prefix": "##", "cleanup": True}, {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always"}]},
    {"type": "Sequence", "decoders": [{"type": "Strip", "content": "a", "start": 9, "stop": 0}, {"type": "CTC", "pad_token": "<pad>", "word_delimiter_token": "|", "cleanup": True}]},
]


def main():
    rng = random.Random(3)
    n = len(PIECES)
    vocab = {p: i for i, p in enumerate(PIECES)}
    assert len(vocab) == n
    added = [{"id": vocab.get(t, n + 5 + i), "content": t, "single_word": False, "lstrip": False, "rstrip": False, "normalized": i == 2, "special": i != 2}
             for i, t in enumerate(ADDED)]
    base = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None, "pre_tokenizer": None,
            "post_processor": None, "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                                              "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "vocab": vocab, "merges": []}}
    ids = list(range(n)) + [n + 5, n + 6, n + 7]
    lists = [[], [0], [n + 2], [n + 5, 3, n + 6]]
    lists += [[rng.choice(ids + [n + 1] if rng.random() < 0.9 else [n + 5, n + 6, n + 7, 7]) for _ in range(rng.choice([1, 2, 4, 9, 20]))] for _ in range(60)]
    lists += [[i] for i in ids]
    lists += [[rng.choice([vocab["<0xE2>"], vocab["<0x82>"], vocab["<0xAC>"], vocab["<0x41>"], vocab["<0x+A>"], 0]) for _ in range(7)] for _ in range(12)]
    lists += [[rng.choice([vocab["\u00c3"], vocab["\u00a9"], vocab["\u00f0\u0141\u013b"], vocab["\u0124"], vocab["\u0120the"]]) for _ in range(6)] for _ in range(12)]
    cases = []
    for d in DECODERS:
        t = tokenizers.Tokenizer.from_str(json.dumps({**base, "decoder": d}))
        cases.append({"decoder": d, "whole": [t.decode(x, skip_special_tokens=False) for x in lists],
                      "plain": [t.decode(x, skip_special_tokens=True) for x in lists]})
    print(json.dumps({"made by": "make_decode.py, tokenizers 0.23.2", "tokenizer": base, "lists": lists, "cases": cases}))


main()
