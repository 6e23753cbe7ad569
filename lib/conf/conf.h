/*
 * Settings: an Axolotl YAML, the command line and a stream's header resolved into one set of keys.
 *
 *	static const struct ax_opt opts[] = { ... };                 // the tool's own options
 *	static const struct ax_tool_spec spec = { "ax-pack", AX_TOOL_PACK, ... };
 *
 *	rc = ax_conf_init(&c, &spec, argc, argv, &e);                // c.done: -h, -V or --print-config was served
 *	rc = ax_conf_header(&c, header_keys, &e);                    // resolved data keys of the input stream, if any
 *	rc = ax_conf_check(&c, &e);                                  // refused keys, ranges, required keys of this tool
 *	n = ax_conf_int(&c, "sequence_len");                         // default of the key table if unset
 *
 * Order: command line, then -c FILE, then the header, then the default. A tool's own option beats a key of the same
 * name. null is unset. Key names are Axolotl's, nested ones with dots ("fsdp_config.offload_params"); aliases are
 * resolved on entry, so a getter takes the canonical name only. A getter of a name that has no row is a programming
 * error (assert).
 *
 * No library below tools takes a struct ax_conf: tools translate settings into small parameter structs.
 */
#ifndef AX_CONF_CONF_H
#define AX_CONF_CONF_H

#include "base/err.h"
#include "text/val.h"

enum ax_tool {
	AX_TOOL_TOKENIZE = 1 << 0,
	AX_TOOL_PACK = 1 << 1,
	AX_TOOL_SHARD = 1 << 2,
	AX_TOOL_TRAIN = 1 << 3,
	AX_TOOL_MERGE = 1 << 4,
	AX_TOOL_VIEW = 1 << 5,
};

enum ax_opt_type {
	AX_OPT_FLAG,
	AX_OPT_INT,
	AX_OPT_NUM,
	AX_OPT_STR,
	AX_OPT_SIZE, /* 1.5GiB, 200M, 4096 */
	AX_OPT_LIST, /* repeatable */
};

/* A tool's own option. The table is the help text, the completion and the man page's list (a test compares them). */
struct ax_opt {
	const char *name; /* without the dashes; "encode" */
	char letter;      /* 'o' for -o, or 0 */
	enum ax_opt_type type;
	const char *arg;  /* "FILE"; NULL for a flag */
	const char *dflt; /* shown in the help; NULL: none */
	const char *help; /* one line */
};

struct ax_tool_spec {
	const char *name;       /* "ax-pack" */
	enum ax_tool tool;
	const char *summary;    /* one line */
	const char *synopsis;   /* "[options] [FILE...]" */
	const char *example[2]; /* shown first by -h: "command    # what it does" */
	const struct ax_opt *opt;
	size_t n_opt;
};

/* Every tool has: -c/--config FILE, -o where it writes (own table), -q, -v, -@/--threads N, --json FILE,
 * --set KEY=YAML, --strict-keys, --print-config, --for TOOL, --get KEY, --no-provenance, -h/--help, -V/--version. */

struct ax_conf {
	struct ax_arena arena;
	const struct ax_tool_spec *spec;
	struct ax_val *cli, *file, *header; /* maps of canonical keys, in order of precedence */
	struct ax_val *own;                 /* the tool's own options and the common ones, by name */
	struct ax_val *val;                 /* the layers merged and normalised: what the getters read */
	struct ax_val *dflt;                /* defaults of the rows that have one, by full name */
	const char **operand;               /* pointers into argv */
	size_t n_operand;
	const char *config_path;            /* -c, or NULL */
	bool done;                          /* help, version or --print-config served: exit with 0 */
};

int ax_conf_init(struct ax_conf *c, const struct ax_tool_spec *spec, int argc, char **argv, struct ax_err *e);
int ax_conf_header(struct ax_conf *c, const struct ax_val *keys, struct ax_err *e);
int ax_conf_check(struct ax_conf *c, struct ax_err *e);
/* AX_EUSAGE naming the key, if it has no value: for keys that only some runs of a tool need. */
int ax_conf_require(const struct ax_conf *c, const char *key, struct ax_err *e);
/* Set a key as the command line would, over whatever was given: for operands and own options that stand for keys. */
int ax_conf_set(struct ax_conf *c, const char *key, const struct ax_val *v, struct ax_err *e);
void ax_conf_release(struct ax_conf *c);

/* Key getters: value in force, typed by the key's row. _str returns NULL when unset and without a default. */
const struct ax_val *ax_conf_get(const struct ax_conf *c, const char *key); /* NULL: unset and no default */
/* Given by a source: not by a default, nor by what follows from other keys. `--key null` takes a setting back. */
bool ax_conf_is_set(const struct ax_conf *c, const char *key);
bool ax_conf_bool(const struct ax_conf *c, const char *key);
int64_t ax_conf_int(const struct ax_conf *c, const char *key);
double ax_conf_num(const struct ax_conf *c, const char *key);
const char *ax_conf_str(struct ax_conf *c, const char *key);

/* Own and common options. _opt_str returns NULL, _opt_int and _opt_size `dflt`, when not given. */
bool ax_conf_opt_flag(const struct ax_conf *c, const char *name);
bool ax_conf_opt_given(const struct ax_conf *c, const char *name);
int64_t ax_conf_opt_int(const struct ax_conf *c, const char *name, int64_t dflt);
double ax_conf_opt_num(const struct ax_conf *c, const char *name, double dflt);
uint64_t ax_conf_opt_size(const struct ax_conf *c, const char *name, uint64_t dflt);
const char *ax_conf_opt_str(struct ax_conf *c, const char *name);
const struct ax_val *ax_conf_opt_list(const struct ax_conf *c, const char *name); /* list of strings */

/*
 * The resolved keys as a map: with `tools` (a set of enum ax_tool) those that change what these tools make, e.g. the data
 * keys for a header; with 0 all.
 */
struct ax_val *ax_conf_resolved(struct ax_conf *c, unsigned tools);

/*
 * A Hub name or a path -> a local folder or file. Local path first; then the Hugging Face cache ($HF_HUB_CACHE,
 * $HF_HOME/hub, ~/.cache/huggingface/hub). `kind` is "models" or "datasets". Missing: AX_EIO naming the places tried and
 * the `hf download` command. *path is in the conf's arena.
 */
int ax_hub_find(struct ax_conf *c, const char *kind, const char *name, const char *revision, const char **path,
		struct ax_err *e);
/*
 * `rc`, as it came. Where something is missing in a folder that is a snapshot of the Hugging Face cache, the message in e
 * gets the command that completes it.
 */
int ax_hub_hint(const char *path, int rc, struct ax_err *e);

#endif
