#include "train/merge.h"

#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/sig.h"
#include "model/desc.h"
#include "model/model.h"
#include "tensor/ops.h"
#include "text/json.h"

#define PIECE ((size_t)1 << 20) /* elements copied at a time */
#define INDEX_NAME "model.safetensors.index.json"

/* One output file: tensors [first, first + n) of the model's order; `tensor` is sorted by the layout. */
struct shard {
	struct ax_st_tensor *tensor;
	size_t first, n;
	uint64_t total;
	char name[64];
};

struct merge {
	const struct ax_ckpt *k;
	const struct ax_merge_opt *o;
	struct ax_merge_stats *s;
	struct ax_arena arena;
	struct ax_st_tensor *tensor; /* in the model's order */
	struct shard *shard;
	size_t n_shard;
	float *in;
	unsigned char *out;
	uint64_t done;
};

static int nomem(struct ax_err *e)
{
	return ax_fail(e, AX_EMEM, "out of memory");
}

/* Are the checkpoint's parameters those that its config.json describes? */
static int check_against_config(const struct merge *m, struct ax_err *e)
{
	char *path = ax_path_join(m->k->path, "config.json");
	struct ax_units u = {0};
	struct ax_desc d;
	int rc = path ? ax_desc_load(&d, path, e) : nomem(e);

	ax_free(path);
	if (!rc)
		rc = ax_model_units(&d, &u, e);
	if (!rc && (size_t)u.n_param != m->k->n_param)
		rc = ax_fail(e, AX_EDATA, "%s: %zu parameters, config.json describes %d", m->k->path, m->k->n_param,
			     u.n_param);
	for (int i = 0; !rc && i < u.n_param; i++) {
		const struct ax_ckpt_param *p = ax_ckpt_find(m->k, u.param[i].name);

		if (!p || p->n_dim != u.param[i].n_dim ||
		    memcmp(p->dim, u.param[i].dim, (size_t)p->n_dim * sizeof(p->dim[0])))
			rc = ax_fail(e, AX_EDATA, "%s: parameter %s is missing or of another shape than config.json says",
				     m->k->path, u.param[i].name);
	}
	ax_units_release(&u);
	return rc;
}

static enum ax_st_dtype out_dtype(const struct merge *m, const struct ax_ckpt_param *p)
{
	if (!m->o->keep)
		return m->o->dtype;
	return p->base_dtype == AX_ST_BF16 || p->base_dtype == AX_ST_F16 ? p->base_dtype : AX_ST_F32;
}

/* Cut the tensors into files, as the Hub does: a new file when the next tensor would pass the limit. */
static int cut_shards(struct merge *m, struct ax_err *e)
{
	uint64_t size = 0;

	m->shard = ax_arena_calloc(&m->arena, m->k->n_param, sizeof(*m->shard));
	if (!m->shard)
		return nomem(e);
	for (size_t i = 0; i < m->k->n_param; i++) {
		uint64_t bytes = m->k->param[i].n_elem * (uint64_t)ax_st_dtype_bits(m->tensor[i].dtype) / 8;

		if (i == 0 || size + bytes > m->o->max_shard_bytes) {
			m->shard[m->n_shard++].first = i;
			size = 0;
		}
		m->shard[m->n_shard - 1].n++;
		size += bytes;
	}
	for (size_t i = 0; i < m->n_shard; i++) {
		struct shard *f = &m->shard[i];

		if (m->n_shard == 1)
			snprintf(f->name, sizeof(f->name), "model.safetensors");
		else
			snprintf(f->name, sizeof(f->name), "model-%05zu-of-%05zu.safetensors", i + 1, m->n_shard);
		f->tensor = ax_arena_calloc(&m->arena, f->n, sizeof(*f->tensor));
		if (!f->tensor)
			return nomem(e);
		memcpy(f->tensor, &m->tensor[f->first], f->n * sizeof(*f->tensor));
		AX_TRY(ax_st_layout(f->tensor, f->n, &f->total, e));
		m->s->bytes += f->total;
	}
	m->s->n_file = m->n_shard;
	return 0;
}

static int plan(struct merge *m, struct ax_err *e)
{
	AX_TRY(check_against_config(m, e));
	m->tensor = ax_arena_calloc(&m->arena, m->k->n_param, sizeof(*m->tensor));
	if (!m->tensor)
		return nomem(e);
	for (size_t i = 0; i < m->k->n_param; i++) {
		const struct ax_ckpt_param *p = &m->k->param[i];
		struct ax_st_tensor *t = &m->tensor[i];

		t->name = p->name;
		t->dtype = out_dtype(m, p);
		t->n_dim = p->n_dim;
		memcpy(t->dim, p->dim, sizeof(p->dim));
	}
	m->s->n_tensor = m->k->n_param;
	return cut_shards(m, e);
}

/* f32 -> the output dtype, little-endian; counts finite values that overflow. Returns the bytes written. */
static size_t convert(struct merge *m, enum ax_st_dtype t, size_t n)
{
	if (t == AX_ST_F32) {
		memcpy(m->out, m->in, n * sizeof(float));
		return n * sizeof(float);
	}
	for (size_t i = 0; i < n; i++) {
		float x = m->in[i];
		uint16_t h = t == AX_ST_BF16 ? ax_f32_to_bf16(x) : ax_f32_to_f16(x);
		bool inf = t == AX_ST_BF16 ? (h & 0x7fff) == 0x7f80 : (h & 0x7fff) == 0x7c00;

		if (inf && isfinite(x))
			m->s->n_overflow++;
		m->out[2 * i] = (unsigned char)h;
		m->out[2 * i + 1] = (unsigned char)(h >> 8);
	}
	return n * 2;
}

static int copy_range(struct merge *m, int fd, const char *path, const struct ax_st_tensor *t,
		      const struct ax_ckpt_range *r, uint64_t base, struct ax_hash *out_hash, struct ax_err *e)
{
	size_t width = (size_t)ax_st_dtype_bits(t->dtype) / 8, in = (size_t)ax_st_dtype_bits(r->dtype) / 8;
	struct ax_hash *h = ax_hash_new();
	int rc = h ? 0 : nomem(e);

	for (uint64_t at = 0; at < r->n && !rc; at += PIECE) {
		size_t n = r->n - at < PIECE ? (size_t)(r->n - at) : PIECE, bytes;
		void *raw = ax_ckpt_tail(m->in, r->dtype, n);

		rc = ax_pread_full(m->k->fd[r->file], raw, n * in, r->off + at * in, m->k->file[r->file], e);
		if (rc)
			break;
		ax_hash_add(h, raw, n * in);
		ax_ckpt_widen(m->in, r->dtype, n);
		bytes = convert(m, t->dtype, n);
		ax_hash_add(out_hash, m->out, bytes);
		rc = ax_pwrite_full(fd, m->out, bytes, base + (r->begin + at) * width, path, e);
		m->done += bytes;
		if (m->o->progress)
			m->o->progress(m->o->progress_ctx, m->done, m->s->bytes);
	}
	if (!rc && ax_hash_value(h) != r->hash)
		rc = ax_fail(e, AX_EDATA, "%s: checksum of %s does not match: the checkpoint is damaged",
			     m->k->file[r->file], t->name);
	ax_hash_free(h);
	return rc;
}

static int copy_tensor(struct merge *m, int fd, const char *path, const struct ax_st_tensor *t, uint64_t data_off,
		       struct ax_val *meta, struct ax_err *e)
{
	const struct ax_ckpt_param *p = ax_ckpt_find(m->k, t->name);
	struct ax_hash *h = ax_hash_new();
	char hex[17];
	int rc = h ? 0 : nomem(e);

	for (size_t i = 0; i < p->n_range[AX_PART_MASTER] && !rc; i++)
		rc = copy_range(m, fd, path, t, &p->range[AX_PART_MASTER][i], data_off + t->off, h, e);
	if (!rc) {
		snprintf(hex, sizeof(hex), "%016" PRIx64, ax_hash_value(h));
		if (!ax_val_set(&m->arena, meta, t->name, ax_val_str(&m->arena, hex, 16)))
			rc = nomem(e);
	}
	ax_hash_free(h);
	return rc;
}

/* The header's size must be known before the data: hashes have a fixed width and are filled in afterwards. */
static int initial_meta(struct merge *m, const struct shard *f, struct ax_val **meta, struct ax_err *e)
{
	bool ok;

	*meta = ax_val_map(&m->arena);
	ok = *meta && ax_val_set(&m->arena, *meta, "format", ax_val_str(&m->arena, "pt", 2)) &&
	     ax_val_set(&m->arena, *meta, "ax", ax_val_str(&m->arena, AX_VERSION, strlen(AX_VERSION)));
	for (size_t i = 0; i < f->n && ok; i++)
		ok = ax_val_set(&m->arena, *meta, f->tensor[i].name, ax_val_str(&m->arena, "0000000000000000", 16));
	return ok ? 0 : nomem(e);
}

static int fill_shard(struct merge *m, const struct shard *f, int fd, const char *path, struct ax_err *e)
{
	struct ax_buf header = AX_BUF_INIT;
	uint64_t data_off;
	struct ax_val *meta;
	int rc;

	AX_GOTO(initial_meta(m, f, &meta, e));
	AX_GOTO(ax_st_header(&header, f->tensor, f->n, meta, e));
	data_off = header.n;
	AX_GOTO(ax_preallocate(fd, data_off + f->total, path, e));
	for (size_t i = 0; i < f->n; i++)
		AX_GOTO(copy_tensor(m, fd, path, &f->tensor[i], data_off, meta, e));
	AX_GOTO(ax_st_header(&header, f->tensor, f->n, meta, e));
	AX_GOTO(ax_pwrite_full(fd, header.p, header.n, 0, path, e));
	rc = ax_fsync(fd, path, e);
out:
	ax_buf_release(&header);
	return rc;
}

static int write_shard(struct merge *m, const struct shard *f, const char *dir, struct ax_err *e)
{
	char *path = ax_path_join(dir, f->name);
	int fd, rc;

	if (!path)
		return nomem(e);
	fd = ax_open(path, O_WRONLY | O_CREAT | O_EXCL, 0666);
	rc = fd < 0 ? ax_fail(e, AX_EIO, "cannot create %s:", path) : fill_shard(m, f, fd, path, e);
	if (fd >= 0) {
		int closed = ax_close(fd, path, rc ? NULL : e);

		rc = rc ? rc : closed;
	}
	ax_free(path);
	return rc;
}

static int write_json_file(const char *dir, const char *name, const struct ax_val *v, struct ax_err *e)
{
	struct ax_buf b = AX_BUF_INIT;
	char *path = ax_path_join(dir, name);
	int rc;

	ax_json_write(&b, v, AX_JSON_INDENT2);
	ax_buf_addc(&b, '\n');
	rc = !path || b.oom ? nomem(e) : ax_write_file(path, b.p, b.n, e);
	ax_buf_release(&b);
	ax_free(path);
	return rc;
}

static int write_index(struct merge *m, const char *dir, struct ax_err *e)
{
	struct ax_arena *a = &m->arena;
	struct ax_val *root = ax_val_map(a), *meta = ax_val_map(a), *map = ax_val_map(a);
	bool ok = root && meta && map;

	for (size_t i = 0; i < m->n_shard && ok; i++)
		for (size_t j = 0; j < m->shard[i].n && ok; j++)
			ok = ax_val_set(a, map, m->tensor[m->shard[i].first + j].name,
					ax_val_str(a, m->shard[i].name, strlen(m->shard[i].name)));
	ok = ok && ax_val_set(a, meta, "total_size", ax_val_int(a, (int64_t)m->s->bytes)) &&
	     ax_val_set(a, root, "metadata", meta) && ax_val_set(a, root, "weight_map", map);
	return ok ? write_json_file(dir, INDEX_NAME, root, e) : nomem(e);
}

/* The dtype that most elements have goes into config.json. */
static const char *main_dtype(const struct merge *m)
{
	uint64_t n[AX_ST_N_DTYPE] = {0};

	for (size_t i = 0; i < m->k->n_param; i++)
		n[m->tensor[i].dtype] += m->k->param[i].n_elem;
	if (n[AX_ST_F32] >= n[AX_ST_BF16] && n[AX_ST_F32] >= n[AX_ST_F16])
		return "float32";
	return n[AX_ST_BF16] >= n[AX_ST_F16] ? "bfloat16" : "float16";
}

/*
 * transformers 4 calls it torch_dtype, 5 dtype and believes dtype where a file has both: keep the spellings that are there.
 */
static bool set_dtype(struct merge *m, struct ax_val *config)
{
	static const char *const key[] = {"torch_dtype", "dtype"};
	const char *dtype = main_dtype(m);
	bool old = ax_val_get(config, key[0]), new = ax_val_get(config, key[1]) || !old;

	return (!old || ax_val_set(&m->arena, config, key[0], ax_val_str(&m->arena, dtype, strlen(dtype)))) &&
	       (!new || ax_val_set(&m->arena, config, key[1], ax_val_str(&m->arena, dtype, strlen(dtype))));
}

static int write_config(struct merge *m, const char *dir, struct ax_err *e)
{
	char *path = ax_path_join(m->k->path, "config.json");
	struct ax_val *config;
	int rc = path ? ax_json_file(&m->arena, path, (size_t)16 << 20, &config, e) : nomem(e);

	ax_free(path);
	if (rc)
		return rc;
	if (!set_dtype(m, config))
		return nomem(e);
	ax_val_remove(config, "auto_map"); /* Python files that are not in the folder; the families that run here need none */
	return write_json_file(dir, "config.json", config, e);
}

static bool is_own_file(const char *name)
{
	return !strcmp(name, AX_CKPT_MANIFEST) || !strcmp(name, AX_CKPT_STATE) || !strcmp(name, "config.json") ||
	       !strncmp(name, "rank-", 5);
}

static int copy_file(void *ctx, const char *from_dir, const char *name, struct ax_err *e)
{
	char *from, *to;
	struct ax_buf b = AX_BUF_INIT;
	int rc;

	if (!ax_name_is_safe(name) || is_own_file(name))
		return 0;
	from = ax_path_join(from_dir, name);
	to = ax_path_join(ctx, name);
	rc = from && to ? ax_read_file(from, (size_t)1 << 30, &b, e) : nomem(e);
	if (!rc)
		rc = ax_write_file(to, b.p, b.n, e);
	ax_buf_release(&b);
	ax_free(from);
	ax_free(to);
	return rc;
}

/* Tokenizer, template, generation settings: whatever the checkpoint holds beside its own files. */
static int copy_extras(struct merge *m, char *dir, struct ax_err *e)
{
	return ax_dir_each(m->k->path, copy_file, dir, e);
}

static int write_folder(struct merge *m, char *dir, struct ax_err *e)
{
	for (size_t i = 0; i < m->n_shard; i++)
		AX_TRY(write_shard(m, &m->shard[i], dir, e));
	AX_TRY(write_config(m, dir, e));
	AX_TRY(copy_extras(m, dir, e));
	return m->n_shard > 1 ? write_index(m, dir, e) : 0;
}

/* Did ax make this folder? Its weights say so in their metadata. */
static bool made_by_ax(const char *dir)
{
	struct ax_st_model x;
	bool yes;

	if (ax_st_model_open(&x, dir, NULL))
		return false;
	yes = x.n_file && ax_val_get(x.file[0].metadata, "ax");
	ax_st_model_close(&x);
	return yes;
}

static int merge_init(struct merge *m, const struct ax_ckpt *k, const struct ax_merge_opt *o, struct ax_merge_stats *s,
		      struct ax_err *e)
{
	memset(m, 0, sizeof(*m));
	memset(s, 0, sizeof(*s));
	ax_arena_init(&m->arena, 0);
	m->k = k;
	m->o = o;
	m->s = s;
	return plan(m, e);
}

int ax_merge_plan(const struct ax_ckpt *k, const struct ax_merge_opt *o, struct ax_merge_stats *s, struct ax_err *e)
{
	struct merge m;
	int rc = merge_init(&m, k, o, s, e);

	ax_arena_release(&m.arena);
	return rc;
}

int ax_merge(const struct ax_ckpt *k, const char *out, const struct ax_merge_opt *o, struct ax_merge_stats *s,
	     struct ax_err *e)
{
	char *tmp = NULL;
	struct merge m;
	int rc = merge_init(&m, k, o, s, e);

	if (rc)
		goto out;
	if (ax_path_exists(out) && !o->force && !made_by_ax(out)) {
		rc = ax_fail(e, AX_EUSAGE, "%s exists and was not made by ax; -f replaces it", out);
		goto out;
	}
	m.in = ax_malloc(PIECE * sizeof(float));
	m.out = ax_malloc(PIECE * sizeof(float));
	if (!m.in || !m.out) {
		rc = nomem(e);
		goto out;
	}
	AX_GOTO(ax_dir_begin(out, &tmp, e));
	AX_GOTO(write_folder(&m, tmp, e));
	rc = ax_dir_commit(tmp, out, e);
out:
	if (rc && tmp) {
		ax_remove_tree(tmp, NULL);
		ax_temp_remove(tmp);
	}
	ax_free(tmp);
	ax_free(m.in);
	ax_free(m.out);
	ax_arena_release(&m.arena);
	return rc;
}
