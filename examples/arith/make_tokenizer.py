#!/usr/bin/env python3
"""Makes model/tokenizer.json and model/tokenizer_config.json: a byte-level BPE of 512 tokens trained on the generated rows,
with the two markers of ChatML. Needs PyPI's tokenizers; its output is in the tree, so nobody else does.
usage: awk -v n=4000 -v seed=7 -f gen.awk | python3 make_tokenizer.py model"""
import json, sys
from tokenizers import Tokenizer, models, pre_tokenizers, decoders, trainers

texts = [m["content"] for line in sys.stdin for m in json.loads(line)["messages"]]
tok = Tokenizer(models.BPE())
tok.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
tok.decoder = decoders.ByteLevel()
special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
tok.train_from_iterator(texts + ["user\n", "assistant\n", "system\n"] * 50,
                        trainers.BpeTrainer(vocab_size=512, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
tok.save(sys.argv[1] + "/tokenizer.json")
template = ("{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}"
            "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}")
json.dump({"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": None, "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>",
           "model_max_length": 2048, "clean_up_tokenization_spaces": False, "chat_template": template},
          open(sys.argv[1] + "/tokenizer_config.json", "w"), indent=2)
print(tok.get_vocab_size(), "tokens")
