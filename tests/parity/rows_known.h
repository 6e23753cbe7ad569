/* { id prefix, "axolotl" | "exact" | "both", why }: see ax-tokenize(1), DIFFERENCES FROM AXOLOTL. */
#define LAST_TURN "the template treats the last turn specially: earlier ones are mislabelled"
#define PLACEHOLDER "the placeholder's characters are lost from the answer"
#define BEGIN "reasoning and calls are trained from where the model begins to write"
#define PARTS "a token that holds an untrained part is not trained"
#define WINDOW "the end token is looked for in a window of three tokens"
#define MERGED "the template's last character is trained, because it merges with the placeholder"
#define CLOSING "the space before the first [/INST] is there, as in the published format, with every tokenizer"
#define PADDED "Axolotl pads every row, takes the end token for padding too, and then trains nothing"
{ "alpaca-edge/l2chat-gpt-first/", "both", PADDED },
{ "instruct/llama2_chat/llama-2-2", "both", PADDED },
{ "instruct/llama2_chat/", "both", CLOSING },
{ "llama2-chat-pad/default-system/", "both", CLOSING },
{ "llama2-chat-pad/system/llama-2", "both", "the beginning token behind the last answer is not trained" },
{ "llama2-default-class/", "both", "transformers' LlamaTokenizer class gives other ids than tokenizer.json" },
{ "chat/bundled/fallback-unused/", "exact", LAST_TURN },
{ "chat/bundled/jinja-text-only/", "exact", LAST_TURN },
{ "chat/detail/leading-space-trimmed/", "exact", "offsets count from the trimmed text" },
{ "chat/detail/overlap/", "exact", PARTS },
{ "chat/detail/straddle/", "exact", PARTS },
{ "chat/eot/too-far/", "exact", WINDOW },
{ "chat/opt/roles-user/mistral_v2v3/", "exact", WINDOW },
{ "chat/opt/toi-eos-last/mistral_v2v3/", "exact", MERGED },
{ "chat/shape/dummy-", "exact", PLACEHOLDER },
{ "chat/shape/starts-like-dummy/", "exact", PLACEHOLDER },
{ "chat/shape/extra-keys-mapped/", "exact", MERGED },
{ "chat/shape/system-not-rendered/", "exact", MERGED },
{ "chat/shape/loop-last/", "exact", LAST_TURN },
{ "chat/think/kwargs-enable-false/", "exact", LAST_TURN },
{ "chat/think/mapping-drops-key/", "exact", LAST_TURN },
{ "chat/think/qwen3/two-turns/", "exact", LAST_TURN },
{ "chat/think/single-turn", "exact", BEGIN },
{ "chat/think/split-off/", "exact", BEGIN },
{ "chat/think/split-prefix-text/", "exact", BEGIN },
{ "chat/think/split-reasoning/", "exact", BEGIN },
{ "chat/tools/arguments-string/", "exact", BEGIN },
{ "chat/tools/no-tools/", "exact", BEGIN },
{ "chat/train/field-strings/", "exact", "the text \"false\" counts as true" },
{ "chat/train/field/mistral-v3", "exact", WINDOW },
