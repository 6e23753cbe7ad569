/* For the keys_*.c tables: the columns of struct ax_key in one line, and the tables themselves. */
#ifndef AX_CONF_KEYS_H
#define AX_CONF_KEYS_H

#include "conf/key.h"

#define BOOL AX_KEY_BOOL
#define INT AX_KEY_INT
#define NUM AX_KEY_NUM
#define STR AX_KEY_STR
#define STRS AX_KEY_STRS
#define LIST AX_KEY_LIST
#define MAP AX_KEY_MAP
#define ANY (BOOL | INT | NUM | STR | LIST | MAP)

#define TOK AX_TOOL_TOKENIZE
#define PACK AX_TOOL_PACK
#define SHARD AX_TOOL_SHARD
#define TRAIN AX_TOOL_TRAIN
#define MERGE AX_TOOL_MERGE

/* Honoured; H_ALIAS with other spellings. */
#define H(name, type, dflt, limit, tools, help)                                                                        \
	{ name, NULL, type, dflt, limit, tools, 0, AX_KEY_HONOURED, help, NULL }
#define H_ALIAS(name, alias, type, dflt, limit, tools, help)                                                           \
	{ name, alias, type, dflt, limit, tools, 0, AX_KEY_HONOURED, help, NULL }
#define H_NEEDED(name, type, limit, tools, required, help)                                                             \
	{ name, NULL, type, NULL, limit, tools, required, AX_KEY_HONOURED, help, NULL }
/* Same result whatever the value. */
#define SAME(name, type, dflt, limit, tools, help)                                                                     \
	{ name, NULL, type, dflt, limit, tools, 0, AX_KEY_SAME, help, NULL }
#define SAME_ALIAS(name, alias, type, dflt, limit, tools, help)                                                        \
	{ name, alias, type, dflt, limit, tools, 0, AX_KEY_SAME, help, NULL }
#define EXACT(name, type, dflt, limit, tools, help, what)                                                              \
	{ name, NULL, type, dflt, limit, tools, 0, AX_KEY_EXACT, help, what }
#define SIDE(name, type, dflt, tools, help, what)                                                                      \
	{ name, NULL, type, dflt, NULL, tools, 0, AX_KEY_SIDE, help, what }
#define NO(name, type, dflt, tools, help, why)                                                                         \
	{ name, NULL, type, dflt, NULL, tools, 0, AX_KEY_REFUSED, help, why }
#define NO_ALIAS(name, alias, type, dflt, tools, help, why)                                                            \
	{ name, alias, type, dflt, NULL, tools, 0, AX_KEY_REFUSED, help, why }
#define END                                                                                                            \
	{ NULL, NULL, 0, NULL, NULL, 0, 0, AX_KEY_HONOURED, NULL, NULL }

extern const struct ax_key ax_keys_model[], ax_keys_tokenizer[], ax_keys_batch[], ax_keys_optim[], ax_keys_memory[],
	ax_keys_data[], ax_keys_entry[], ax_keys_save[], ax_keys_track[], ax_keys_parallel[], ax_keys_plugin[],
	ax_keys_other[], ax_keys_old[];

#endif
