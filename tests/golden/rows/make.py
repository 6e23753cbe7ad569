"""Makes model/: a small byte-level BPE tokenizer with chat tokens and a template, for the tests of rows and of ax-tokenize.
usage: python make.py    (tokenizers 0.23)"""
import json
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

text = """The quick brown fox jumps over the lazy dog. Hello world, how are you today? I am fine, thank you.
Name three primary colors: red, blue and yellow. What is the capital of France? Paris is the capital of France.
user assistant system tool content reasoning answer question instruction response text model train"""
tok = Tokenizer(models.BPE())
tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
tok.decoder = decoders.ByteLevel()
trainer = trainers.BpeTrainer(vocab_size=400, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
tok.train_from_iterator([text] * 3, trainer)
names = ["<s>", "</s>", "<|im_start|>", "<|im_end|>", "<pad>"]
tok.add_special_tokens([AddedToken(n, special=True, normalized=False) for n in names])
tok.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s> $B",
                                                   special_tokens=[("<s>", tok.token_to_id("<s>"))])
tok.save("model/tokenizer.json", pretty=False)
template = ("{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' }}"
            "{% if m.reasoning_content %}{{ '<think>\\n' + m.reasoning_content + '\\n</think>\\n' }}{% endif %}"
            "{{ m['content'] | trim }}{% for c in m.tool_calls %}{{ '\\n<call>' + c['function'] | tojson + '</call>' }}{% endfor %}"
            "{{ '<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}")
with open("model/tokenizer_config.json", "w") as f:
    json.dump({"bos_token": "<s>", "eos_token": "<|im_end|>", "pad_token": "<pad>", "chat_template": template,
               "tokenizer_class": "PreTrainedTokenizerFast"}, f, indent=1)
with open("model/config.json", "w") as f:
    json.dump({"model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 408, "hidden_size": 32,
               "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1,
               "max_position_embeddings": 512, "rms_norm_eps": 1e-05, "tie_word_embeddings": True}, f, indent=1)
