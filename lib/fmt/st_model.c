/* Hugging Face model folders: one safetensors file, or an index and its files. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "fmt/safetensors.h"
#include "text/json.h"

#define INDEX_NAME "model.safetensors.index.json"
#define INDEX_MAX ((size_t)256 << 20)

static int by_name(const void *x, const void *y)
{
	return strcmp(((const struct ax_st_entry *)x)->t->name, ((const struct ax_st_entry *)y)->t->name);
}

static int add_file(struct ax_st_model *m, const char *name, struct ax_err *e)
{
	char *path = ax_path_join(m->dir, name);
	struct ax_st_file *grown;
	int rc;

	if (!path)
		return ax_fail(e, AX_EMEM, "out of memory");
	grown = ax_realloc_array(m->file, m->n_file + 1, sizeof(*grown));
	if (!grown) {
		ax_free(path);
		return ax_fail(e, AX_EMEM, "out of memory");
	}
	m->file = grown;
	rc = ax_st_open(&m->file[m->n_file], path, e);
	if (!rc)
		m->n_file++;
	ax_free(path);
	return rc;
}

static int open_file_once(struct ax_st_model *m, const char *name, struct ax_err *e)
{
	for (size_t i = 0; i < m->n_file; i++)
		if (!strcmp(ax_path_base(m->file[i].path), name))
			return 0;
	return add_file(m, name, e);
}

/* Open every file that the weight map names. */
static int open_indexed(struct ax_st_model *m, const struct ax_val *map, struct ax_arena *a, struct ax_err *e)
{
	if (!map || map->type != AX_MAP || map->n == 0)
		return ax_fail(e, AX_EDATA, "%s/%s: no weight_map", m->dir, INDEX_NAME);
	for (size_t i = 0; i < map->n; i++) {
		const char *name = ax_val_cstr(a, map->u.pair[i].val, NULL);

		if (!name || !ax_name_is_safe(name))
			return ax_fail(e, AX_EDATA, "%s/%s: %s: not a plain file name", m->dir, INDEX_NAME,
				       map->u.pair[i].key);
		AX_TRY(open_file_once(m, name, e));
	}
	return 0;
}

/* All tensors of all files in one sorted table; a name in two files is an error. */
static int collect(struct ax_st_model *m, struct ax_err *e)
{
	size_t n = 0;

	for (size_t i = 0; i < m->n_file; i++)
		n += m->file[i].n_tensor;
	m->entry = ax_calloc(n, sizeof(*m->entry));
	if (!m->entry)
		return ax_fail(e, AX_EMEM, "out of memory");
	for (size_t i = 0; i < m->n_file; i++)
		for (size_t j = 0; j < m->file[i].n_tensor; j++)
			m->entry[m->n_entry++] = (struct ax_st_entry){&m->file[i].tensor[j], &m->file[i]};
	qsort(m->entry, m->n_entry, sizeof(*m->entry), by_name);
	for (size_t i = 1; i < m->n_entry; i++)
		if (!strcmp(m->entry[i].t->name, m->entry[i - 1].t->name))
			return ax_fail(e, AX_EDATA, "%s: tensor %s is in two files", m->dir, m->entry[i].t->name);
	return 0;
}

static int check_index(const struct ax_st_model *m, const struct ax_val *map, struct ax_err *e)
{
	for (size_t i = 0; map && i < map->n; i++) {
		const struct ax_st_entry *x = ax_st_model_find(m, map->u.pair[i].key);

		if (!x || !ax_val_is(map->u.pair[i].val, ax_path_base(x->file->path)))
			return ax_fail(e, AX_EDATA, "%s: the index promises tensor %s, its file does not have it",
				       m->dir, map->u.pair[i].key);
	}
	return 0;
}

static int open_all(struct ax_st_model *m, struct ax_arena *a, struct ax_err *e)
{
	char *index = ax_path_join(m->dir, INDEX_NAME), *single = ax_path_join(m->dir, "model.safetensors");
	const struct ax_val *map = NULL;
	struct ax_val *v;
	int rc;

	if (!index || !single) {
		rc = ax_fail(e, AX_EMEM, "out of memory");
	} else if (ax_path_exists(index)) {
		rc = ax_json_file(a, index, INDEX_MAX, &v, e);
		if (!rc) {
			map = ax_val_get(v, "weight_map");
			rc = open_indexed(m, map, a, e);
		}
	} else if (ax_path_exists(single)) {
		rc = add_file(m, "model.safetensors", e);
	} else {
		rc = ax_fail(e, AX_EIO, "%s: no model.safetensors and no %s: no weights here", m->dir, INDEX_NAME);
	}
	ax_free(index);
	ax_free(single);
	if (!rc)
		rc = collect(m, e);
	return rc ? rc : check_index(m, map, e);
}

int ax_st_model_open(struct ax_st_model *m, const char *dir, struct ax_err *e)
{
	struct ax_arena a;
	int rc;

	memset(m, 0, sizeof(*m));
	m->dir = ax_strdup(dir);
	if (!m->dir)
		return ax_fail(e, AX_EMEM, "out of memory");
	ax_arena_init(&a, (size_t)2 << 30);
	rc = open_all(m, &a, e);
	ax_arena_release(&a);
	if (rc)
		ax_st_model_close(m);
	return rc;
}

const struct ax_st_entry *ax_st_model_find(const struct ax_st_model *m, const char *name)
{
	struct ax_st_tensor t = {.name = name};
	struct ax_st_entry key = {&t, NULL};

	return m->n_entry ? bsearch(&key, m->entry, m->n_entry, sizeof(key), by_name) : NULL;
}

void ax_st_model_close(struct ax_st_model *m)
{
	for (size_t i = 0; i < m->n_file; i++)
		ax_st_close(&m->file[i]);
	ax_free(m->file);
	ax_free(m->entry);
	ax_free(m->dir);
	memset(m, 0, sizeof(*m));
}
