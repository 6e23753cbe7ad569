#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "fmt/safetensors.h"
#include "text/json.h"
#include "tok/show.h"
#include "train/ckpt.h"
#include "view.h"

/* Text from a file, so that it does nothing to a terminal. */
static void print_plain(const char *text, int width)
{
	struct ax_buf b = AX_BUF_INIT;

	ax_show_line(&b, text, strlen(text));
	printf("%-*s", width, b.p ? b.p : "");
	ax_buf_release(&b);
}

static void show_tensor(const struct ax_st_tensor *t)
{
	print_plain(t->name, 60);
	printf(" %-5s [", ax_st_dtype_name(t->dtype));
	for (int i = 0; i < t->n_dim; i++)
		printf("%s%lld", i ? ", " : "", (long long)t->dim[i]);
	printf("]\n");
}

static bool put(struct ax_arena *a, struct ax_val *m, const char *key, uint64_t n)
{
	return ax_val_set(a, m, key, ax_val_int(a, (int64_t)n));
}

static void add_json(struct view *v, const char *path, const char *kind, uint64_t tensors, uint64_t bytes)
{
	struct ax_arena *a = &v->arena;
	struct ax_val *m = ax_val_map(a);
	bool ok = m && ax_val_set(a, m, "file", ax_val_str(a, path, strlen(path))) &&
		  ax_val_set(a, m, "kind", ax_val_str(a, kind, strlen(kind))) && put(a, m, "tensors", tensors) &&
		  put(a, m, "bytes", bytes);

	if (!ok) {
		v->json->oom = true;
		return;
	}
	ax_json_write(v->json, m, 0);
	ax_buf_addc(v->json, '\n');
}

/* "ok, 12 tensors, all with a checksum" or how many had none. */
static void say_checked(const char *path, size_t n, size_t checked)
{
	if (checked == n)
		printf("%s: ok, %zu tensors, checksums agree\n", path, n);
	else
		printf("%s: ok, %zu tensors, of which %zu carry a checksum\n", path, n, checked);
}

int view_safetensors(struct view *v, const char *path, struct ax_err *e)
{
	struct ax_st_file f;
	size_t checked = 0;
	char size[32];
	int rc = 0;

	AX_TRY(ax_st_open(&f, path, e));
	if (v->check)
		rc = ax_st_check(&f, &checked, e);
	if (!rc && v->json) {
		add_json(v, path, "safetensors", f.n_tensor, f.map.n - f.data_off);
	} else if (!rc && v->check) {
		say_checked(path, f.n_tensor, checked);
	} else if (!rc) {
		printf("%s: safetensors file, %zu tensors, %s\n", path, f.n_tensor,
		       ax_human_bytes(f.map.n - f.data_off, size));
		for (size_t i = 0; i < f.n_tensor; i++)
			show_tensor(&f.tensor[i]);
	}
	ax_st_close(&f);
	return rc;
}

/* config.json must at least be JSON; what it describes is checked by whoever uses the model. */
static int check_config(struct view *v, const char *dir, const struct ax_val **config, struct ax_err *e)
{
	char *path = ax_path_join(dir, "config.json");
	struct ax_val *c = NULL;
	int rc = path ? ax_json_file(&v->arena, path, (size_t)16 << 20, &c, e) : ax_fail(e, AX_EMEM, "out of memory");

	*config = c;
	ax_free(path);
	return rc;
}

static int show_model(struct view *v, const struct ax_st_model *m, const struct ax_val *config, struct ax_err *e)
{
	uint64_t bytes = 0;
	size_t checked = 0, n;
	char size[32];

	for (size_t i = 0; i < m->n_file; i++) {
		bytes += m->file[i].map.n - m->file[i].data_off;
		if (!v->check)
			continue;
		AX_TRY(ax_st_check(&m->file[i], &n, e));
		checked += n;
	}
	if (v->json) {
		add_json(v, m->dir, "model", m->n_entry, bytes);
	} else if (v->check) {
		say_checked(m->dir, m->n_entry, checked);
	} else {
		printf("%s: model folder, ", m->dir);
		print_plain(ax_val_cstr(&v->arena, ax_val_get(config, "model_type"), "unknown type"), 0);
		printf(", %zu tensors in %zu file%s, %s\n", m->n_entry, m->n_file, m->n_file > 1 ? "s" : "",
		       ax_human_bytes(bytes, size));
		for (size_t i = 0; i < m->n_entry; i++)
			show_tensor(m->entry[i].t);
	}
	return 0;
}

int view_model(struct view *v, const char *dir, struct ax_err *e)
{
	const struct ax_val *config;
	struct ax_st_model m;
	int rc;

	AX_TRY(check_config(v, dir, &config, e));
	AX_TRY(ax_st_model_open(&m, dir, e));
	rc = show_model(v, &m, config, e);
	ax_st_model_close(&m);
	return rc;
}

int view_checkpoint(struct view *v, const char *dir, struct ax_err *e)
{
	uint64_t elems = 0;
	struct ax_ckpt k;
	struct ax_buf b = AX_BUF_INIT;
	int rc;

	AX_TRY(ax_ckpt_open(&k, dir, e));
	rc = v->check ? ax_ckpt_verify(&k, e) : 0;
	for (size_t i = 0; i < k.n_param; i++)
		elems += k.param[i].n_elem;
	if (!rc && v->json) {
		add_json(v, dir, "checkpoint", k.n_param, elems * (k.model_only ? 4 : 12));
	} else if (!rc && v->check) {
		printf("%s: ok, %zu parameters in %zu files, checksums agree\n", dir, k.n_param, k.n_file);
	} else if (!rc) {
		ax_json_write(&b, k.state, AX_JSON_INDENT2);
		printf("%s: checkpoint%s, %zu parameters, %" PRIu64 " elements in %zu files\nstate: %s\n", dir,
		       k.model_only ? " of the model only" : "", k.n_param, elems, k.n_file, b.p ? b.p : "");
		ax_buf_release(&b);
	}
	ax_ckpt_close(&k);
	return rc;
}
