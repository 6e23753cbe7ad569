/* One rank's file of a checkpoint, and the thread that writes it. */
#include "train/ckpt_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/io.h"
#include "base/mem.h"
#include "tensor/ops.h"
#include "text/json.h"

#define PIECE ((size_t)4 << 20) /* bytes that pass through the host at a time */
#define NO_HASH "0000000000000000"

/* PREPARING and WRITING use what belongs to the run, SYNCING only what is in struct ax_ckpt_file. */
enum phase { PREPARING, WRITING, SYNCING, DONE };

struct ax_ckpt_file {
	/* Made before the thread starts, the thread's until it is DONE. */
	struct ax_ckpt_write w;
	struct ax_arena arena;
	struct ax_st_tensor *tensor;
	size_t n_tensor;
	struct ax_val *meta; /* tensor name -> hash */
	struct ax_buf header, state; /* state: trainer_state.json, rank 0 */
	uint64_t total;
	char *dir, *path;
	int fd;
	bool first; /* of rank 0 */
	struct ax_ckpt_report report;
	struct ax_err err;
	int rc;

	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* Under the lock. */
	enum phase phase;
	uint64_t n_change;
	bool cancelled, dropped; /* dropped: the thread frees the whole */
};

void ax_ckpt_file_name(char *buf, size_t n, int rank, int n_rank)
{
	snprintf(buf, n, "rank-%05d-of-%05d.safetensors", rank + 1, n_rank);
}

/* ---- before the thread: the header, with hashes still to come: its size is final ---- */

static int add_tensor(struct ax_ckpt_file *f, enum ax_part part, const char *param, const struct ax_dist_box *b,
		      struct ax_err *e)
{
	static const enum ax_st_dtype type[] = {[AX_F32] = AX_ST_F32, [AX_BF16] = AX_ST_BF16, [AX_Q8] = AX_ST_U8};
	struct ax_st_tensor *t = &f->tensor[f->n_tensor++];
	char text[AX_PARAM_NAME_MAX + 64];

	snprintf(text, sizeof(text), "%s/%s@%zu", ax_part_name(part), param, ax_part_elems(part, b->off));
	t->name = ax_arena_strndup(&f->arena, text, strlen(text));
	t->dtype = type[b->type[part]];
	t->n_dim = 1;
	t->dim[0] = (int64_t)ax_part_elems(part, b->n);
	t->data = b->data[part];
	if (!t->name || !ax_val_set(&f->arena, f->meta, text, ax_val_str(&f->arena, NO_HASH, 16)))
		return ax_fail(e, AX_EMEM, "out of memory");
	return 0;
}

static int describe(struct ax_ckpt_file *f, struct ax_err *e)
{
	const struct ax_ckpt_write *w = &f->w;

	f->tensor = ax_arena_calloc(&f->arena, w->n_box * AX_CKPT_N_PART + 1, sizeof(*f->tensor));
	f->meta = ax_val_map(&f->arena);
	if (!f->tensor || !f->meta || !ax_val_set(&f->arena, f->meta, "format", ax_val_str(&f->arena, "pt", 2)))
		return ax_fail(e, AX_EMEM, "out of memory");
	for (size_t i = 0; i < w->n_box; i++)
		for (int p = 0; p < (w->model_only ? 1 : AX_CKPT_N_PART); p++)
			if (w->box[i].data[p])
				AX_TRY(add_tensor(f, (enum ax_part)p, w->units->param[w->box[i].param].name, &w->box[i], e));
	AX_TRY(ax_st_layout(f->tensor, f->n_tensor, &f->total, e));
	return ax_st_header(&f->header, f->tensor, f->n_tensor, f->meta, e);
}

static void file_free(struct ax_ckpt_file *f)
{
	if (f->fd >= 0)
		ax_close(f->fd, f->path, NULL);
	pthread_mutex_destroy(&f->lock);
	pthread_cond_destroy(&f->changed);
	ax_buf_release(&f->header);
	ax_buf_release(&f->state);
	ax_arena_release(&f->arena);
	ax_free(f->path);
	ax_free(f->dir);
	ax_free(f);
}

/* ---- the thread ---- */

/* A word to who waits; the answer says whether to go on. */
static int reach(struct ax_ckpt_file *f, enum phase phase, struct ax_err *e)
{
	bool cancelled;

	pthread_mutex_lock(&f->lock);
	f->phase = phase;
	f->n_change++;
	cancelled = f->cancelled;
	pthread_cond_signal(&f->changed);
	pthread_mutex_unlock(&f->lock);
	return cancelled ? ax_fail(e, AX_ECHECK, "the checkpoint was given up") : 0;
}

static int write_text(const char *dir, const char *name, const struct ax_buf *b, struct ax_err *e)
{
	char *path = ax_path_join(dir, name);
	int rc = !path || b->oom ? ax_fail(e, AX_EMEM, "out of memory") : ax_write_file(path, b->p, b->n, e);

	ax_free(path);
	return rc;
}

static void add_json(struct ax_buf *b, const struct ax_val *v)
{
	ax_json_write(b, v, AX_JSON_INDENT2);
	ax_buf_addc(b, '\n');
}

int ax_ckpt_json(const char *dir, const char *name, const struct ax_val *v, struct ax_err *e)
{
	struct ax_buf b = AX_BUF_INIT;
	int rc;

	add_json(&b, v);
	rc = write_text(dir, name, &b, e);
	ax_buf_release(&b);
	return rc;
}

static int set_hash(struct ax_ckpt_file *f, const char *name, uint64_t hash, struct ax_err *e)
{
	char hex[17];

	snprintf(hex, sizeof(hex), "%016" PRIx64, hash);
	return ax_val_set(&f->arena, f->meta, name, ax_val_str(&f->arena, hex, 16)) ? 0
										      : ax_fail(e, AX_EMEM, "out of memory");
}

/* Device -> host -> file, hashed on the way. */
static int write_tensor(struct ax_ckpt_file *f, const struct ax_st_tensor *t, unsigned char *piece, struct ax_err *e)
{
	struct ax_hash *h = ax_hash_new();
	size_t n = (size_t)t->dim[0] * (size_t)ax_st_dtype_bits(t->dtype) / 8;
	int rc = h ? 0 : ax_fail(e, AX_EMEM, "out of memory");

	for (size_t at = 0; at < n && !rc; at += PIECE) {
		size_t take = n - at < PIECE ? n - at : PIECE;

		rc = reach(f, WRITING, e);
		if (rc)
			break;
		f->w.dev->ops->download(f->w.dev, piece, (const unsigned char *)t->data + at, take);
		ax_hash_add(h, piece, take);
		rc = ax_pwrite_full(f->fd, piece, take, f->header.n + t->off + at, f->path, e);
	}
	if (!rc)
		rc = set_hash(f, t->name, ax_hash_value(h), e);
	ax_hash_free(h);
	return rc;
}

static int write_tensors(struct ax_ckpt_file *f, struct ax_err *e)
{
	unsigned char *piece = ax_malloc(PIECE);
	int rc = piece ? 0 : ax_fail(e, AX_EMEM, "out of memory");

	for (size_t i = 0; i < f->n_tensor && !rc; i++)
		rc = write_tensor(f, &f->tensor[i], piece, e);
	ax_free(piece);
	return rc;
}

/* The small files of rank 0; then a file of the right size, so that a full disk is found out early. */
static int prepare(struct ax_ckpt_file *f, struct ax_err *e)
{
	if (f->first && f->w.extra)
		AX_TRY(f->w.extra(f->w.extra_ctx, f->dir, e));
	if (f->first)
		AX_TRY(write_text(f->dir, AX_CKPT_STATE, &f->state, e));
	f->fd = ax_open(f->path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
	if (f->fd < 0)
		return ax_fail(e, AX_EIO, "cannot create %s:", f->path);
	return ax_preallocate(f->fd, f->header.n + f->total, f->path, e);
}

static int write_file(struct ax_ckpt_file *f, struct ax_err *e)
{
	int fd;

	AX_TRY(prepare(f, e));
	AX_TRY(write_tensors(f, e));
	AX_TRY(reach(f, SYNCING, e));
	AX_TRY(ax_st_header(&f->header, f->tensor, f->n_tensor, f->meta, e));
	AX_TRY(ax_pwrite_full(f->fd, f->header.p, f->header.n, 0, f->path, e));
	f->report = (struct ax_ckpt_report){.bytes = f->header.n + f->total, .n_tensor = f->n_tensor,
					    .header_hash = ax_hash64(f->header.p, f->header.n)};
	AX_TRY(ax_fsync(f->fd, f->path, e));
	fd = f->fd;
	f->fd = -1;
	return ax_close(fd, f->path, e);
}

static void *run(void *arg)
{
	struct ax_ckpt_file *f = arg;
	bool dropped;

	f->rc = write_file(f, &f->err);
	pthread_mutex_lock(&f->lock);
	f->phase = DONE;
	f->n_change++;
	dropped = f->dropped;
	pthread_cond_signal(&f->changed);
	pthread_mutex_unlock(&f->lock);
	if (dropped)
		file_free(f);
	return NULL;
}

/* Signals are for a thread of the program that waits for them; a SIGXFSZ that is blocked is an error of the write. */
static int start_thread(struct ax_ckpt_file *f, struct ax_err *e)
{
	sigset_t all, was;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &was);
	errno = pthread_create(&f->thread, NULL, run, f);
	pthread_sigmask(SIG_SETMASK, &was, NULL);
	return errno ? ax_fail(e, AX_EMEM, "cannot start a thread to write %s:", f->path) : 0;
}

/* ---- the run's side ---- */

int ax_ckpt_file_start(struct ax_ckpt_file **out, const char *dir, const struct ax_ckpt_write *w, int rank, int n_rank,
		       struct ax_err *e)
{
	struct ax_ckpt_file *f = ax_calloc(1, sizeof(*f));
	char name[64];
	int rc;

	if (!f)
		return ax_fail(e, AX_EMEM, "out of memory");
	f->w = *w;
	f->fd = -1;
	f->first = rank == 0;
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->changed, NULL);
	ax_arena_init(&f->arena, 0);
	ax_ckpt_file_name(name, sizeof(name), rank, n_rank);
	f->dir = ax_strdup(dir);
	f->path = ax_path_join(dir, name);
	if (f->first)
		add_json(&f->state, w->state);
	rc = f->dir && f->path ? describe(f, e) : ax_fail(e, AX_EMEM, "out of memory");
	if (!rc)
		rc = start_thread(f, e);
	if (rc)
		file_free(f);
	else
		*out = f;
	return rc;
}

static void tell_watchdog(struct ax_comm *c, enum phase phase)
{
	static const char *const what[] = {"make room for the checkpoint", "write the checkpoint", "sync the checkpoint to disk"};

	ax_comm_busy(c, what[phase], phase == WRITING ? 0 : AX_COMM_DISK_S);
}

int ax_ckpt_file_wait(struct ax_ckpt_file *f, struct ax_comm *c, struct ax_ckpt_report *r, struct ax_err *e)
{
	enum phase phase;
	uint64_t seen;
	int rc;

	pthread_mutex_lock(&f->lock);
	while ((phase = f->phase) != DONE) {
		seen = f->n_change;
		pthread_mutex_unlock(&f->lock);
		tell_watchdog(c, phase);
		pthread_mutex_lock(&f->lock);
		while (f->n_change == seen)
			pthread_cond_wait(&f->changed, &f->lock);
	}
	pthread_mutex_unlock(&f->lock);
	pthread_join(f->thread, NULL);
	rc = f->rc;
	*r = f->report;
	if (rc && e)
		*e = f->err;
	file_free(f);
	return rc;
}

void ax_ckpt_file_drop(struct ax_ckpt_file *f)
{
	pthread_t thread;
	bool dropped;

	if (!f)
		return;
	pthread_mutex_lock(&f->lock);
	f->cancelled = true;
	while (f->phase < SYNCING)
		pthread_cond_wait(&f->changed, &f->lock);
	f->dropped = dropped = f->phase == SYNCING;
	thread = f->thread;
	pthread_mutex_unlock(&f->lock);
	if (dropped) {
		pthread_detach(thread);
		return;
	}
	pthread_join(thread, NULL);
	file_free(f);
}
