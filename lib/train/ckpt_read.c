/* Reading a checkpoint: everything in it is untrusted until the chain of hashes and the coverage have been proved. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/io.h"
#include "base/mem.h"
#include "tensor/round.h"
#include "text/json.h"
#include "train/ckpt.h"

#define TMP_SUFFIX ".tmp"

#define MANIFEST_LIMIT ((size_t)256 << 20)
#define READ_PIECE ((size_t)4 << 20)

static int bad(const struct ax_ckpt *k, struct ax_err *e, const char *what, const char *name)
{
	return ax_fail(e, AX_EDATA, "%s: %s%s%s", k->path, what, name ? " " : "", name ? name : "");
}

static int read_param(struct ax_ckpt *k, const struct ax_val *v, struct ax_ckpt_param *p, struct ax_err *e)
{
	const struct ax_val *shape = ax_val_get(v, "shape"), *dtype = ax_val_get(v, "base_dtype");
	int dt = dtype && dtype->type == AX_STR ? ax_st_dtype_from(dtype->u.s, dtype->n) : -1;

	p->name = ax_val_cstr(&k->arena, ax_val_get(v, "name"), NULL);
	if (!p->name || !*p->name)
		return bad(k, e, "manifest: a parameter without a name", NULL);
	if (!shape || shape->type != AX_LIST || shape->n < 1 || shape->n > AX_PARAM_DIM_MAX || dt < 0)
		return bad(k, e, "manifest: bad shape or dtype of", p->name);
	p->base_dtype = (enum ax_st_dtype)dt;
	p->n_dim = (int)shape->n;
	p->n_elem = 1;
	for (int i = 0; i < p->n_dim; i++) {
		p->dim[i] = ax_val_int_or(ax_val_at(shape, (size_t)i), 0);
		if (p->dim[i] <= 0 || __builtin_mul_overflow(p->n_elem, (uint64_t)p->dim[i], &p->n_elem) ||
		    p->n_elem > (uint64_t)1 << 56)
			return bad(k, e, "manifest: bad shape of", p->name);
	}
	return 0;
}

static int read_manifest(struct ax_ckpt *k, struct ax_err *e)
{
	const struct ax_val *m = k->manifest, *params = ax_val_get(m, "parameters"), *parts = ax_val_get(m, "parts");
	int64_t version = ax_val_int_or(ax_val_get(m, "version"), -1);

	if (!ax_val_is(ax_val_get(m, "kind"), "ax-checkpoint"))
		return bad(k, e, "not a checkpoint of ax (manifest.json is of another kind)", NULL);
	if (version != AX_CKPT_VERSION)
		return ax_fail(e, AX_EDATA, "%s: checkpoint format version %lld; this program reads version %d", k->path,
			       (long long)version, AX_CKPT_VERSION);
	if (!params || params->type != AX_LIST || params->n == 0)
		return bad(k, e, "manifest: no parameters", NULL);
	k->model_only = ax_val_len(parts) == 1;
	k->param = ax_arena_calloc(&k->arena, params->n, sizeof(*k->param));
	if (!k->param)
		return ax_fail(e, AX_EMEM, "%s: out of memory", k->path);
	k->n_param = params->n;
	for (size_t i = 0; i < params->n; i++)
		AX_TRY(read_param(k, params->u.item[i], &k->param[i], e));
	return 0;
}

/* May a part be of this type? */
static bool may_be(enum ax_part part, enum ax_st_dtype t)
{
	if (t == AX_ST_F32)
		return true;
	return part <= AX_PART_V && (t == AX_ST_BF16 || (t == AX_ST_U8 && part != AX_PART_MASTER));
}

/* "master/model.norm.weight@1024" -> part, parameter, begin. */
static int parse_name(const struct ax_ckpt *k, const char *name, enum ax_part *part, const struct ax_ckpt_param **p,
		      uint64_t *begin)
{
	const char *slash = strchr(name, '/'), *at = strrchr(name, '@');
	char param[AX_PARAM_NAME_MAX];
	char *end;
	size_t n;

	if (!slash || !at || at < slash || at[1] < '0' || at[1] > '9')
		return -1;
	n = (size_t)(at - slash - 1);
	if (n >= sizeof(param))
		return -1;
	memcpy(param, slash + 1, n);
	param[n] = '\0';
	errno = 0;
	*begin = strtoull(at + 1, &end, 10);
	if (errno || *end)
		return -1;
	*p = ax_ckpt_find(k, param);
	for (int r = 0; r < AX_CKPT_N_PART; r++) {
		const char *s = ax_part_name((enum ax_part)r);

		if (strlen(s) == (size_t)(slash - name) && !memcmp(s, name, strlen(s))) {
			*part = (enum ax_part)r;
			return *p ? 0 : -1;
		}
	}
	return -1;
}

static int add_range(struct ax_ckpt *k, const struct ax_st_file *f, const struct ax_st_tensor *t, int file,
		     struct ax_err *e)
{
	const struct ax_ckpt_param *found;
	struct ax_ckpt_range r = {.file = file, .off = f->data_off + t->off, .n = ax_st_elems(t), .dtype = t->dtype};
	struct ax_ckpt_range *grown;
	struct ax_ckpt_param *p;
	enum ax_part part;

	if (t->n_dim != 1 || parse_name(k, t->name, &part, &found, &r.begin) || !may_be(part, t->dtype))
		return ax_fail(e, AX_EDATA, "%s: tensor %s is not a range of a parameter", f->path, t->name);
	p = &k->param[found - k->param];
	if (r.begin > ax_part_elems(part, p->n_elem) || r.n > ax_part_elems(part, p->n_elem) - r.begin)
		return ax_fail(e, AX_EDATA, "%s: tensor %s runs past the end of the parameter", f->path, t->name);
	if (!ax_st_hash_parse(ax_val_get(f->metadata, t->name), &r.hash))
		return ax_fail(e, AX_EDATA, "%s: tensor %s has no hash", f->path, t->name);
	grown = ax_realloc_array(p->range[part], p->n_range[part] + 1, sizeof(*grown));
	if (!grown)
		return ax_fail(e, AX_EMEM, "%s: out of memory", k->path);
	if (k->type[part] == AX_ST_BOOL)
		k->type[part] = t->dtype;
	p->range[part] = grown;
	grown[p->n_range[part]++] = r;
	return 0;
}

static int read_file(struct ax_ckpt *k, const struct ax_val *v, struct ax_err *e)
{
	const char *name = ax_val_cstr(&k->arena, ax_val_get(v, "name"), NULL);
	int64_t bytes = ax_val_int_or(ax_val_get(v, "bytes"), -1);
	struct ax_st_file f;
	uint64_t hash;
	int rc;

	if (!name || !ax_name_is_safe(name) || !ax_st_hash_parse(ax_val_get(v, "header_xxh3"), &hash))
		return bad(k, e, "manifest: bad file entry", name);
	k->file[k->n_file] = ax_path_join(k->path, name);
	if (!k->file[k->n_file])
		return ax_fail(e, AX_EMEM, "out of memory");
	k->fd[k->n_file] = -1;
	k->n_file++;
	AX_TRY(ax_st_open(&f, k->file[k->n_file - 1], e));
	rc = 0;
	if (f.map.n != (uint64_t)bytes || ax_hash64(f.map.p, (size_t)f.data_off) != hash)
		rc = ax_fail(e, AX_EDATA, "%s: size or header differs from the manifest: damaged, or of another checkpoint",
			     f.path);
	for (size_t i = 0; i < f.n_tensor && !rc; i++)
		rc = add_range(k, &f, &f.tensor[i], (int)k->n_file - 1, e);
	ax_st_close(&f);
	if (rc)
		return rc;
	k->fd[k->n_file - 1] = ax_open(k->file[k->n_file - 1], O_RDONLY, 0);
	return k->fd[k->n_file - 1] < 0 ? ax_fail(e, AX_EIO, "cannot open %s:", k->file[k->n_file - 1]) : 0;
}

static int by_begin(const void *x, const void *y)
{
	const struct ax_ckpt_range *a = x, *b = y;

	return a->begin < b->begin ? -1 : a->begin > b->begin;
}

/* How many values of a part there must be: scales go with codes, moments are not there in a checkpoint of the model only. */
static uint64_t needed(const struct ax_ckpt *k, const struct ax_ckpt_param *p, int part)
{
	int of = part == AX_PART_M_SCALE ? AX_PART_M : AX_PART_V;

	if (part < AX_PART_M_SCALE)
		return part == AX_PART_MASTER || !k->model_only ? p->n_elem : 0;
	for (size_t j = 0; j < p->n_range[of]; j++)
		if (p->range[of][j].dtype == AX_ST_U8)
			return ax_part_elems((enum ax_part)part, p->n_elem);
	return 0;
}

/* Does every part cover every element exactly once? */
static int check_cover(struct ax_ckpt *k, struct ax_err *e)
{
	for (size_t i = 0; i < k->n_param; i++)
		for (int part = 0; part < AX_CKPT_N_PART; part++) {
			struct ax_ckpt_param *p = &k->param[i];
			uint64_t at = 0, want = needed(k, p, part);

			if (p->n_range[part])
				qsort(p->range[part], p->n_range[part], sizeof(*p->range[part]), by_begin);
			for (size_t j = 0; j < p->n_range[part] && p->range[part][j].begin == at; j++)
				at += p->range[part][j].n;
			if (at != want && (want || p->n_range[part]))
				return ax_fail(e, AX_EDATA, "%s: %s of %s: elements from %" PRIu64 " on are missing or doubled",
					       k->path, ax_part_name((enum ax_part)part), p->name, at);
		}
	return 0;
}

static int open_all(struct ax_ckpt *k, struct ax_err *e)
{
	char *manifest = ax_path_join(k->path, AX_CKPT_MANIFEST), *state = ax_path_join(k->path, AX_CKPT_STATE);
	const struct ax_val *files;
	struct ax_val *v, *s;
	int rc;

	if (!manifest || !state)
		rc = ax_fail(e, AX_EMEM, "out of memory");
	else if (!ax_path_exists(manifest))
		rc = ax_fail(e, AX_EIO, "%s: not a checkpoint (no %s)", k->path, AX_CKPT_MANIFEST);
	else
		rc = ax_json_file(&k->arena, manifest, MANIFEST_LIMIT, &v, e);
	if (!rc)
		rc = ax_json_file(&k->arena, state, MANIFEST_LIMIT, &s, e);
	ax_free(manifest);
	ax_free(state);
	if (rc)
		return rc;
	k->manifest = v;
	k->state = s;
	AX_TRY(read_manifest(k, e));
	files = ax_val_get(v, "files");
	if (ax_val_len(files) == 0 || ax_val_len(files) > 1 << 20)
		return bad(k, e, "manifest: no files", NULL);
	k->file = ax_arena_calloc(&k->arena, files->n, sizeof(*k->file));
	k->fd = ax_arena_calloc(&k->arena, files->n, sizeof(*k->fd));
	if (!k->file || !k->fd)
		return ax_fail(e, AX_EMEM, "out of memory");
	for (size_t i = 0; i < files->n; i++)
		AX_TRY(read_file(k, ax_val_at(files, i), e));
	return check_cover(k, e);
}

int ax_ckpt_open(struct ax_ckpt *k, const char *path, struct ax_err *e)
{
	int rc;

	memset(k, 0, sizeof(*k));
	ax_arena_init(&k->arena, (size_t)4 << 30);
	k->path = ax_strdup(path);
	rc = k->path ? open_all(k, e) : ax_fail(e, AX_EMEM, "out of memory");
	if (rc)
		ax_ckpt_close(k);
	return rc;
}

void ax_ckpt_close(struct ax_ckpt *k)
{
	for (size_t i = 0; i < k->n_param; i++)
		for (int r = 0; r < AX_CKPT_N_PART; r++)
			ax_free(k->param[i].range[r]);
	for (size_t i = 0; i < k->n_file; i++) {
		if (k->fd[i] >= 0)
			close(k->fd[i]);
		ax_free(k->file[i]);
	}
	ax_arena_release(&k->arena);
	ax_free(k->path);
	memset(k, 0, sizeof(*k));
}

const struct ax_ckpt_param *ax_ckpt_find(const struct ax_ckpt *k, const char *name)
{
	for (size_t i = 0; i < k->n_param; i++)
		if (!strcmp(k->param[i].name, name))
			return &k->param[i];
	return NULL;
}

static size_t width_of(enum ax_st_dtype t)
{
	return (size_t)ax_st_dtype_bits(t) / 8;
}

void *ax_ckpt_tail(float *dst, enum ax_st_dtype t, size_t n)
{
	return (unsigned char *)dst + n * (sizeof(float) - width_of(t));
}

void ax_ckpt_widen(float *dst, enum ax_st_dtype t, size_t n)
{
	const unsigned char *from = ax_ckpt_tail(dst, t, n);
	uint16_t h;

	for (size_t i = 0; t == AX_ST_BF16 && i < n; i++) {
		memcpy(&h, from + i * sizeof(h), sizeof(h));
		dst[i] = ax_bf16_to_f32(h);
	}
}

#define BLOCKS 256 /* whose scales are read at a time */

/* Codes of elements from `begin` on, which end where dst[n] would begin, with the scales of their blocks. */
static int unpack(const struct ax_ckpt *k, const struct ax_ckpt_param *p, enum ax_part part, uint64_t begin, size_t n,
		  float *dst, struct ax_err *e)
{
	enum ax_part scales = part == AX_PART_M ? AX_PART_M_SCALE : AX_PART_V_SCALE;
	const unsigned char *code = ax_ckpt_tail(dst, AX_ST_U8, n);
	uint64_t block = 0, n_block = 0;
	float scale[BLOCKS];

	for (size_t i = 0; i < n; i++) {
		uint64_t b = (begin + i) / AX_Q8_BLOCK;

		if (b >= block + n_block) {
			block = b;
			n_block = ax_part_elems(scales, p->n_elem) - b;
			n_block = n_block < BLOCKS ? n_block : BLOCKS;
			AX_TRY(ax_ckpt_read(k, p, scales, block, n_block, scale, e));
		}
		dst[i] = part == AX_PART_M ? ax_q8_unpack_m(code[i], scale[b - block]) : ax_q8_unpack_v(code[i], scale[b - block]);
	}
	return 0;
}

/* n elements of a range, from `skip` on. */
static int read_range(const struct ax_ckpt *k, const struct ax_ckpt_param *p, enum ax_part part,
		      const struct ax_ckpt_range *r, uint64_t skip, size_t n, float *dst, struct ax_err *e)
{
	size_t width = width_of(r->dtype);

	AX_TRY(ax_pread_full(k->fd[r->file], ax_ckpt_tail(dst, r->dtype, n), n * width, r->off + skip * width, k->file[r->file], e));
	if (r->dtype == AX_ST_U8)
		return unpack(k, p, part, r->begin + skip, n, dst, e);
	ax_ckpt_widen(dst, r->dtype, n);
	return 0;
}

int ax_ckpt_read(const struct ax_ckpt *k, const struct ax_ckpt_param *p, enum ax_part part, uint64_t begin, uint64_t n,
		 float *dst, struct ax_err *e)
{
	for (size_t i = 0; i < p->n_range[part] && n; i++) {
		const struct ax_ckpt_range *r = &p->range[part][i];
		uint64_t skip, take;

		if (r->begin + r->n <= begin)
			continue;
		skip = begin - r->begin;
		take = r->n - skip < n ? r->n - skip : n;
		AX_TRY(read_range(k, p, part, r, skip, (size_t)take, dst, e));
		dst += take;
		begin += take;
		n -= take;
	}
	if (n)
		return ax_fail(e, AX_EDATA, "%s: no %s for %s", k->path, ax_part_name(part), p->name);
	return 0;
}

int ax_ckpt_source_open(struct ax_ckpt_source *s, const struct ax_ckpt *k, const struct ax_units *u, struct ax_err *e)
{
	s->k = k;
	s->part = AX_PART_MASTER;
	s->param = NULL;
	if (k->n_param != (size_t)u->n_param)
		return ax_fail(e, AX_EDATA, "%s has %zu parameters, this model %d", k->path, k->n_param, u->n_param);
	s->param = ax_calloc(k->n_param, sizeof(struct ax_ckpt_param *));
	if (!s->param)
		return ax_fail(e, AX_EMEM, "out of memory");
	for (int i = 0; i < u->n_param; i++) {
		const struct ax_ckpt_param *p = ax_ckpt_find(k, u->param[i].name);

		if (!p || p->n_dim != u->param[i].n_dim ||
		    memcmp(p->dim, u->param[i].dim, (size_t)p->n_dim * sizeof(p->dim[0]))) {
			ax_ckpt_source_close(s);
			return ax_fail(e, AX_EDATA, "%s: parameter %s is missing or of another shape: a checkpoint of another model",
				       k->path, u->param[i].name);
		}
		s->param[i] = p;
	}
	return 0;
}

int ax_ckpt_source_read(void *ctx, int param, size_t off, size_t n, float *dst, struct ax_err *e)
{
	const struct ax_ckpt_source *s = ctx;

	return ax_ckpt_read(s->k, s->param[param], s->part, off, n, dst, e);
}

void ax_ckpt_source_close(struct ax_ckpt_source *s)
{
	ax_free(s->param);
	s->param = NULL;
}

static int verify_range(const struct ax_ckpt *k, const struct ax_ckpt_param *p, const struct ax_ckpt_range *r,
			unsigned char *buf, struct ax_err *e)
{
	struct ax_hash *h = ax_hash_new();
	uint64_t end = r->off + r->n * (uint64_t)ax_st_dtype_bits(r->dtype) / 8, left = end - r->off, at = r->off;
	int rc = h ? 0 : ax_fail(e, AX_EMEM, "out of memory");

	while (left && !rc) {
		size_t n = left < READ_PIECE ? (size_t)left : READ_PIECE;

		rc = ax_pread_full(k->fd[r->file], buf, n, at, k->file[r->file], e);
		if (!rc)
			ax_hash_add(h, buf, n);
		left -= n;
		at += n;
	}
	if (!rc && ax_hash_value(h) != r->hash)
		rc = ax_fail(e, AX_EDATA, "%s: checksum of %s does not match: damaged between bytes %" PRIu64 " and %" PRIu64,
			     k->file[r->file], p->name, r->off, end);
	ax_hash_free(h);
	return rc;
}

int ax_ckpt_verify(const struct ax_ckpt *k, struct ax_err *e)
{
	unsigned char *buf = ax_malloc(READ_PIECE);
	int rc = buf ? 0 : ax_fail(e, AX_EMEM, "out of memory");

	for (size_t i = 0; i < k->n_param; i++)
		for (int part = 0; part < AX_CKPT_N_PART; part++)
			for (size_t j = 0; j < k->param[i].n_range[part] && !rc; j++)
				rc = verify_range(k, &k->param[i], &k->param[i].range[part][j], buf, e);
	ax_free(buf);
	return rc;
}

char *ax_ckpt_path(const char *dir, int64_t step)
{
	char name[48];

	snprintf(name, sizeof(name), "checkpoint-%" PRId64, step);
	return ax_path_join(dir, name);
}

/* "checkpoint-120" -> 120; -1 for anything else (also "checkpoint-120.tmp"). */
char *ax_ckpt_tmp_path(const char *path)
{
	struct ax_buf b = AX_BUF_INIT;

	ax_buf_addf(&b, "%s" TMP_SUFFIX, path);
	return ax_buf_detach(&b);
}

/* N of "checkpoint-N" followed by `suffix`; -1 for other names. */
static int64_t step_of(const char *name, const char *suffix)
{
	static const char prefix[] = "checkpoint-";
	const char *s = name + sizeof(prefix) - 1;
	char *end;
	long long v;

	if (strncmp(name, prefix, sizeof(prefix) - 1) || *s < '0' || *s > '9')
		return -1;
	errno = 0;
	v = strtoll(s, &end, 10);
	return strcmp(end, suffix) || errno ? -1 : v;
}

bool ax_ckpt_is_unfinished(const char *name)
{
	return step_of(name, TMP_SUFFIX) >= 0;
}

static int by_step(const void *x, const void *y)
{
	int64_t a = *(const int64_t *)x, b = *(const int64_t *)y;

	return a < b ? -1 : a > b;
}

struct list {
	int64_t *step;
	size_t n, cap;
};

static int add_step(void *ctx, const char *dir, const char *name, struct ax_err *e)
{
	int64_t s = step_of(name, "");
	struct list *l = ctx;
	char *path, *manifest;
	int rc = 0;

	if (s < 0)
		return 0;
	path = ax_ckpt_path(dir, s);
	manifest = path ? ax_path_join(path, AX_CKPT_MANIFEST) : NULL;
	if (!manifest || !AX_GROW(l->step, l->n, l->cap))
		rc = ax_fail(e, AX_EMEM, "out of memory");
	else if (ax_path_exists(manifest))
		l->step[l->n++] = s;
	ax_free(path);
	ax_free(manifest);
	return rc;
}

int ax_ckpt_list(const char *dir, int64_t **step, size_t *n, struct ax_err *e)
{
	struct list l = {0};
	int rc = ax_path_exists(dir) ? ax_dir_each(dir, add_step, &l, e) : 0;

	if (l.n)
		qsort(l.step, l.n, sizeof(*l.step), by_step);
	*step = l.step;
	*n = l.n;
	return rc;
}

int ax_ckpt_newest(const char *dir, int64_t *step, struct ax_err *e)
{
	int64_t *list;
	size_t n;
	int rc = ax_ckpt_list(dir, &list, &n, e);

	*step = !rc && n ? list[n - 1] : -1;
	ax_free(list);
	return rc;
}
