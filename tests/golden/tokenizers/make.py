#!/usr/bin/env python3
"""Make the small tokenizers of this folder and goldens.json: the ids that the package tokenizers 0.23.2 gives.

The training text is below; everything here is our own. usage: make.py (in this folder)
"""
import json
import random

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers as N, pre_tokenizers as P, processors, trainers

TEXT = """The quick brown fox jumps over the lazy dog. The dog didn't mind; it's a lazy dog, after all.
We're packing rows into bins, and they've been packed: 12 rows, 345 tokens, 6789 bytes, 100% full.
def encode(text):\n\treturn [byte for byte in text.encode("utf-8")]  # one id a byte
for (int i = 0; i < n; i++)\n\tsum += a[i] * b[i];
Größe, Übung und Straße: der Fuchs läuft über die Brücke. L'été dernier, nous avons mangé des crêpes à Besançon.
Быстрая лиса прыгает через ленивую собаку. 素早い茶色の狐が怠け者の犬を飛び越える。敏捷的棕色狐狸跳过了懒狗。
안녕하세요 여우와 개. नमस्ते दुनिया, लोमड़ी कुत्ते के ऊपर कूदती है। 😀😃🎉 ok? ok! http://example.org/a_b?c=d&e=f
the the the dog dog fox fox and and in in of of to to a a is is it it that that was was for for on on
""".split("\n")

LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
CHAT = ["<|bos|>", "<|user|>", "<|end|>"]


def byte_level(size, pre, normalizer=None, specials=(), **model):
    t = Tokenizer(models.BPE(**model))
    t.normalizer = normalizer
    t.pre_tokenizer = pre
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator(TEXT, trainers.BpeTrainer(vocab_size=size, initial_alphabet=sorted(P.ByteLevel.alphabet()), special_tokens=list(specials),
                                                    show_progress=False))
    return t


def sentencepiece(prepend, size=420):
    """Characters, <0xNN> for the rest, a space as U+2581: merges come from a word-cut training, then the cut is dropped."""
    t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    t.pre_tokenizer = P.Metaspace()
    pieces = ["<unk>", "<s>", "</s>"] + ["<0x%02X>" % b for b in range(256)]
    t.train_from_iterator(TEXT, trainers.BpeTrainer(vocab_size=size + 100, limit_alphabet=60, special_tokens=pieces, show_progress=False))
    j = json.loads(t.to_str())
    if prepend == "normalizer":
        j["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "\u2581"},
                                                               {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]}
        j["pre_tokenizer"] = None
    else:
        j["pre_tokenizer"] = {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "first", "split": False}
    j["added_tokens"] = j["added_tokens"][:3]
    t = Tokenizer.from_str(json.dumps(j))
    t.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)])
    return t


def build():
    llama3 = P.Sequence([P.Split(Regex(LLAMA3), "isolated"), P.ByteLevel(add_prefix_space=False, use_regex=False)])
    out = {}
    t = out["bytes-llama3"] = byte_level(400, llama3, specials=CHAT, ignore_merges=True)
    t.post_processor = processors.TemplateProcessing(single="<|bos|> $A", pair="<|bos|> $A $B", special_tokens=[("<|bos|>", t.token_to_id("<|bos|>"))])
    t = out["bytes-nfc-digits"] = byte_level(360, P.Sequence([P.Digits(individual_digits=True), P.ByteLevel(add_prefix_space=True)]), N.NFC())
    t.add_tokens([AddedToken("<lstrip>", lstrip=True, normalized=False), AddedToken("<rstrip>", rstrip=True, normalized=False),
                  AddedToken("word", single_word=True, normalized=False), AddedToken("Gr\u00f6\u00dfe", normalized=True),
                  AddedToken("<x>", normalized=False), AddedToken("<x><y>", normalized=False)])
    t.add_special_tokens([AddedToken("<|end|>", normalized=False)])
    t = out["bytes-regex"] = byte_level(330, P.Sequence([P.Split(Regex(r"[\p{Han}\p{Hiragana}]+|(?i:[sdmt]|ll)|[[:digit:]]{1,2}+|\S&&[^a]"), "merged_with_next"),
                                                          P.Punctuation("contiguous"), P.ByteLevel(add_prefix_space=False), P.Digits()]))
    t.post_processor = processors.RobertaProcessing(("b", t.token_to_id("b")), ("a", t.token_to_id("a")))
    out["sp-prepend"] = sentencepiece("normalizer")
    out["sp-metaspace"] = sentencepiece("first")
    t = Tokenizer(models.BPE(unk_token="[UNK]", end_of_word_suffix="</w>"))
    t.normalizer = N.Sequence([N.NFKD(), N.StripAccents(), N.Lowercase(), N.Strip(), N.Replace(Regex(r"\d+"), "0")])
    t.pre_tokenizer = P.Whitespace()
    t.train_from_iterator(TEXT, trainers.BpeTrainer(vocab_size=200, end_of_word_suffix="</w>", limit_alphabet=40, special_tokens=["[UNK]"], show_progress=False))
    out["words-suffix"] = t
    t = Tokenizer(models.BPE(continuing_subword_prefix="##"))
    t.normalizer = N.BertNormalizer(lowercase=True)
    t.pre_tokenizer = P.BertPreTokenizer()
    t.train_from_iterator(TEXT, trainers.BpeTrainer(vocab_size=200, continuing_subword_prefix="##", limit_alphabet=40, show_progress=False))
    out["words-prefix"] = t
    return out


def inputs():
    rnd = random.Random(7)
    parts = ["Hello world", "the dog", " ", "  ", "\n", "\r\n\r\n", "\t", "'s", "'S", "'\u017f", "don't", "1", "12345", "\u00e9", "e\u0301", "\u1e0d\u0307", "\ufb01",
             "\u2581", "\uac00", "\u1100\u1161\u11a8", "<|bos|>", "<|end|>", "<x>", "<x><y>", " <lstrip>", "<rstrip>  ", "word", "words", "Gr\u00f6\u00dfe",
             "Gro\u0308\u00dfe", "\u7d20\u65e9\u3044", "\u041b\u0438\u0441\u0430", "\U0001F600\U0001F3FD", "<s>", "</s>", "<0x41>", "\x00", "\ufeff", "\u3000", "\u0085",
             "\u0130", "\u03a3", "!?", "...", "_a_b", "a" * 70, "ab" * 40, "=" * 33, " " * 20, "\u0b95\u0bcd", "\u20ac", "\u2167", "\u00bd", "\U0001D7D9", "\U0010FFFF"]
    out = ["", " ", TEXT[0], "\n".join(TEXT)] + parts
    for _ in range(150):
        out.append("".join(rnd.choice(parts) for _ in range(rnd.randint(2, 12))))
    for _ in range(50):
        out.append("".join(chr(rnd.choice([rnd.randint(32, 126), rnd.randint(0xA0, 0x2FF), rnd.randint(0x300, 0x36F), rnd.randint(0x370, 0xD7FF),
                                           rnd.randint(0xE000, 0x10FFFF)])) for _ in range(rnd.randint(1, 30))))
    return out


def main():
    texts = inputs()
    golden = {"inputs": texts, "ids": {}}
    for name, t in build().items():
        t.save(name + ".json", pretty=False)
        t = Tokenizer.from_file(name + ".json")
        golden["ids"][name] = [[t.encode(x, add_special_tokens=False).ids, t.encode(x).ids[: 3]] for x in texts]
    with open("goldens.json", "w") as f:
        json.dump(golden, f, separators=(",", ":"))


main()
