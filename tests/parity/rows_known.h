/*
 * { id prefix, "axolotl" | "exact" | "both", why, reasons }: see ax-tokenize(1), DIFFERENCES FROM AXOLOTL. The reasons are
 * what ax-tokenize --mask-diff must say of the case, all of them, in the order of enum ax_diff_reason.
 */
#define LAST_TURN "the template treats the last turn specially: earlier ones are mislabelled"
#define PLACEHOLDER "the placeholder's characters are lost from the answer"
#define BEGIN "reasoning and calls are trained from where the model begins to write"
#define PARTS "a token that holds an untrained part is not trained"
#define TEMPLATE "the template's own text differs with the placeholder, and is trained"
#define WINDOW "the end token is looked for in a window of three tokens"
#define CLOSING "the space before the first [/INST] is there, as in the published format, with every tokenizer"
#define PADDED "Axolotl pads every row, takes the end token for padding too, and then trains nothing"
{ "alpaca-edge/l2chat-gpt-first/", "both", PADDED, "" },
{ "instruct/llama2_chat/llama-2-2", "both", PADDED, "" },
{ "instruct/llama2_chat/", "both", CLOSING, "" },
{ "llama2-chat-pad/default-system/", "both", CLOSING, "" },
{ "llama2-chat-pad/system/llama-2", "both", "the beginning token behind the last answer is not trained", "" },
{ "llama2-default-class/", "both", "transformers' LlamaTokenizer class gives other ids than tokenizer.json", "" },
{ "chat/bundled/fallback-unused/", "exact", LAST_TURN, "last-turn" },
{ "chat/bundled/jinja-text-only/", "exact", LAST_TURN, "last-turn" },
{ "chat/detail/leading-space-trimmed/", "exact", "offsets count from the trimmed text", "shifted" },
{ "chat/detail/overlap/", "exact", PARTS, "straddles" },
{ "chat/detail/straddle/", "exact", PARTS, "straddles" },
{ "chat/eot/too-far/", "exact", WINDOW, "merged window before-end" },
{ "chat/opt/roles-user/mistral_v2v3/", "exact", LAST_TURN, "last-turn" },
{ "chat/opt/toi-eos-last/mistral_v2v3/", "exact", LAST_TURN, "last-turn" },
{ "chat/shape/dummy-", "exact", PLACEHOLDER, "placeholder" },
{ "chat/shape/starts-like-dummy/", "exact", PLACEHOLDER, "placeholder" },
{ "chat/shape/extra-keys-mapped/", "exact", TEMPLATE, "template" },
{ "chat/shape/system-not-rendered/", "exact", "the template's last character is trained, because it merges with the placeholder", "merged" },
{ "chat/shape/loop-last/", "exact", LAST_TURN, "last-turn merged" },
{ "chat/think/kwargs-enable-false/", "exact", LAST_TURN, "last-turn" },
{ "chat/think/mapping-drops-key/", "exact", LAST_TURN, "last-turn begin" },
{ "chat/think/qwen3/two-turns/", "exact", LAST_TURN, "last-turn template" },
{ "chat/think/single-turn-qwen3/", "exact", TEMPLATE, "template" },
{ "chat/think/single-turn", "exact", BEGIN, "begin" },
{ "chat/think/split-off/", "exact", BEGIN, "begin" },
{ "chat/think/split-prefix-text/", "exact", BEGIN, "begin" },
{ "chat/think/split-reasoning/qwen3/qwen3", "exact", TEMPLATE, "template" },
{ "chat/think/split-reasoning/qwen3", "exact", BEGIN, "begin" },
{ "chat/tools/arguments-string/", "exact", LAST_TURN, "last-turn" },
{ "chat/tools/no-tools/", "exact", LAST_TURN, "last-turn" },
{ "chat/train/field-strings/", "exact", "the text \"false\" counts as true", "flag" },
{ "chat/train/field/mistral-v3", "exact", WINDOW, "window" },
