/* Chat templates by name, made of the files in lib/tok/chat by embed.sh; for tok/chat_builtin.c. */
#ifndef AX_TOK_CHAT_TEMPLATES_H
#define AX_TOK_CHAT_TEMPLATES_H

struct ax_chat_named {
	const char *name, *text;
};

/* Ascending by name; the last one has none. */
extern const struct ax_chat_named ax_chat_named[];

#endif
