/* What the files of lib/conf share beyond conf.h. */
#ifndef AX_CONF_INNER_H
#define AX_CONF_INNER_H

#include "conf/key.h"

/* Where a value came from: "run.yaml:12: name" or "--name". */
const char *ax_conf_where(const struct ax_conf *c, const char *name, char buf[512]);
/* ax_conf_check()'s part on when to evaluate, save and stop. */
int ax_conf_check_save(const struct ax_conf *c, struct ax_err *e);

/* Options that every tool has; ended by a row without a name. */
extern const struct ax_opt ax_conf_common[];

/* The row of an option of the tool or of all tools, NULL if there is none; `letter` as well where not 0. */
const struct ax_opt *ax_conf_own_option(const struct ax_tool_spec *spec, const char *name);

/* Read the command line into c->cli, c->own and c->operand; serves -h, -V and the hidden options (c->done). */
int ax_conf_parse(struct ax_conf *c, int argc, char **argv, struct ax_err *e);
/* Merge the layers into c->val and normalise them. */
int ax_conf_resolve(struct ax_conf *c, struct ax_err *e);
/* Does the command line change an element that its list does not have? ("--datasets.3.path" of a list of one) */
int ax_conf_check_indexes(struct ax_conf *c, struct ax_err *e);
/* Derive what follows from the keys that were given, as Axolotl's normalisation does. */
int ax_conf_normalise(struct ax_conf *c, struct ax_err *e);
int ax_conf_normalise_datasets(struct ax_conf *c, struct ax_err *e);
/* --print-config: the resolved keys to stdout. */
int ax_conf_print(struct ax_conf *c, struct ax_err *e);

/* --get KEY: its value to stdout. */
int ax_conf_print_key(struct ax_conf *c, struct ax_err *e);

/* Texts. ax_completion and ax_key_table: AX_EUSAGE for an unknown shell or format. */
void ax_help_text(const struct ax_tool_spec *spec, struct ax_buf *b);
int ax_completion(const struct ax_tool_spec *spec, const char *shell, struct ax_buf *b, struct ax_err *e);
void ax_key_table(struct ax_buf *b);

/* Rank that a launcher gave this process, from its environment; 0 without one. */
int ax_conf_launch_rank(void);

/* The built-in copy of a stock DeepSpeed file ("deepspeed_configs/zero3.json"), JSON text, or NULL. */
const char *ax_deepspeed_stock(const char *name);

#endif
