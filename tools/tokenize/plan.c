/* What to read: entries of the configuration, or files named on the command line. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/hub.h"
#include "tokenize.h"

static int no_memory(struct ax_err *e)
{
	return ax_fail(e, AX_EMEM, "out of memory");
}

int tk_effective(struct ax_conf *c, struct ax_effective **eff, const char **model_name, const char **model_dir,
		 struct ax_err *e)
{
	struct ax_tok_spec spec = {0};
	const char *dir = ax_conf_str(c, "tokenizer_config");

	*eff = NULL;
	*model_name = ax_conf_str(c, "base_model");
	if (!*model_name)
		return 0;
	AX_TRY(ax_conf_require(c, "base_model", e));
	AX_TRY(ax_hub_find(c, "models", *model_name, ax_conf_str(c, "revision_of_model"), &spec.model_dir, e));
	*model_dir = spec.model_dir;
	if (dir && strcmp(dir, *model_name))
		AX_TRY(ax_hub_find(c, "models", dir, NULL, &spec.tokenizer_dir, e));
	spec.special_tokens = ax_conf_get(c, "special_tokens");
	spec.tokens = ax_conf_get(c, "tokens");
	spec.added_tokens_overrides = ax_conf_get(c, "added_tokens_overrides");
	spec.chat_template = ax_conf_str(c, "chat_template");
	spec.chat_template_jinja = ax_conf_str(c, "chat_template_jinja");
	spec.resize_to_32x = ax_conf_bool(c, "resize_token_embeddings_to_32x");
	spec.shrink = ax_conf_bool(c, "shrink_embeddings");
	return ax_effective_open(eff, &spec, e);
}

/* --- files --- */

static int add_file(struct tk_plan *p, struct tk_entry *t, const char *path, struct ax_err *e)
{
	const char **list = ax_arena_alloc(&p->conf->arena, (t->n_file + 1) * sizeof(*list));

	if (!list)
		return no_memory(e);
	if (t->n_file)
		memcpy(list, t->file, t->n_file * sizeof(*list));
	list[t->n_file++] = ax_arena_strndup(&p->conf->arena, path, strlen(path));
	t->file = list;
	return list[t->n_file - 1] ? 0 : no_memory(e);
}

static int find_files(struct tk_plan *p, struct tk_entry *t, const struct ax_val *entry, struct ax_err *e)
{
	const char *const *file;
	size_t n_file;

	if (ax_val_is(ax_val_get(entry, "path"), "-"))
		return add_file(p, t, "-", e);
	if (ax_hub_dataset(p->conf, entry, t->eval ? "test" : "train", &file, &n_file, e))
		return ax_err_prefix(e, "%s: ", t->label);
	for (size_t i = 0; i < n_file; i++)
		AX_TRY(add_file(p, t, file[i], e));
	return 0;
}

/* A folder named on the command line stands for its files, as the path of an entry does. */
static int operand(struct tk_plan *p, struct tk_entry *t, const struct ax_val *entry, const char *path,
		   struct ax_err *e)
{
	struct ax_arena *a = &p->conf->arena;
	struct ax_val *copy, *name;

	if (!ax_path_is_dir(path))
		return add_file(p, t, path, e);
	copy = ax_val_copy(a, entry);
	name = ax_val_str(a, path, strlen(path));
	if (!copy || !name || !ax_val_set(a, copy, "path", name))
		return no_memory(e);
	ax_val_remove(copy, "data_files");
	return find_files(p, t, copy, e);
}

static int operands(struct tk_plan *p, struct tk_entry *t, const struct ax_val *entry, struct ax_err *e)
{
	const struct ax_conf *c = p->conf;
	bool have_stdin = false;

	for (size_t i = 0; i < c->n_operand; i++) {
		bool is_stdin = !strcmp(c->operand[i], "-");

		if (is_stdin && have_stdin)
			return ax_fail(e, AX_EUSAGE, "- is named twice: stdin can be read once");
		have_stdin |= is_stdin;
		AX_TRY(operand(p, t, entry, c->operand[i], e));
	}
	return 0;
}

static int read_format(struct tk_plan *p, struct tk_entry *t, const struct ax_val *entry, struct ax_err *e)
{
	static const struct {
		const char *name;
		enum ax_source_format format;
	} known[] = {{"json", AX_SOURCE_JSON},	{"jsonl", AX_SOURCE_JSON}, {"text", AX_SOURCE_TEXT},
		     {"txt", AX_SOURCE_TEXT},	{"csv", AX_SOURCE_CSV},	   {"tsv", AX_SOURCE_TSV},
		     {"arrow", AX_SOURCE_ARROW}, {"parquet", AX_SOURCE_PARQUET}};
	const struct ax_val *path = ax_val_get(entry, "path"), *type = ax_val_get(entry, "ds_type");
	const char *s = ax_val_cstr(&p->conf->arena, type, NULL);

	t->format = AX_SOURCE_AUTO;
	/* "path: csv" with data_files names the format, as "path: text" does in any case */
	for (size_t i = 0; !s && i < sizeof(known) / sizeof(*known); i++)
		if (ax_val_is(path, known[i].name) && !ax_path_exists(known[i].name) &&
		    (!strcmp(known[i].name, "text") || !ax_val_is_null(ax_val_get(entry, "data_files"))))
			s = known[i].name;
	for (size_t i = 0; s && i < sizeof(known) / sizeof(*known); i++)
		if (!strcmp(s, known[i].name)) {
			t->format = known[i].format;
			return 0;
		}
	return s ? ax_fail(e, AX_EUSAGE, "%s: ds_type: %s is not read; known are json, text, csv, tsv, parquet and arrow",
			   t->label, s)
		 : 0;
}

/* --- which records --- */

static int count_records(const struct tk_entry *t, uint64_t *total, struct ax_err *e)
{
	*total = 0;
	for (size_t i = 0; i < t->n_file; i++) {
		struct ax_source s;
		struct ax_record r;
		bool end = false;
		int rc;

		if (!strcmp(t->file[i], "-"))
			return ax_fail(e, AX_EUSAGE,
				       "%s: this split must know the number of rows: stdin cannot be read twice",
				       t->label);
		AX_TRY(ax_source_open(&s, t->file[i], t->format, 0, e));
		while (!(rc = ax_source_next(&s, &r, &end, e)) && !end)
			(*total)++;
		ax_source_close(&s);
		if (rc)
			return rc;
	}
	return 0;
}

static int choose_records(struct tk_entry *t, const struct ax_val *entry, struct ax_err *e)
{
	uint64_t total = UINT64_MAX;

	t->weight = ax_val_num_or(ax_val_get(entry, "weight"), 1);
	t->skip = (uint64_t)ax_val_int_or(ax_val_get(entry, "skip"), 0);
	if (tk_shard_read(ax_val_int_or(ax_val_get(entry, "shards"), 1), ax_val_int_or(ax_val_get(entry, "shards_idx"), 0),
			  "shards_idx", &t->shards, &t->shard, e))
		return ax_err_prefix(e, "%s: ", t->label);
	if (t->slice.needs_total)
		AX_TRY(count_records(t, &total, e));
	if (ax_slice_resolve(&t->slice, total, &t->begin, &t->end, e))
		return ax_err_prefix(e, "%s: ", t->label);
	if (t->begin < t->skip)
		t->begin = t->skip;
	return 0;
}

/* --- entries --- */

static void rows_opt(struct tk_plan *p, const char *model_name, struct ax_rows_opt *o)
{
	struct ax_conf *c = p->conf;
	const char *mask = ax_conf_opt_str(c, "mask");

	*o = (struct ax_rows_opt){.eff = p->eff,
				  .model_name = model_name,
				  .sequence_len = (uint32_t)ax_conf_int(c, "sequence_len"),
				  .train_on_inputs = ax_conf_bool(c, "train_on_inputs"),
				  .no_inject = ax_conf_opt_flag(c, "no-inject"),
				  .mask = mask && !strcmp(mask, "axolotl") ? AX_MASK_AXOLOTL : AX_MASK_EXACT,
				  .chat_template_kwargs = ax_conf_get(c, "chat_template_kwargs"),
				  .eot_tokens = ax_conf_get(c, "eot_tokens"),
				  .now = p->has_now ? &p->now : NULL};
}

/* The rows of an entry are made once, for all parts of its split. */
static int open_rows(struct tk_plan *p, struct tk_entry *t, const struct ax_val *entry, const struct ax_rows_opt *o,
		     struct ax_err *e)
{
	int rc = ax_rows_new(&t->rows, entry, o, e);

	if (rc && p->eff && !p->eff->tok)
		rc = ax_hub_hint(p->model_dir, rc, e);
	if (rc) {
		ax_err_prefix(e, "%s: ", t->label);
		return rc;
	}
	for (size_t i = 0; ax_rows_warning(t->rows, i); i++)
		ax_warn("%s: %s", t->label, ax_rows_warning(t->rows, i));
	return 0;
}

/* The part of an entry's split at *split, as an entry of the plan. `first`: that of the first part, or NULL. */
static int add_part(struct tk_plan *p, const struct ax_val *entry, const char **split, const struct tk_entry *first,
		    const char *label, bool eval, const struct ax_rows_opt *o, struct ax_err *e)
{
	struct tk_entry *t = &p->entry[p->n_entry];
	struct ax_arena *a = &p->conf->arena;
	struct ax_val *copy = ax_val_copy(a, entry);

	t->label = label;
	t->source = (uint32_t)p->n_entry;
	t->eval = eval;
	t->shares_rows = first != NULL;
	if (!copy)
		return no_memory(e);
	if (ax_slice_parse(&t->slice, split, e))
		return ax_err_prefix(e, "%s: ", label);
	if (t->slice.name[0] && !ax_val_set(a, copy, "split", ax_val_str(a, t->slice.name, strlen(t->slice.name))))
		return no_memory(e);
	if (first)
		t->rows = first->rows;
	else
		AX_TRY(open_rows(p, t, entry, o, e));
	p->n_entry++;
	if (first && p->conf->n_operand && !eval && strcmp(t->slice.name, first->slice.name))
		return ax_fail(e, AX_EUSAGE, "%s: files are named, but split has parts of \"%s\" and of \"%s\"", label,
			       first->slice.name, t->slice.name);
	AX_TRY(read_format(p, t, entry, e));
	AX_TRY(p->conf->n_operand && !eval ? operands(p, t, copy, e) : find_files(p, t, copy, e));
	for (size_t i = 0; first && i < t->n_file; i++)
		if (!strcmp(t->file[i], "-"))
			return ax_fail(e, AX_EUSAGE, "%s: a split of several parts: stdin cannot be read twice", label);
	t->hash = ax_arena_calloc(a, t->n_file + 1, sizeof(*t->hash));
	return t->hash ? choose_records(t, entry, e) : no_memory(e);
}

static int add_entry(struct tk_plan *p, const struct ax_val *entry, const char *list, size_t at, bool eval,
		     const struct ax_rows_opt *o, struct ax_err *e)
{
	const char *split = ax_val_cstr(&p->conf->arena, ax_val_get(entry, "split"), "");
	const struct tk_entry *first = NULL, *t = &p->entry[p->n_entry];
	char text[64], *label;

	snprintf(text, sizeof(text), "%s[%zu]", list, at);
	label = ax_arena_strndup(&p->conf->arena, text, strlen(text));
	if (!label)
		return no_memory(e);
	if (entry->type != AX_MAP)
		return ax_fail(e, AX_EUSAGE, "%s: expected a mapping", label);
	for (; split; first = t)
		AX_TRY(add_part(p, entry, &split, first, label, eval, o, e));
	return 0;
}

/* How many entries of the plan a list of the configuration can become. */
static size_t count_parts(const struct ax_val *list)
{
	size_t n = ax_val_len(list);

	for (size_t i = 0; i < ax_val_len(list); i++) {
		const struct ax_val *split = ax_val_get(ax_val_at(list, i), "split");

		for (size_t k = 0; split && split->type == AX_STR && k < split->n; k++)
			n += split->u.s[k] == '+';
	}
	return n;
}

/* An entry of pretraining_dataset without a type is of type pretrain. */
static int with_type(struct tk_plan *p, const struct ax_val *entry, const struct ax_val **out, struct ax_err *e)
{
	struct ax_arena *a = &p->conf->arena;
	struct ax_val *copy;

	*out = entry;
	if (entry->type != AX_MAP || !ax_val_is_null(ax_val_get(entry, "type")))
		return 0;
	*out = copy = ax_val_copy(a, entry);
	return copy && ax_val_set(a, copy, "type", ax_val_str(a, "pretrain", 8)) ? 0 : no_memory(e);
}

static int add_list(struct tk_plan *p, const char *key, bool eval, size_t limit, const struct ax_rows_opt *o,
		    struct ax_err *e)
{
	const struct ax_val *list = ax_conf_get(p->conf, key);

	if (ax_val_is_null(list))
		return 0;
	for (size_t i = 0; i < ax_val_len(list) && i < limit; i++) {
		const struct ax_val *entry = list->u.item[i];

		if (!strcmp(key, "pretraining_dataset"))
			AX_TRY(with_type(p, entry, &entry, e));
		AX_TRY(add_entry(p, entry, key, i, eval, o, e));
	}
	return 0;
}

/* --type with operands but without datasets: an entry made of both. */
static int entry_from_options(struct tk_plan *p, const struct ax_rows_opt *o, struct ax_err *e)
{
	const char *type = ax_conf_opt_str(p->conf, "type");
	struct ax_val *entry = ax_val_map(&p->conf->arena);

	if (!entry ||
	    (type && !ax_val_set(&p->conf->arena, entry, "type", ax_val_str(&p->conf->arena, type, strlen(type)))))
		return no_memory(e);
	return add_entry(p, entry, "datasets", 0, false, o, e);
}

static int plan_entries(struct tk_plan *p, const char *model_name, struct ax_err *e)
{
	struct ax_conf *c = p->conf;
	size_t n_train = ax_val_len(ax_conf_get(c, "datasets")), n_part;
	size_t n_pre = ax_val_len(ax_conf_get(c, "pretraining_dataset"));
	struct ax_rows_opt o;

	rows_opt(p, model_name, &o);
	n_part = count_parts(ax_conf_get(c, "datasets")) + count_parts(ax_conf_get(c, "test_datasets")) +
		 count_parts(ax_conf_get(c, "pretraining_dataset"));
	p->entry = ax_arena_calloc(&c->arena, n_part + 1, sizeof(*p->entry));
	if (!p->entry)
		return no_memory(e);
	if (c->n_operand && n_train > 1)
		return ax_fail(e, AX_EUSAGE, "files are named, but datasets has %zu entries: which type is meant?",
			       n_train);
	if (n_train == 0 && n_pre == 0) {
		if (!c->n_operand)
			return ax_fail(e, AX_EUSAGE, "no data: give -c FILE with datasets, or --type and files");
		AX_TRY(entry_from_options(p, &o, e));
	} else if (n_train) {
		AX_TRY(add_list(p, "datasets", false, SIZE_MAX, &o, e));
	} else {
		if (n_pre > 1)
			ax_warn("pretraining_dataset: only the first of %zu entries is read, as by Axolotl", n_pre);
		AX_TRY(add_list(p, "pretraining_dataset", false, 1, &o, e));
	}
	return add_list(p, "test_datasets", true, SIZE_MAX, &o, e);
}

/* What is written must not take the place of what is read: unlike a stream, data cannot be made again. */
static int spare_inputs(const struct tk_plan *p, struct ax_err *e)
{
	static const char *const option[] = {"output", "rejects", "json"};

	for (size_t k = 0; k < sizeof(option) / sizeof(*option); k++) {
		const char *path = ax_conf_opt_str(p->conf, option[k]);

		if (!path || !ax_path_exists(path))
			continue;
		for (size_t i = 0; i < p->n_entry; i++)
			for (size_t j = 0; j < p->entry[i].n_file; j++)
				if (ax_path_same(path, p->entry[i].file[j]))
					return ax_fail(e, AX_EUSAGE, "--%s %s is a file of the data", option[k], path);
	}
	return 0;
}

/* --model and --type stand for keys. */
static int options_to_keys(struct ax_conf *c, struct ax_err *e)
{
	const char *model = ax_conf_opt_str(c, "model"), *type = ax_conf_opt_str(c, "type");
	const struct ax_val *sets = ax_conf_get(c, "datasets");

	if (model)
		AX_TRY(ax_conf_set(c, "base_model", ax_val_str(&c->arena, model, strlen(model)), e));
	if (type && ax_val_len(sets) > 1)
		return ax_fail(e, AX_EUSAGE, "--type, but datasets has %zu entries: which is meant?", ax_val_len(sets));
	if (type && ax_val_len(sets) > 0)
		AX_TRY(ax_conf_set(c, "datasets.0.type", ax_val_str(&c->arena, type, strlen(type)), e));
	return 0;
}

int tk_plan_init(struct tk_plan *p, struct ax_conf *c, bool need_data, struct ax_err *e)
{
	const char *now = ax_conf_opt_str(c, "now"), *model_name;

	memset(p, 0, sizeof(*p));
	p->conf = c;
	p->seed = (uint64_t)ax_conf_int(c, "seed");
	AX_TRY(options_to_keys(c, e));
	if (now) {
		if (ax_jinja_now(&p->now, now, e))
			return ax_err_prefix(e, "--now %s: ", now);
		p->has_now = true;
	}
	AX_TRY(tk_effective(c, &p->eff, &model_name, &p->model_dir, e));
	if (!need_data)
		return 0;
	AX_TRY(plan_entries(p, model_name, e));
	return spare_inputs(p, e);
}

void tk_plan_release(struct tk_plan *p)
{
	for (size_t i = 0; i < p->n_entry; i++)
		if (!p->entry[i].shares_rows)
			ax_rows_free(p->entry[i].rows);
	if (p->eff)
		ax_effective_free(p->eff);
}
