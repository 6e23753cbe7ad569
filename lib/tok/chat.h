/*
 * Conversations: a row of a chat data set -> the messages that the template sees, and what of each is to be trained.
 *
 *	struct ax_chat c;
 *	AX_TRY(ax_chat_init(&c, entry, template_text, e));        // entry: one of `datasets`, a map
 *	AX_TRY(ax_chat_thread(&c, row, arena, &thread, e));       // for each row; everything lives in the arena
 *	ax_chat_release(&c);
 *
 * Keys of the entry: field_messages, message_property_mappings (with message_field_role, message_field_content), roles,
 * drop_system_message, split_thinking, message_field_training, message_field_training_detail, template_thinking_key,
 * roles_to_train. Keys whose value is null are removed from the row. The columns "system" and "tools" are used under
 * these names. Extra keys of a message reach the template if it mentions them. Tool-call arguments that are JSON text
 * are decoded. A message's content may be a list of parts {text, train|weight}.
 */
#ifndef AX_TOK_CHAT_H
#define AX_TOK_CHAT_H

#include <stdbool.h>

#include "base/err.h"
#include "base/mem.h"
#include "text/val.h"

/* A range of characters (code points) of a text, both ends included, and whether it is trained. */
struct ax_part {
	int64_t begin, end;
	bool train;
};

/* Parts of one text. given: the row has a list, though it may be empty. */
struct ax_parts {
	const struct ax_part *part;
	size_t n;
	bool given;
};

struct ax_turn {
	struct ax_val *msg;		/* as the template sees it */
	const struct ax_val *content;	/* msg.content; NULL if absent */
	const struct ax_val *reasoning; /* msg[thinking key]; NULL if absent */
	const struct ax_val *training;	/* the row's own flag; NULL: none */
	struct ax_parts detail, reasoning_detail;
	bool by_role; /* its role is one of roles_to_train */
	bool known_role; /* its role is one that `roles` maps to, or a well-known one: no free text */
};

struct ax_thread {
	struct ax_turn *turn;
	size_t n;
	struct ax_val *messages; /* list of the turns' msg */
	struct ax_val *tools;	 /* a non-empty list, or NULL */
};

struct ax_chat_pair {
	const char *from, *to;
	size_t from_n, to_n;
	bool trained; /* of a role: it is one of roles_to_train */
};

struct ax_chat {
	struct ax_arena arena;
	const char *f_messages, *f_training, *f_detail, *thinking_key;
	struct ax_chat_pair *map, *role; /* template property <- data property; source role -> role */
	size_t n_map, n_role;
	size_t thinking_n; /* bytes of thinking_key */
	const char **train_role;
	size_t n_train_role;
	bool drop_system, split_thinking;
	const char **word; /* identifiers in the template's text, sorted */
	size_t n_word;
};

/* AX_EUSAGE for contradicting or mistyped keys. `entry` and `text` are not kept. */
int ax_chat_init(struct ax_chat *c, const struct ax_val *entry, const char *text, struct ax_err *e);
void ax_chat_release(struct ax_chat *c);

/* AX_EDATA: no messages, a message without a role, malformed parts or JSON. */
int ax_chat_thread(const struct ax_chat *c, const struct ax_val *row, struct ax_arena *a, struct ax_thread *t,
		   struct ax_err *e);

/* For chat_thread.c: what `roles` makes of a source's name, or NULL; is the key one of the template's words? */
const struct ax_chat_pair *ax_chat_role(const struct ax_chat *c, const char *s, size_t n);
bool ax_chat_mentions(const struct ax_chat *c, const char *key, size_t n);

/* Does Python take the value for true? Null, false, 0, "", [] and {} are false. */
bool ax_val_truthy(const struct ax_val *v);

#endif
