/* Which files of a data set's folder hold a split: data_files, README.md, or the names of the files. */
#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "conf/hub.h"
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

static int list_files(struct finder *f, const char *below, int depth)
{
	char *folder = ax_path_join(f->root, below);
	DIR *d = folder ? opendir(folder) : NULL;
	int rc = folder ? 0 : oom(f);

	for (struct dirent *it; d && rc == 0 && (it = readdir(d));) {
		char *rel, *full;

		if (it->d_name[0] == '.')
			continue;
		rel = ax_path_join(*below ? below : NULL, it->d_name);
		full = rel ? ax_path_join(f->root, rel) : NULL;
		if (!full)
			rc = oom(f);
		else if (ax_path_is_dir(full) && depth > 0)
			rc = list_files(f, rel, depth - 1);
		else if (is_data(it->d_name) && f->n_all < N_FILES) {
			const char *copy = ax_arena_strndup(&f->c->arena, rel, strlen(rel));

			if (!copy || !AX_GROW(f->all, f->n_all, f->cap_all))
				rc = oom(f);
			else
				f->all[f->n_all++] = copy;
		}
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

/* Shell pattern: * and ? stay inside one part of the path, ** also crosses. Iterative, so that no pattern is slow. */
static bool matches(const char *pat, const char *s)
{
	const char *star = NULL, *mark = NULL;
	bool deep = false;

	while (*s) {
		if (*pat == '*') {
			deep = pat[1] == '*';
			pat += deep ? 2 : 1;
			if (deep && *pat == '/')
				pat++;
			star = pat, mark = s;
		} else if (*pat == *s || (*pat == '?' && *s != '/'))
			pat++, s++;
		else if (star && (deep || *mark != '/'))
			pat = star, s = ++mark;
		else
			return false;
	}
	while (*pat == '*')
		pat++;
	return *pat == '\0';
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
	if (!strpbrk(pat, "*?")) {
		full = ax_path_join(f->root, pat);
		if (!full)
			return oom(f);
		there = ax_path_exists(full);
		ax_free(full);
		return there ? add(f, f->root, pat)
			     : ax_fail(f->e, AX_EIO, "%s: data_files: no file %s in %s", f->shown, pat,
				       f->root ? f->root : ".");
	}
	for (size_t i = 0; i < f->n_all; i++)
		if (matches(pat, f->all[i]))
			AX_TRY(add(f, f->root, f->all[i]));
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

/* 0 train, 1 validation, 2 test, -1: the name says nothing. */
static int split_of(const char *path)
{
	static const char *const word[][4] = {
	    {"train", "training", "train", "train"},
	    {"validation", "valid", "dev", "val"},
	    {"test", "testing", "eval", "evaluation"},
	};

	for (int i = 0; i < 3; i++)
		for (int j = 0; j < 4; j++)
			if (has_word(path, word[i][j]))
				return i;
	return -1;
}

static int from_names(struct finder *f, const char *name)
{
	int want = split_of(f->split);
	size_t named = 0;

	for (size_t i = 0; i < f->n_all; i++)
		named += split_of(f->all[i]) >= 0;
	for (size_t i = 0; i < f->n_all; i++) {
		int is = split_of(f->all[i]);

		if (name && !has_word(f->all[i], name))
			continue;
		if (named == 0 ? want == 0 || f->any_split : want >= 0 ? is == want : has_word(f->all[i], f->split))
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

static int in_folder(struct finder *f, const struct ax_val *entry)
{
	const struct ax_val *files = ax_val_get(entry, "data_files"), *configs;
	const char *name = ax_val_cstr(&f->c->arena, ax_val_get(entry, "name"), NULL);

	AX_TRY(list_files(f, "", DEPTH));
	if (f->n_all > 0)
		qsort(f->all, f->n_all, sizeof(*f->all), by_name);
	if (!ax_val_is_null(files))
		return add_patterns(f, files);
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

static int find_files(struct finder *f, const struct ax_val *entry)
{
	const struct ax_val *files = ax_val_get(entry, "data_files");
	const char *revision = ax_val_cstr(&f->c->arena, ax_val_get(entry, "revision"), NULL), *at;

	if (is_builder(f->shown) && !ax_val_is_null(files) && !ax_path_exists(f->shown))
		return add_patterns(f, files);
	AX_TRY(ax_hub_find(f->c, "datasets", f->shown, revision, &at, f->e));
	if (!ax_path_is_dir(at))
		return add(f, NULL, at);
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
