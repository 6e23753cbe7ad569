#!/usr/bin/env python3
"""Folders that have a SentencePiece model and no tokenizer.json, against transformers' AutoTokenizer.

usage: spm.py GEN_IDS MB SEED MODEL... -- TEXT...
Each model is put into folders with no config, with LlamaTokenizer's and GemmaTokenizer's, with settings of each and named
special tokens; and small models are trained here, with user-defined and control pieces, with and without byte_fallback
and character maps. Prints one TAP line a folder; the first differences are described on stderr.
"""
import io
import json
import os
import random
import shutil
import sys
import tempfile

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import sentencepiece  # noqa: E402
from differential import texts  # noqa: E402
from random_tokenizers import ours  # noqa: E402
from transformers import AutoTokenizer  # noqa: E402

TOKEN = {"__type": "AddedToken", "content": "<s>", "lstrip": False, "normalized": True, "rstrip": False, "single_word": False}
CONFIGS = [
    ("plain", None, None),
    ("bos-eos", {"add_bos_token": True, "add_eos_token": True}, {"model_type": "mistral"}),
    ("no-bos", {"bos_token": None, "add_bos_token": True, "pad_token": "<pad>", "tokenizer_class": "PreTrainedTokenizerFast"}, None),
    ("llama", {"tokenizer_class": "LlamaTokenizer"}, {"model_type": "llama"}),
    ("llama-legacy", {"tokenizer_class": "LlamaTokenizerFast", "legacy": True, "add_bos_token": True, "bos_token": TOKEN, "unk_token": dict(TOKEN, content="<unk>"), "pad_token": "[PAD]"}, None),
    ("llama-no-prefix", {"tokenizer_class": "LlamaTokenizer", "add_prefix_space": False, "legacy": None, "add_eos_token": True}, {"model_type": "llama"}),
    ("llama-of-mistral", {"tokenizer_class": "LlamaTokenizer", "add_bos_token": True}, {"model_type": "mistral"}),
    ("gemma", {"tokenizer_class": "GemmaTokenizer", "add_bos_token": True}, {"model_type": "gemma2"}),
    ("gemma-by-model", None, {"model_type": "gemma3_text"}),
]


def trained(folder, corpus):
    """Small models of our own: name -> path."""
    lines = [x for x in open(corpus, encoding="utf-8", errors="ignore").read(400000).split("\n") if x.strip()][:4000]
    out = {}
    for name, kind, fallback, rule, extra in (("unigram-nfkc", "unigram", False, "nmt_nfkc", {}), ("unigram-bytes", "unigram", True, "identity", {}), ("unigram-cf", "unigram", False, "nmt_nfkc_cf", {"user_defined_symbols": ["<user>", "\u2581the"]}),
                                              ("bpe-bytes", "bpe", True, "identity", {"control_symbols": ["[C]"], "user_defined_symbols": ["<u1>", "qu"]}), ("bpe-nfkc", "bpe", False, "nfkc", {})):
        model = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(lines), model_writer=model, vocab_size=900, model_type=kind, byte_fallback=fallback, normalization_rule_name=rule, minloglevel=2,
                                                 hard_vocab_limit=False, character_coverage=0.999, **extra)
        out[name] = os.path.join(folder, name + ".model")
        open(out[name], "wb").write(model.getvalue())
    return out


def check(program, folder, name, batch):
    """None: transformers cannot load it; else how many texts differ."""
    try:
        tok = AutoTokenizer.from_pretrained(folder)
    except Exception as e:
        print("%s: transformers: %s" % (name, str(e)[:200]), file=sys.stderr)
        return None
    got, err = ours(program, folder, batch)
    if len(got) != len(batch):
        print("%s: %s" % (name, err), file=sys.stderr)
        return len(batch)
    bad = 0
    for s, g in zip(batch, got):
        for what, x, y in (("with special tokens", g[0], tok.encode(s)), ("ids", g[1], tok.encode(s, add_special_tokens=False))):
            if x != y:
                bad += 1
                k = next((k for k, (p, q) in enumerate(zip(x, y)) if p != q), min(len(x), len(y)))
                if bad <= 3:
                    print("%s: %a: %s: id %d: ours %s, theirs %s" % (name, s[:300], what, k, x[k:k + 8], y[k:k + 8]), file=sys.stderr)
                break
    return bad


def main():
    program, size, seed = sys.argv[1], float(sys.argv[2]) * 1e6, int(sys.argv[3])
    split = sys.argv.index("--")
    number = failed = 0
    with tempfile.TemporaryDirectory() as tmp:
        models = {os.path.basename(os.path.dirname(p)): p for p in sys.argv[4:split]}
        models.update(trained(tmp, sys.argv[split + 1]))
        for model, path in sorted(models.items()):
            spm = sentencepiece.SentencePieceProcessor(model_file=path)
            vocab = [spm.id_to_piece(i).encode() for i in range(spm.get_piece_size())]
            for what, config, model_config in CONFIGS:
                name, folder = "%s %s" % (model, what), os.path.join(tmp, "%s-%s" % (model, what))
                os.mkdir(folder)
                shutil.copy(path, os.path.join(folder, "tokenizer.model"))
                for file, value in (("tokenizer_config.json", config), ("config.json", model_config)):
                    if value is not None:
                        json.dump(value, open(os.path.join(folder, file), "w"))
                batch = texts(sys.argv[split + 1:], size, random.Random("%d %s" % (seed, name)), ["<s>", "</s>", "<unk>", "<user>", "[C]", "<u1>", "qu", "[INST]", "<bos>", "<pad>"], vocab, [])
                bad = check(program, folder, name, batch)
                number += 1
                failed += bool(bad)
                print("%s %d - %s%s" % ("not ok" if bad else "ok", number, name, " # SKIP transformers does not load it" if bad is None else ", %d texts, %d differ" % (len(batch), bad)), flush=True)
                shutil.rmtree(folder)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
