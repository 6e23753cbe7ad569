/*
 * The table of pieces that threads share: what is found is what was put in, whoever did, while it grows, refuses and begins
 * anew; and ids of threads with one tokenizer are those of one thread.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/rng.h"
#include "tok/bpe_work.h"
#include "tok/tokenizer.h"

#define THREADS 4
#define PUTS	1600000 /* more than the largest table takes, and than it refuses before an empty one follows */
#define DOCS	160
#define WORDS	1500 /* a document */

static struct ax_err err;
#define OK(x) assert_int_equal((x) ? (print_error("%s\n", err.msg), 1) : 0, 0)

static void at_once(void *(*fn)(void *), void *arg, size_t size)
{
	pthread_t id[THREADS];

	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&id[i], NULL, fn, (char *)arg + i * size), 0);
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(id[i], NULL);
}

/* --- the table --- */

struct user {
	struct ax_share *share;
	uint64_t seed;
	size_t wrong, found, kept;
};

/* A piece is a number as text; its ids are a function of it. */
static size_t text_of(uint64_t k, bool lengthy, char s[64])
{
	return (size_t)snprintf(s, 64, lengthy ? "a longer piece %llu" : "%llu", (unsigned long long)k);
}

static size_t ids_of(uint64_t k, uint32_t id[15])
{
	size_t n = 1 + k % 9;

	for (size_t i = 0; i < n; i++)
		id[i] = (uint32_t)(k * 31 + i) & 0xFFFF;
	return n;
}

static void check(struct user *u, uint64_t k, const uint32_t *id, size_t n)
{
	uint32_t want[15];

	u->found++;
	u->wrong += n != ids_of(k, want) || memcmp(id, want, n * sizeof(*id));
}

static bool put_brief(struct user *u, struct ax_pieces *p, struct ax_pieces_own *own, uint64_t k)
{
	char s[64];
	size_t len = text_of(k, false, s), n;
	struct ax_key key = ax_key_at_end(s, len);
	const struct ax_brief *x = ax_pieces_find(p, key);
	struct ax_brief fresh = {key, {0}};
	uint32_t id[15];

	if (x && x->id[0] >> 24 == AX_BRIEF_MANY)
		check(u, k, p->store + x->id[1], x->id[0] & 0xFFFFFF);
	else if (x)
		check(u, k, (uint32_t[]){x->id[0] & 0xFFFFFF, x->id[1], x->id[2], x->id[3]}, x->id[0] >> 24);
	if (x)
		return true;
	n = ids_of(k, id);
	if (n <= AX_BRIEF_IDS)
		memcpy(fresh.id, id, n * sizeof(*id));
	else
		fresh.id[0] = (uint32_t)n;
	fresh.id[0] |= (uint32_t)(n <= AX_BRIEF_IDS ? n : AX_BRIEF_MANY) << 24;
	return ax_pieces_put(p, own, &fresh, id, n <= AX_BRIEF_IDS ? 0 : n);
}

static bool put_long(struct user *u, struct ax_pieces *p, struct ax_pieces_own *own, uint64_t k)
{
	char s[64];
	size_t len = text_of(k, true, s), n;
	uint64_t hash = ax_piece_hash(s, len);
	const uint32_t *id = ax_pieces_find_long(p, s, len, hash, &n);
	uint32_t own_id[15];

	if (id)
		check(u, k, id, n);
	return id || ax_pieces_put_long(p, own, s, len, hash, own_id, ids_of(k, own_id));
}

static void *use(void *arg)
{
	struct user *u = arg;
	struct ax_pieces *p = ax_pieces_take(u->share, NULL);
	struct ax_pieces_own own = {0};

	for (uint64_t i = 0; i < PUTS; i++) {
		uint64_t k = ax_rand_u64(u->seed, AX_RNG_SAMPLE, i) % (i < PUTS / 20 ? 40000 : 1500000);

		u->kept += i % 16 ? put_brief(u, p, &own, k) : put_long(u, p, &own, k);
		if (i % 512)
			continue;
		ax_pieces_tell(u->share, p, &own);
		if (atomic_load(&u->share->now) == p)
			continue;
		p = ax_pieces_take(u->share, p);
		own = (struct ax_pieces_own){0};
	}
	ax_pieces_give(u->share, p);
	ax_share_drop(u->share);
	return NULL;
}

static void test_table(void **state)
{
	struct ax_share *s = ax_share_new();
	struct user u[THREADS];
	struct ax_pieces *p;
	size_t put = 0;

	(void)state;
	for (size_t i = 0; i < THREADS; i++)
		u[i] = (struct user){.share = ax_share_hold(s), .seed = 1 + i / 2}; /* two do the same */
	at_once(use, u, sizeof(u[0]));
	for (size_t i = 0; i < THREADS; i++) {
		assert_int_equal(u[i].wrong, 0);
		assert_true(u[i].found > PUTS / 8);
		assert_true(u[i].kept > PUTS / 4 && u[i].kept < PUTS);
		put += u[i].kept - u[i].found;
	}
	p = ax_pieces_take(s, NULL);
	assert_int_equal(p->bits, 19);
	assert_true(put > (size_t)3 << 18); /* more than one table takes: an empty one has followed */
	ax_pieces_give(s, p);
	ax_share_drop(s);
}

#define SOME 18000

/* What one thread has put in another finds, before and after the table has grown. */
static void test_learned_once(void **state)
{
	struct ax_share *s = ax_share_new();
	struct ax_pieces *a = ax_pieces_take(s, NULL), *b = ax_pieces_take(s, NULL);
	struct ax_pieces_own own = {0};
	struct user u = {.share = s};

	(void)state;
	for (uint64_t k = 0; k < SOME; k++)
		u.kept += (size_t)put_brief(&u, a, &own, k) + (k % 8 == 0 ? put_long(&u, a, &own, k) : 0u);
	assert_true(u.found == 0 && u.kept > SOME);
	for (uint64_t k = 0; k < SOME; k++)
		put_brief(&u, b, &own, k);
	assert_true(u.found > SOME * 9 / 10 && u.wrong == 0);
	ax_pieces_tell(s, a, &own);
	b = ax_pieces_take(s, b);
	assert_int_equal(b->bits, 17);
	own = (struct ax_pieces_own){0};
	u.found = 0;
	for (uint64_t k = 0; k < SOME; k++) {
		put_brief(&u, b, &own, k);
		if (k % 8 == 0)
			put_long(&u, b, &own, k);
	}
	assert_true(u.found > SOME && u.wrong == 0);
	ax_pieces_give(s, a);
	ax_pieces_give(s, b);
	ax_share_drop(s);
}

/* --- a tokenizer --- */

struct reader {
	const struct ax_tokenizer *tok;
	const struct ax_buf *doc;
	struct ax_ids *want;
	size_t turn, wrong;
	bool compare;
};

static void *read_docs(void *arg)
{
	struct reader *r = arg;
	struct ax_tok_scratch *s = NULL;
	struct ax_ids ids = AX_IDS_INIT;
	struct ax_err e = {0};

	r->wrong += ax_tok_scratch_new(&s, r->tok, &e) != 0;
	for (size_t i = 0; i < DOCS && !r->wrong; i++) {
		size_t d = (i * (2 * r->turn + 1) + r->turn * 7) % DOCS;
		struct ax_ids *to = r->compare ? &ids : &r->want[d];

		ax_ids_reset(to);
		r->wrong += ax_tokenizer_encode(r->tok, r->doc[d].p, r->doc[d].n, AX_TOK_OFFSETS, to, s, &e) != 0;
		if (r->compare)
			r->wrong += ids.n != r->want[d].n || memcmp(ids.id, r->want[d].id, ids.n * sizeof(*ids.id)) ||
				    memcmp(ids.end, r->want[d].end, ids.n * sizeof(*ids.end));
	}
	ax_tok_scratch_free(s);
	ax_ids_release(&ids);
	return NULL;
}

/* Words that hardly come twice in a document, but do in the next ones: short and long, of few and of many tokens. */
static void write_doc(struct ax_buf *b, uint64_t doc)
{
	for (uint64_t i = 0; i < WORDS; i++) {
		uint64_t x = ax_rand_u64(3, AX_RNG_SAMPLE, (doc / 2 * WORDS + i) ^ (doc % 2 << 40) * (i % 4 == 0)), n = 1 + x % 24;

		ax_buf_addc(b, i % 9 ? ' ' : '\n');
		for (x >>= 8; n--; x = x * 6364136223846793005u + 1442695040888963407u)
			ax_buf_addc(b, "etaoinshrdlucmfw0123456789%{\xC3"[x >> 40 & 15]);
	}
}

static void test_tokenizer(void **state)
{
	static struct ax_buf doc[DOCS];
	static struct ax_ids want[DOCS];
	struct ax_tokenizer *one = NULL, *shared = NULL;
	struct reader r[THREADS], alone;

	(void)state;
	OK(ax_tokenizer_open(&one, "examples/arith/model", &err));
	OK(ax_tokenizer_open(&shared, "examples/arith/model", &err));
	for (size_t i = 0; i < DOCS; i++)
		write_doc(&doc[i], i);
	alone = (struct reader){one, doc, want, 0, 0, false};
	read_docs(&alone);
	assert_int_equal(alone.wrong, 0);
	for (size_t i = 0; i < THREADS; i++)
		r[i] = (struct reader){shared, doc, want, i, 0, true};
	at_once(read_docs, r, sizeof(r[0]));
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(r[i].wrong, 0);
	for (size_t i = 0; i < DOCS; i++) {
		ax_buf_release(&doc[i]);
		ax_ids_release(&want[i]);
	}
	ax_tokenizer_free(one);
	ax_tokenizer_free(shared);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_table),
	    cmocka_unit_test(test_learned_once),
	    cmocka_unit_test(test_tokenizer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
