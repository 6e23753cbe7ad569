/*
 * Plain text to ids in memory: how fast, and how long a tokenizer takes to load.
 * usage: bench [-n BYTES] [-d BYTES] [-o] [-q] [-w] [-t THREADS] [-r REPEATS] MODEL TEXT
 *	  bench -x [-n BYTES] ... MODEL STRING
 *	-n	take so much of the text (default: all)
 *	-d	size of a document, cut behind the next empty line (default 10000; 0: the text is one document)
 *	-o	with the byte range of each token
 *	-q	without the checksum, which is a run of its own
 *	-w	time on the wall
 *	-x	the text is STRING over and over (-n: 10 MB), as one document
 *	-t	threads that take documents in turn (default 1)
 *	-r	repeat, each time with a fresh tokenizer, so cold (default 1); the fastest counts
 * Prints one line: name, milliseconds to load, bytes, MB/s, cycles a byte, ids, the CRC-32 of all ids. Time is that of the
 * thread on a core, so that other programs count little; with more than one thread, that on the wall.
 */
#define _GNU_SOURCE /* memmem */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#include "base/buf.h"
#include "base/io.h"
#include "base/mem.h"
#include "tok/tokenizer.h"

#define MAX_THREADS 64

struct settings {
	size_t bytes, doc;
	unsigned flags;
	int threads, repeats;
	bool wall, quiet, repeat;
};

struct doc {
	size_t from, to;
};

struct work {
	const struct ax_tokenizer *tok;
	const char *text;
	struct doc *doc;
	size_t n_doc, bytes;
	unsigned flags;
	bool check; /* the checksum too: outside the measured run */
	unsigned long crc;
	atomic_size_t next;
	atomic_size_t ids;
	atomic_int failed;
};

static double now(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Cycles a second of this core now: a chain of additions, one a cycle. */
static double frequency(void)
{
	double best = 0;

	for (int k = 0; k < 5; k++) {
		double t = now(CLOCK_THREAD_CPUTIME_ID);
		volatile unsigned long n = 20 * 1000 * 1000;
		unsigned long x = n;

		for (unsigned long i = n; i; i--)
			__asm__ volatile("" : "+r"(x));
		t = now(CLOCK_THREAD_CPUTIME_ID) - t;
		if ((double)n / t > best)
			best = (double)n / t;
	}
	return best;
}

static void *run(void *arg)
{
	struct work *w = arg;
	struct ax_tok_scratch *s = NULL;
	struct ax_ids ids = AX_IDS_INIT;
	struct ax_err e = {0};
	size_t i, n = 0;

	if (ax_tok_scratch_new(&s, w->tok, &e))
		goto out;
	while ((i = atomic_fetch_add(&w->next, 1)) < w->n_doc) {
		struct doc *d = &w->doc[i];

		if (ax_tokenizer_encode(w->tok, w->text + d->from, d->to - d->from, w->flags, &ids, s, &e))
			goto out;
	}
	if (w->check)
		w->crc = crc32_z(0, (const unsigned char *)ids.id, ids.n * 4);
out:
	n = ids.n;
	if (e.msg[0]) {
		fprintf(stderr, "bench: %s\n", e.msg);
		atomic_store(&w->failed, 1);
	}
	atomic_fetch_add(&w->ids, n);
	ax_tok_scratch_free(s);
	ax_ids_release(&ids);
	return NULL;
}

/* Seconds of one run over all documents. */
static double measure(struct work *w, int threads, bool wall)
{
	pthread_t id[MAX_THREADS];
	clockid_t clock = threads > 1 || wall ? CLOCK_MONOTONIC : CLOCK_THREAD_CPUTIME_ID;
	double t = now(clock);

	atomic_store(&w->next, 0);
	atomic_store(&w->ids, 0);
	if (threads <= 1) {
		run(w);
		return now(clock) - t;
	}
	for (int i = 0; i < threads; i++)
		if (pthread_create(&id[i], NULL, run, w))
			exit(4);
	for (int i = 0; i < threads; i++)
		pthread_join(id[i], NULL);
	return now(clock) - t;
}

static struct doc *cut(const char *p, size_t n, size_t size, size_t *n_doc)
{
	struct doc *doc = ax_calloc(size ? n / size + 2 : 1, sizeof(*doc));

	*n_doc = 0;
	for (size_t from = 0, to; doc && from < n; from = to) {
		const char *q = NULL;

		if (size && n - from > size)
			q = memmem(p + from + size, n - from - size, "\n\n", 2);
		to = q ? (size_t)(q - p) + 2 : n;
		doc[(*n_doc)++] = (struct doc){from, to};
	}
	return doc;
}

static int bench(const char *model, const char *path, const struct settings *set, struct ax_err *e)
{
	struct work w = {.flags = set->flags};
	struct ax_tokenizer *tok = NULL;
	struct ax_map m = {NULL, 0};
	double load = now(CLOCK_THREAD_CPUTIME_ID), best = 1e9, hz = frequency();
	struct ax_buf text = AX_BUF_INIT;
	int rc;

	load = now(CLOCK_THREAD_CPUTIME_ID);
	AX_GOTO(ax_tokenizer_open(&tok, model, e));
	load = now(CLOCK_THREAD_CPUTIME_ID) - load;
	if (set->repeat) {
		while (text.n < (set->bytes ? set->bytes : 10000000))
			ax_buf_adds(&text, path);
		w.text = text.p;
		w.bytes = text.n;
	} else {
		AX_GOTO(ax_map_open(&m, path, e));
		w.text = (const char *)m.p;
		w.bytes = set->bytes && set->bytes < m.n ? set->bytes : m.n;
		while (w.bytes < m.n && ((unsigned char)m.p[w.bytes] & 0xC0) == 0x80)
			w.bytes++;
	}
	w.doc = cut(w.text, w.bytes, set->repeat ? 0 : set->doc, &w.n_doc);
	if (!w.doc) {
		rc = ax_fail(e, AX_EMEM, "out of memory");
		goto out;
	}
	for (int i = 0; i < set->repeats && !atomic_load(&w.failed); i++) {
		double t;

		ax_tokenizer_free(tok); /* the one before has learned */
		tok = NULL;
		AX_GOTO(ax_tokenizer_open(&tok, model, e));
		w.tok = tok;
		t = measure(&w, set->threads, set->wall);

		best = t < best ? t : best;
	}
	w.check = !set->quiet;
	if (w.check)
		measure(&w, 1, false);
	printf("%s\tload %.0f ms\t%zu bytes\t%.1f MB/s\t%.2f c/B\t%zu ids\t%08lx\n", model, load * 1e3, w.bytes,
	       (double)w.bytes / best / 1e6, best * hz / (double)w.bytes, atomic_load(&w.ids), w.crc);
	rc = atomic_load(&w.failed) ? AX_EDATA : 0;
out:
	ax_free(w.doc);
	ax_buf_release(&text);
	ax_map_close(&m);
	ax_tokenizer_free(tok);
	return rc;
}

int main(int argc, char **argv)
{
	struct settings set = {.doc = 10000, .threads = 1, .repeats = 1};
	struct ax_err e = {0};
	int c, rc;

	while ((c = getopt(argc, argv, "n:d:oqwxt:r:")) != -1) {
		if (c == 'n')
			set.bytes = strtoull(optarg, NULL, 10);
		else if (c == 'd')
			set.doc = strtoull(optarg, NULL, 10);
		else if (c == 'o')
			set.flags |= AX_TOK_OFFSETS;
		else if (c == 'q')
			set.quiet = true;
		else if (c == 'x')
			set.repeat = true;
		else if (c == 'w')
			set.wall = true;
		else if (c == 't')
			set.threads = atoi(optarg);
		else if (c == 'r')
			set.repeats = atoi(optarg);
		else
			return 2;
	}
	if (argc - optind != 2 || set.threads < 1 || set.threads > MAX_THREADS || set.repeats < 1) {
		fprintf(stderr, "usage: bench [-n BYTES] [-d BYTES] [-oqwx] [-t THREADS] [-r REPEATS] MODEL TEXT\n");
		return 2;
	}
	rc = bench(argv[optind], argv[optind + 1], &set, &e);
	if (rc)
		fprintf(stderr, "bench: %s\n", e.msg);
	return rc;
}
