/* Which files of a data set's folder hold a split: data_files, what `datasets` saved, README.md, or the names of the files. */
#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "conf/hub.h"
#include "text/json.h"
#include "text/yaml.h"

#define DEPTH	   4
#define N_FILES	   ((size_t)100000)
#define README_MAX ((size_t)4 << 20)

struct finder {
	struct ax_conf *c;
	const char *shown; /* the data set's name in messages */
	const char *root;
	const char *split; /* without its slice */
	bool any_split;    /* the entry names none: files that say nothing will do */
	const char **all;  /* every data file below root, relative and sorted */
	size_t n_all, cap_all;
	const char **out;
	size_t n_out, cap_out;
	struct ax_err *e;
};

static int oom(struct finder *f)
{
	return ax_fail(f->e, AX_EMEM, "%s: out of memory", f->shown);
}

static int add(struct finder *f, const char *root, const char *name)
{
	struct ax_buf b = AX_BUF_INIT;
	char *s;

	ax_buf_addf(&b, "%s%s%s", root ? root : "", root && *root ? "/" : "", name);
	s = b.oom ? NULL : ax_arena_strndup(&f->c->arena, b.p, b.n);
	ax_buf_release(&b);
	if (!s || !AX_GROW(f->out, f->n_out, f->cap_out))
		return oom(f);
	if (root && !ax_path_exists(s)) /* a link of the cache to what was not downloaded */
		return ax_hub_hint(s, ax_fail(f->e, AX_EIO, "%s: %s is missing", f->shown, s), f->e);
	f->out[f->n_out++] = s;
	return 0;
}

static bool is_data(const char *name)
{
	static const char *const ext[] = {".jsonl", ".json", ".ndjson", ".txt", ".parquet", ".arrow", ".csv", ".tsv"};
	static const char *const packed[] = {"", ".gz", ".zst"};
	size_t n = strlen(name);

	for (size_t i = 0; i < sizeof(ext) / sizeof(*ext); i++)
		for (size_t j = 0; j < 3; j++) {
			size_t a = strlen(ext[i]), b = strlen(packed[j]);

			if (n > a + b && memcmp(name + n - b - a, ext[i], a) == 0 &&
			    strcmp(name + n - b, packed[j]) == 0)
				return strncmp(name, "dataset_info", 12) != 0 && strncmp(name, "dataset_dict", 12) != 0;
		}
	return false;
}

static int note_file(struct finder *f, const char *rel)
{
	const char *copy = ax_arena_strndup(&f->c->arena, rel, strlen(rel));

	if (f->n_all == N_FILES)
		return ax_fail(f->e, AX_EMEM, "%s: more than %zu data files", f->shown, N_FILES);
	if (!copy || !AX_GROW(f->all, f->n_all, f->cap_all))
		return oom(f);
	f->all[f->n_all++] = copy;
	return 0;
}

static int list_files(struct finder *f, const char *below, int depth)
{
	char *folder = ax_path_join(f->root, below);
	DIR *d = folder ? opendir(folder) : NULL;
	int rc = !folder ? oom(f) : !d ? ax_fail(f->e, AX_EIO, "cannot open %s:", folder) : 0;

	for (struct dirent *it; d && rc == 0 && (it = readdir(d));) {
		char *rel, *full;

		if (it->d_name[0] == '.' || !strcmp(it->d_name, "lost+found"))
			continue;
		rel = ax_path_join(*below ? below : NULL, it->d_name);
		full = rel ? ax_path_join(f->root, rel) : NULL;
		if (!full)
			rc = oom(f);
		else if (ax_path_is_dir(full) && depth > 0)
			rc = list_files(f, rel, depth - 1);
		else if (is_data(it->d_name))
			rc = note_file(f, rel);
		ax_free(rel);
		ax_free(full);
	}
	if (d)
		closedir(d);
	ax_free(folder);
	return rc;
}

static int by_name(const void *x, const void *y)
{
	return strcmp(*(const char *const *)x, *(const char *const *)y);
}

/* One character against ?, [abc], [0-9], [!x] or itself; *pat moves behind what it was held against. */
static bool matches_one(const char **pat, char c)
{
	const char *p = *pat, *end = *p == '[' ? strchr(p + 1 + (p[1] == '!') + (p[1] && p[1 + (p[1] == '!')] == ']'), ']') : NULL;
	bool not = end && p[1] == '!', in = false;

	if (!*p || *p == '*')
		return false;
	*pat = end ? end + 1 : p + 1;
	if (!end)
		return *p == c || (*p == '?' && c != '/');
	for (p += 1 + not; p < end; p++) {
		bool range = p[1] == '-' && p + 2 < end;

		in |= range ? p[0] <= c && c <= p[2] : *p == c;
		p += range ? 2 : 0;
	}
	return c != '/' && in != not;
}

/*
 * Shell pattern: * and the rest stay inside one part of the path, ** also crosses. Iterative, so that no pattern is slow:
 * the last * and the last ** before it are all that can need another try.
 */
static bool matches(const char *pat, const char *s)
{
	const char *star = NULL, *mark = NULL, *deep = NULL, *deep_mark = NULL;

	for (;;) {
		const char *next = pat;

		if (pat[0] == '*' && pat[1] == '*') {
			pat += pat[2] == '/' ? 3 : 2;
			deep = pat, deep_mark = s;
			star = NULL;
		} else if (*pat == '*')
			star = ++pat, mark = s;
		else if (!*s && !*pat)
			return true;
		else if (*s && matches_one(&next, *s))
			pat = next, s++;
		else if (star && *mark && *mark != '/')
			pat = star, s = ++mark;
		else if (deep && *deep_mark)
			pat = deep, s = ++deep_mark, star = NULL;
		else
			return false;
	}
}

static bool is_pattern(const char *s)
{
	return strpbrk(s, "*?[");
}

/* The files of f->all that match are taken. */
static int add_matches(struct finder *f, const char *pat)
{
	for (size_t i = 0; i < f->n_all; i++)
		if (matches(pat, f->all[i]))
			AX_TRY(add(f, f->root, f->all[i]));
	return 0;
}

/* A pattern without a data set's folder: looked for in the folder that it names before its first wildcard. */
static int add_loose(struct finder *f, const char *pat)
{
	size_t n = strcspn(pat, "*?[");
	int rc;

	while (n > 0 && pat[n - 1] != '/')
		n--;
	f->root = n > 1 ? ax_arena_strndup(&f->c->arena, pat, n - 1) : n ? "/" : ".";
	if (!f->root)
		return oom(f);
	f->n_all = 0;
	AX_TRY(list_files(f, "", DEPTH));
	if (f->n_all > 0)
		qsort(f->all, f->n_all, sizeof(*f->all), by_name);
	rc = add_matches(f, pat + n);
	f->root = NULL;
	return rc;
}

/* One pattern or name of data_files, relative to root. */
static int add_pattern(struct finder *f, const char *pat)
{
	size_t before = f->n_out;
	char *full;
	bool there;

	if (strncmp(pat, "./", 2) == 0)
		pat += 2;
	if (f->root && (*pat == '/' || strstr(pat, "..")))
		return ax_fail(f->e, AX_EUSAGE, "%s: data_files: %s leads out of the data set", f->shown, pat);
	full = ax_path_join(f->root, pat);
	if (!full)
		return oom(f);
	there = ax_path_exists(full);
	ax_free(full);
	if (there)
		return add(f, f->root, pat);
	if (!is_pattern(pat))
		return ax_fail(f->e, AX_EIO, "%s: data_files: no file %s in %s", f->shown, pat, f->root ? f->root : ".");
	AX_TRY(f->root ? add_matches(f, pat) : add_loose(f, pat));
	if (f->n_out == before)
		return ax_fail(f->e, AX_EIO, "%s: data_files: nothing matches %s in %s", f->shown, pat,
			       f->root ? f->root : ".");
	return 0;
}

static int add_patterns(struct finder *f, const struct ax_val *v)
{
	if (v->type == AX_STR)
		return add_pattern(f, ax_val_cstr(&f->c->arena, v, ""));
	for (size_t i = 0; i < ax_val_len(v); i++)
		AX_TRY(add_pattern(f, ax_val_cstr(&f->c->arena, ax_val_at(v, i), "")));
	return 0;
}

/* The `configs` of the front matter of README.md; NULL if it declares none. */
static const struct ax_val *declared(struct finder *f)
{
	char *path = ax_path_join(f->root, "README.md");
	struct ax_buf b = AX_BUF_INIT;
	struct ax_val *v = NULL;
	const char *end;

	if (path && ax_read_file(path, README_MAX, &b, NULL) == 0 && b.n > 4 && strncmp(b.p, "---\n", 4) == 0) {
		end = strstr(b.p + 3, "\n---");
		if (end && ax_yaml_parse(&f->c->arena, b.p + 4, (size_t)(end - b.p) - 3, &v, NULL) != 0)
			v = NULL;
	}
	ax_buf_release(&b);
	ax_free(path);
	const struct ax_val *configs = ax_val_get(v, "configs");

	return configs && configs->type == AX_LIST && configs->n > 0 ? configs : NULL;
}

static int from_declared(struct finder *f, const struct ax_val *configs, const char *name)
{
	const struct ax_val *chosen = NULL;

	for (size_t i = 0; i < configs->n; i++) {
		const struct ax_val *it = configs->u.item[i], *n = ax_val_get(it, "config_name");

		if (name ? ax_val_is(n, name)
			 : !chosen || ax_val_is(n, "default") || ax_val_bool_or(ax_val_get(it, "default"), false))
			chosen = it;
	}
	if (!chosen)
		return ax_fail(f->e, AX_EUSAGE, "%s: has no configuration \"%s\"", f->shown, name);
	const struct ax_val *files = ax_val_get(chosen, "data_files"), *data_dir = ax_val_get(chosen, "data_dir");

	if (!files && data_dir) {
		char pat[512];

		snprintf(pat, sizeof(pat), "%.*s/**", (int)(data_dir->type == AX_STR ? data_dir->n : 0),
			 data_dir->type == AX_STR ? data_dir->u.s : "");
		return add_pattern(f, pat);
	}
	if (!files || files->type == AX_STR ||
	    (files->n > 0 && ax_val_at(files, 0) && ax_val_at(files, 0)->type == AX_STR))
		return files ? add_patterns(f, files) : 0;
	for (size_t i = 0; i < ax_val_len(files); i++)
		if (ax_val_is(ax_val_get(ax_val_at(files, i), "split"), f->split))
			return add_patterns(f, ax_val_get(ax_val_at(files, i), "path"));
	return ax_fail(f->e, AX_EUSAGE, "%s: has no split \"%s\"", f->shown, f->split);
}

/* Does the path hold the word, with no letter or digit beside it? */
static bool has_word(const char *path, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = strstr(path, word); p; p = strstr(p + 1, word))
		if ((p == path || !isalnum((unsigned char)p[-1])) && !isalnum((unsigned char)p[n]))
			return true;
	return false;
}

/* 0 train, 1 validation, 2 test, -1: neither the name of a split nor a path that says one. */
static int split_of(const char *s, bool whole)
{
	static const char *const word[][4] = {
	    {"train", "training", "train", "train"},
	    {"validation", "valid", "dev", "val"},
	    {"test", "testing", "eval", "evaluation"},
	};

	for (int i = 0; i < 3; i++)
		for (int j = 0; j < 4; j++)
			if (whole ? strcmp(s, word[i][j]) == 0 : has_word(s, word[i][j]))
				return i;
	return -1;
}

static bool is_five(const char *s)
{
	return strspn(s, "0123456789") == 5;
}

/* "data/SPLIT-00000-of-00001.EXT", as the Hub writes data sets: the length of SPLIT; 0: another name. */
static size_t shard_split(const char *path)
{
	static const char of[] = "-of-";
	const char *p = strncmp(path, "data/", 5) == 0 && !strchr(path + 5, '/') ? strstr(path, of) : NULL;

	for (; p; p = strstr(p + 1, of))
		if (p - path > 11 && p[-6] == '-' && is_five(p - 5) && is_five(p + 4))
			return (size_t)(p - path) - 11;
	return 0;
}

static bool is_shard_of(const char *path, const char *split)
{
	size_t n = shard_split(path);

	return n > 0 && strlen(split) == n && memcmp(path + 5, split, n) == 0;
}

/* By what the files are called. Where they are shards by the Hub's pattern, a split is exactly the name in it. */
static int from_names(struct finder *f, const char *name)
{
	int want = split_of(f->split, true);
	size_t named = 0, sharded = 0;

	for (size_t i = 0; i < f->n_all; i++) {
		named += split_of(f->all[i], false) >= 0;
		sharded += shard_split(f->all[i]) > 0;
	}
	for (size_t i = 0; i < f->n_all; i++) {
		bool take;

		if (sharded > 0)
			take = is_shard_of(f->all[i], f->split);
		else if (named == 0)
			take = want == 0 || f->any_split;
		else
			take = want >= 0 ? split_of(f->all[i], false) == want : has_word(f->all[i], f->split);
		if (take && (!name || has_word(f->all[i], name)))
			AX_TRY(add(f, f->root, f->all[i]));
	}
	if (f->n_out > 0)
		return 0;
	if (f->n_all == 0)
		return ax_fail(f->e, AX_EIO, "%s: no data files in %s", f->shown, f->root);
	return ax_fail(f->e, AX_EUSAGE,
		       "%s: none of the %zu data files in %s is of split \"%s\"%s%s%s: name them in data_files",
		       f->shown, f->n_all, f->root, f->split, name ? " and configuration \"" : "", name ? name : "",
		       name ? "\"" : "");
}

/* --- folders that `datasets` saved --- */

/* NAME.json of a folder below root; *v is NULL if it is not there. */
static int read_json(struct finder *f, const char *folder, const char *name, struct ax_val **v)
{
	char *at = ax_path_join(f->root, folder), *path = at ? ax_path_join(at, name) : NULL;
	int rc = path ? 0 : oom(f);

	*v = NULL;
	if (!rc && ax_path_exists(path))
		rc = ax_json_file(&f->c->arena, path, README_MAX, v, f->e);
	ax_free(at);
	ax_free(path);
	return rc;
}

/* The files of a saved set in their order; *saved: the folder is one. */
static int from_state(struct finder *f, const char *folder, bool *saved)
{
	const struct ax_val *files;
	struct ax_val *state;

	AX_TRY(read_json(f, folder, "state.json", &state));
	files = ax_val_get(state, "_data_files");
	*saved = files != NULL;
	if (ax_val_len(ax_val_get(state, "_indices_data_files")) || ax_val_len(ax_val_get(state, "_indices_files")))
		return ax_fail(f->e, AX_EDATA, "%s: state.json: a choice of rows (indices) is not read: save it again with datasets 2 or later",
			       f->shown);
	for (size_t i = 0; i < ax_val_len(files); i++) {
		const char *name = ax_val_cstr(&f->c->arena, ax_val_get(ax_val_at(files, i), "filename"), "");
		char *path;
		int rc;

		if (!*name || strchr(name, '/'))
			return ax_fail(f->e, AX_EDATA, "%s: state.json: \"%s\" is no file of its folder", f->shown, name);
		path = ax_path_join(*folder ? folder : NULL, name);
		rc = path ? add(f, f->root, path) : oom(f);
		ax_free(path);
		if (rc)
			return rc;
	}
	return 0;
}

static void list_strings(struct ax_buf *b, const struct ax_val *list)
{
	for (size_t i = 0; i < ax_val_len(list); i++) {
		const struct ax_val *v = ax_val_at(list, i);

		if (v->type == AX_STR)
			ax_buf_addf(b, "%s%.*s", b->n ? ", " : "", (int)(v->n < 100 ? v->n : 100), v->u.s);
	}
}

/* A saved set, or a folder of them with one for each split: the files of the split; *saved is false if it is neither. */
static int from_saved(struct finder *f, bool *saved)
{
	struct ax_val *dict;
	const struct ax_val *splits;
	struct ax_buf known = AX_BUF_INIT;
	int rc = 0;

	AX_TRY(read_json(f, "", "dataset_dict.json", &dict));
	splits = ax_val_get(dict, "splits");
	if (!splits || splits->type != AX_LIST)
		return from_state(f, "", saved);
	for (size_t i = 0; i < splits->n; i++)
		if (*f->split && !strchr(f->split, '/') && f->split[0] != '.' && ax_val_is(splits->u.item[i], f->split))
			return from_state(f, f->split, saved);
	list_strings(&known, splits);
	rc = ax_fail(f->e, AX_EUSAGE, "%s: has no split \"%s\"; it has %s", f->shown, f->split, known.n ? known.p : "none");
	ax_buf_release(&known);
	return rc;
}

static int in_folder(struct finder *f, const struct ax_val *entry)
{
	const struct ax_val *files = ax_val_get(entry, "data_files"), *configs;
	const char *name = ax_val_cstr(&f->c->arena, ax_val_get(entry, "name"), NULL);
	bool saved = false;

	AX_TRY(list_files(f, "", DEPTH));
	if (f->n_all > 0)
		qsort(f->all, f->n_all, sizeof(*f->all), by_name);
	if (!ax_val_is_null(files))
		return add_patterns(f, files);
	AX_TRY(from_saved(f, &saved));
	if (saved)
		return 0;
	configs = declared(f);
	if (configs) {
		AX_TRY(from_declared(f, configs, name));
		if (f->n_out > 0)
			return 0;
	}
	return from_names(f, name);
}

static bool is_builder(const char *path)
{
	static const char *const name[] = {"json", "csv", "text", "parquet", "arrow"};

	for (size_t i = 0; i < sizeof(name) / sizeof(*name); i++)
		if (strcmp(path, name[i]) == 0)
			return true;
	return false;
}

/* Of files alone there is one split, as for Axolotl; another one's name would be passed over in silence. */
static int check_split(struct finder *f)
{
	if (f->any_split || !*f->split || !strcmp(f->split, "train"))
		return 0;
	return ax_fail(f->e, AX_EUSAGE, "%s: split \"%s\": a file has one split, train", f->shown, f->split);
}

static int find_files(struct finder *f, const struct ax_val *entry)
{
	const struct ax_val *files = ax_val_get(entry, "data_files");
	const char *revision = ax_val_cstr(&f->c->arena, ax_val_get(entry, "revision"), NULL), *at;

	if (is_builder(f->shown) && !ax_val_is_null(files) && !ax_path_exists(f->shown))
		return add_patterns(f, files);
	if (is_pattern(f->shown) && !ax_path_exists(f->shown)) {
		AX_TRY(check_split(f));
		AX_TRY(add_loose(f, f->shown));
		return f->n_out ? 0 : ax_fail(f->e, AX_EIO, "no file matches %s", f->shown);
	}
	AX_TRY(ax_hub_find(f->c, "datasets", f->shown, revision, &at, f->e));
	if (!ax_path_is_dir(at)) {
		AX_TRY(check_split(f));
		return add(f, NULL, at);
	}
	f->root = at;
	return in_folder(f, entry);
}

int ax_hub_dataset(struct ax_conf *c, const struct ax_val *entry, const char *dflt_split, const char *const **file,
		   size_t *n_file, struct ax_err *e)
{
	struct finder f = {.c = c, .e = e, .any_split = ax_val_is_null(ax_val_get(entry, "split"))};
	const char *split = ax_val_cstr(&c->arena, ax_val_get(entry, "split"), dflt_split);
	int rc;

	f.shown = ax_val_cstr(&c->arena, ax_val_get(entry, "path"), NULL);
	f.split = ax_arena_strndup(&c->arena, split, strcspn(split, "["));
	if (!f.shown)
		return ax_fail(e, AX_EUSAGE, "the entry has no path");
	rc = f.split ? find_files(&f, entry) : oom(&f);
	if (rc == 0) {
		const char **list = ax_arena_alloc(&c->arena, (f.n_out + 1) * sizeof(*list));

		if (list && f.n_out > 0)
			memcpy(list, f.out, f.n_out * sizeof(*list));
		*file = list;
		*n_file = f.n_out;
		rc = list ? 0 : oom(&f);
	}
	ax_free(f.all);
	ax_free(f.out);
	return rc;
}
