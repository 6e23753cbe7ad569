/* { id prefix, "axolotl" | "exact" | "both", why }: see ax-tokenize(1), DIFFERENCES FROM AXOLOTL. */
{ "llama2-default-class/", "both", "transformers' LlamaTokenizer class gives other ids than tokenizer.json" },
