/*
 * Rows against the real Axolotl: every case of the shared assets' axolotl-masks/cases.jsonl, ids and labels. The mask
 * "axolotl" must give its labels; the mask "exact" may differ only where the table says why. Needs the shared assets
 * (AX_ASSETS); skipped without them. AX_VERBOSE=1 names every case that differs.
 */
#define _GNU_SOURCE /* memmem */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/mem.h"
#include "text/json.h"
#include "tok/rows.h"
#include "tok/source.h"

#define SCRATCH "build/tmp-rows"
#include "assets.h"

/* Cases that differ on purpose: a prefix of the id, in which mode (or both), why, and what tok/mask_diff.h must say. */
static const struct {
	const char *prefix, *mode, *why, *reasons;
} known[] = {
#include "rows_known.h"
};

static unsigned used[sizeof(known) / sizeof(known[0])]; /* cases that an entry explained */

static int n_test, n_bad;

struct tally {
	const char *kind;
	unsigned cases, refused, ids, axolotl, exact;
};

static struct tally tallies[32];
static size_t n_tally;

static void check(bool ok, const char *name)
{
	printf("%sok %d - %s\n", ok ? "" : "not ", ++n_test, name);
	n_bad += !ok;
}

/* Paths of templates are relative to the assets. */
static void use_asset_template(struct ax_val *map)
{
	const char *jinja = ax_val_cstr(&arena, ax_val_get(map, "chat_template_jinja"), NULL), *path;

	if (jinja && !strchr(jinja, '{')) {
		path = text_at("%s/%s", jinja, "");
		ax_val_set(&arena, map, "chat_template_jinja", ax_val_str(&arena, path, strlen(path)));
	}
}

struct made {
	struct ax_made rows;
	struct ax_err e, open_e;
	int rc, open_rc;
	struct ax_effective *eff; /* of the case at hand; NULL: open_rc says why */
	struct ax_rows_diff diff; /* of mode exact without no_inject */
};

/* What decides a case's effective tokenizer, as text. */
static char *tokenizer_key(const struct ax_val *c)
{
	static const char *const part[] = {"special_tokens", "tokens", "chat_template", "chat_template_jinja"};
	const struct ax_val *cfg = ax_val_get(c, "config");
	struct ax_buf b = AX_BUF_INIT;
	char *key;

	ax_buf_adds(&b, ax_val_cstr(&arena, ax_val_get(c, "tokenizer"), ""));
	for (int i = 0; i < 4; i++)
		if (ax_val_get(cfg, part[i]))
			ax_json_write(&b, ax_val_get(cfg, part[i]), 0);
	key = ax_arena_strndup(&arena, b.p, b.n);
	ax_buf_release(&b);
	return key;
}

static int open_effective(struct made *m, const struct ax_val *c, const char *tokenizer)
{
	const struct ax_val *cfg = ax_val_get(c, "config");
	struct ax_tok_spec spec = {.model_dir = model_dir(tokenizer)};

	if (m->eff)
		ax_effective_free(m->eff);
	m->eff = NULL;
	spec.special_tokens = ax_val_get(cfg, "special_tokens");
	spec.tokens = ax_val_get(cfg, "tokens");
	spec.chat_template = ax_val_cstr(&arena, ax_val_get(cfg, "chat_template"), NULL);
	spec.chat_template_jinja = ax_val_cstr(&arena, ax_val_get(cfg, "chat_template_jinja"), NULL);
	return ax_effective_open(&m->eff, &spec, &m->open_e);
}

static void make_case(struct made *m, const struct ax_val *c, const struct ax_val *row, const char *tokenizer,
		      enum ax_mask_mode mode, bool no_inject)
{
	struct ax_val *cfg = (struct ax_val *)(uintptr_t)ax_val_get(c, "config");
	struct ax_val *entry = (struct ax_val *)(uintptr_t)ax_val_at(ax_val_get(cfg, "datasets"), 0);
	const char *today = ax_val_cstr(&arena, ax_val_get(c, "today"), NULL);
	struct ax_rows_opt o = {.model_name = tokenizer, .mask = mode, .no_inject = no_inject};
	struct ax_rows *r = NULL;
	struct ax_rows_work *w = NULL;
	struct tm now;

	ax_made_reset(&m->rows);
	memset(&m->e, 0, sizeof(m->e));
	m->rc = m->open_rc;
	m->e = m->open_e;
	if (m->rc)
		return;
	o.eff = m->eff;
	o.sequence_len = (uint32_t)ax_val_int_or(ax_val_get(cfg, "sequence_len"), 512);
	o.train_on_inputs = ax_val_bool_or(ax_val_get(cfg, "train_on_inputs"), false);
	o.eot_tokens = ax_val_get(cfg, "eot_tokens");
	o.chat_template_kwargs = ax_val_get(cfg, "chat_template_kwargs");
	if (today && !ax_jinja_now(&now, today, NULL))
		o.now = &now;
	m->rc = ax_rows_new(&r, entry, &o, &m->e);
	if (!m->rc)
		m->rc = ax_rows_work_new(&w, r, &m->e);
	if (!m->rc)
		m->rc = ax_rows_make(r, row, &m->rows, w, &m->e);
	if (!m->rc && mode == AX_MASK_EXACT && !no_inject)
		m->rc = ax_rows_diff(r, row, &m->diff, w, &m->e);
	ax_rows_work_free(w);
	ax_rows_free(r);
}

/* What Axolotl gave: a row itself, or the i-th of `outputs`. */
static const struct ax_val *golden(const struct ax_val *c, size_t i, size_t *n)
{
	const struct ax_val *out = ax_val_get(c, "outputs");

	*n = out ? ax_val_len(out) : 1;
	return out ? ax_val_at(out, i) : c;
}

/* Tokens of a golden row without the padding that llama2_chat puts behind each. */
static size_t unpadded(const struct ax_val *g)
{
	const struct ax_val *labels = ax_val_get(g, "labels"), *mask = ax_val_get(g, "attention_mask");
	size_t n = ax_val_len(ax_val_get(g, "input_ids"));

	while (mask && n && ax_val_at(mask, n - 1)->u.i == 0 && ax_val_at(labels, n - 1)->u.i == AX_LABEL_NONE)
		n--;
	return n;
}

/* 2: ids and labels equal; 1: ids equal; 0: neither. */
static int compare(const struct ax_val *c, const struct made *m)
{
	size_t n_want;
	int result = 2;

	golden(c, 0, &n_want);
	if (m->rows.n_row != n_want)
		return 0;
	for (size_t i = 0; i < n_want; i++) {
		const struct ax_val *g = golden(c, i, &n_want), *ids = ax_val_get(g, "input_ids");
		const struct ax_val *labels = ax_val_get(g, "labels");
		struct ax_row r;

		ax_made_get(&m->rows, i, &r);
		if (r.n != unpadded(g))
			return 0;
		for (uint32_t k = 0; k < r.n; k++) {
			int64_t label = !r.mask[k] ? AX_LABEL_NONE : r.label ? r.label[k] : (int64_t)r.id[k];

			if (ax_val_at(ids, k)->u.i != (int64_t)r.id[k])
				return 0;
			if (ax_val_at(labels, k)->u.i != label)
				result = 1;
		}
	}
	return result;
}

static struct tally *tally_of(const struct ax_val *c)
{
	const struct ax_val *type = ax_val_path(c, "config.datasets");
	const char *kind;

	type = ax_val_get(ax_val_at(type, 0), "type");
	kind = type && type->type == AX_MAP ? "user-defined" : ax_val_cstr(&arena, type, "(none)");
	if (strncmp(kind, "alpaca", 6) == 0)
		kind = "alpaca*";
	for (size_t i = 0; i < n_tally; i++)
		if (!strcmp(tallies[i].kind, kind))
			return &tallies[i];
	if (n_tally == 31)
		kind = "others";
	tallies[n_tally] = (struct tally){.kind = kind};
	return &tallies[n_tally++];
}

static const char *reason(const char *id, const char *mode)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (!strncmp(id, known[i].prefix, strlen(known[i].prefix)) &&
		    (!strcmp(known[i].mode, "both") || !strcmp(known[i].mode, mode))) {
			used[i]++;
			return known[i].why;
		}
	}
	return NULL;
}

/* The reasons that the differ must give, names with blanks between. */
static const char *reasons_of(const char *id)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (!strncmp(id, known[i].prefix, strlen(known[i].prefix)) && strcmp(known[i].mode, "axolotl"))
			return known[i].reasons;
	return "";
}

static void show_row(const struct made *m, const struct ax_val *c)
{
	size_t n;

	for (size_t i = 0; i < m->rows.n_row; i++) {
		const struct ax_val *g = golden(c, i, &n);
		const struct ax_val *ids = ax_val_get(g, "input_ids"), *labels = ax_val_get(g, "labels");
		struct ax_row r;
		uint32_t longest;

		ax_made_get(&m->rows, i, &r);
		longest = r.n > ax_val_len(ids) ? r.n : (uint32_t)ax_val_len(ids);
		for (uint32_t k = 0; k < longest && m->eff; k++) {
			int64_t id = ax_val_int_or(ax_val_at(ids, k), -1),
				label = ax_val_int_or(ax_val_at(labels, k), -1);
			size_t piece_n = 0;
			const char *p = k < r.n ? ax_tokenizer_piece(m->eff->tok, r.id[k], &piece_n) : "";
			bool want = label != AX_LABEL_NONE, have = k < r.n && r.mask[k];

			printf("#   %u %lld/%d %.*s %s%s\n", k, (long long)id, k < r.n ? (int)r.id[k] : -1,
			       (int)piece_n, p ? p : "", have ? "trained" : "-",
			       want == have ? ""
			       : want	    ? "  (Axolotl: trained)"
					    : "  (Axolotl: -)");
		}
	}
}

static void judge(const struct ax_val *c, struct made *m, struct tally *t, enum ax_mask_mode mode,
		  unsigned *unexplained)
{
	const char *id = ax_val_cstr(&arena, ax_val_get(c, "id"), "?");
	const char *name = mode == AX_MASK_EXACT ? "exact" : "axolotl", *why;
	bool refuse = ax_val_get(c, "error") != NULL, ok;
	int got = m->rc ? -1 : refuse ? -2 : compare(c, m);

	ok = refuse ? m->rc != 0 : got == 2;
	if (mode == AX_MASK_AXOLOTL) {
		t->refused += refuse && ok;
		t->ids += !refuse && got >= 1;
		t->axolotl += !refuse && got == 2;
	} else {
		t->exact += !refuse && got == 2;
	}
	if (ok)
		return;
	why = reason(id, name);
	*unexplained += !why;
	if (!why || getenv("AX_VERBOSE"))
		printf("# %s %s: %s%s%s\n", name, id,
		       m->rc	? m->e.msg
		       : refuse ? "not refused"
		       : got	? "labels differ"
				: "ids differ",
		       why ? ": known: " : "", why ? why : "");
	if (getenv("AX_SHOW") && strstr(id, getenv("AX_SHOW")))
		show_row(m, c);
}

struct one {
	struct ax_val *c;
	char *key;
	bool done;
};

/* --- no_inject --- */

struct guard_tally {
	unsigned same, held, injected, bad;
};

static bool guarded(const struct ax_tok_added *t)
{
	return t->special || t->guarded;
}

/* Does a string of v hold the text of a special token? */
static bool holds_special(const struct ax_tokenizer *tok, const struct ax_val *v)
{
	for (size_t i = 0; v->type == AX_MAP && i < v->n; i++)
		if (holds_special(tok, v->u.pair[i].val))
			return true;
	for (size_t i = 0; v->type == AX_LIST && i < v->n; i++)
		if (holds_special(tok, v->u.item[i]))
			return true;
	for (size_t i = 0; v->type == AX_STR && i < ax_tokenizer_n_added(tok); i++) {
		const struct ax_tok_added *t = ax_tokenizer_added_at(tok, i);

		if (guarded(t) && t->content_n && v->n >= t->content_n && memmem(v->u.s, v->n, t->content, t->content_n))
			return true;
	}
	return false;
}

/* How many special tokens, but for the one of unknown characters. */
static size_t count_special(const struct made *m)
{
	size_t n = 0;

	for (size_t i = 0; i < m->rows.n; i++) {
		const struct ax_tok_added *t = ax_tokenizer_added(m->eff->tok, m->rows.id[i]);

		n += t && guarded(t) && m->rows.id[i] != m->eff->unk;
	}
	return n;
}

static unsigned notes(const struct made *m)
{
	unsigned note = 0;

	for (size_t i = 0; i < m->rows.n_row; i++)
		note |= m->rows.row[i].note;
	return note;
}

/* A copy of the row in which the texts named `key` end with the text of every special token (of many: some). */
static struct ax_val *inject(const struct ax_tokenizer *tok, const struct ax_val *v, const char *key)
{
	static const char *const names[] = {"content", "value",	 "text",   "instruction", "input",
					    "output",  "prompt", "answer", "question",	  "reasoning_content"};
	struct ax_val *out;
	struct ax_buf b = AX_BUF_INIT;
	bool named = false;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		named |= key && !strcmp(key, names[i]);
	if (v->type == AX_MAP) {
		out = ax_val_map(&arena);
		for (size_t i = 0; i < v->n; i++)
			ax_val_set(&arena, out, v->u.pair[i].key, inject(tok, v->u.pair[i].val, v->u.pair[i].key));
		return out;
	}
	if (v->type == AX_LIST) {
		out = ax_val_list(&arena);
		for (size_t i = 0; i < v->n; i++)
			ax_val_push(&arena, out, inject(tok, v->u.item[i], key));
		return out;
	}
	if (v->type != AX_STR || v->n == 0 || !named)
		return (struct ax_val *)(uintptr_t)v;
	ax_buf_add(&b, v->u.s, v->n);
	for (size_t i = 0, n = 0; i < ax_tokenizer_n_added(tok) && n < 12; i++) {
		const struct ax_tok_added *t = ax_tokenizer_added_at(tok, i);

		if (guarded(t)) {
			ax_buf_addf(&b, "%sx", n++ % 2 ? " " : "");
			ax_buf_add(&b, t->content, t->content_n);
		}
	}
	ax_buf_addc(&b, 'x');
	out = ax_val_str(&arena, b.p, b.n);
	ax_buf_release(&b);
	return out;
}

static void guard_bad(const struct ax_val *c, struct guard_tally *g, const char *what)
{
	g->bad++;
	printf("# no_inject %s: %s\n", ax_val_cstr(&arena, ax_val_get(c, "id"), "?"), what);
}

/*
 * With no_inject a row without text of special tokens gives the same ids and labels; the same row with such text in all
 * that it says has as many special tokens as without.
 */
static void run_guarded(struct one *o, struct made *m, enum ax_mask_mode mode, struct guard_tally *g)
{
	const struct ax_val *c = o->c, *row = ax_val_get(c, "row");
	const char *name = ax_val_cstr(&arena, ax_val_get(c, "tokenizer"), "");
	struct made with = {.eff = m->eff, .open_rc = m->open_rc};
	size_t n;

	make_case(m, c, row, name, mode, false);
	make_case(&with, c, row, name, mode, true);
	if (m->rc != with.rc)
		guard_bad(c, g, "refused otherwise");
	if (m->rc || with.rc)
		goto out;
	if (notes(&with) & AX_MADE_HELD) {
		g->held++;
		if (!holds_special(m->eff->tok, row))
			guard_bad(c, g, "text was held back, but there is none of special tokens");
		goto out;
	}
	g->same++;
	if (m->rows.n_row != with.rows.n_row || m->rows.n != with.rows.n ||
	    (m->rows.n && (memcmp(m->rows.id, with.rows.id, m->rows.n * sizeof(*m->rows.id)) ||
			   memcmp(m->rows.mask, with.rows.mask, m->rows.n))))
		guard_bad(c, g, "ids or labels differ");
	n = count_special(m);
	make_case(&with, c, inject(m->eff->tok, row, NULL), name, mode, true);
	if (with.rc || (notes(&with) & AX_MADE_CUT) || !(notes(&with) & AX_MADE_HELD))
		goto out; /* nothing was put in, or it was cut off again */
	g->injected++;
	if (count_special(&with) != n)
		guard_bad(c, g, "special tokens came out of the data");
out:
	ax_made_release(&with.rows);
}

static struct one *cases;
static size_t n_case, cap_case;

static bool read_cases(const char *path)
{
	struct ax_source s;
	struct ax_record r;
	struct ax_err e = {0};
	bool end = false;

	if (ax_source_open(&s, path, AX_SOURCE_JSON, 0, &e))
		return false;
	while (!ax_source_next(&s, &r, &end, &e) && !end) {
		struct one *o;

		if (!AX_GROW(cases, n_case, cap_case))
			break;
		o = &cases[n_case];
		*o = (struct one){0};
		if (ax_json_parse(&arena, ax_arena_strndup(&arena, r.p, r.n), r.n, &o->c, &e))
			break;
		o->key = tokenizer_key(o->c);
		if (!getenv("AX_ONLY") || strstr(ax_val_cstr(&arena, ax_val_get(o->c, "id"), ""), getenv("AX_ONLY")))
			n_case++;
	}
	ax_source_close(&s);
	return end;
}

struct diff_tally {
	unsigned rows, reason[AX_N_DIFF], bad;
};

static void diff_bad(const struct ax_val *c, struct diff_tally *g, const char *what, const char *more)
{
	g->bad++;
	printf("# difference of masks, %s: %s%s\n", ax_val_cstr(&arena, ax_val_get(c, "id"), "?"), what, more);
}

/* The differences must be those of the two masks, and for a known case its reasons those of the table. */
static void check_diff(const struct ax_val *c, const struct made *m, const struct ax_buf *axolotl, struct diff_tally *g)
{
	const char *id = ax_val_cstr(&arena, ax_val_get(c, "id"), "?");
	struct ax_buf said = AX_BUF_INIT, reasons = AX_BUF_INIT;
	const struct ax_diffs *d = &m->diff.diffs;
	const char *want = reasons_of(id);
	unsigned set = 0;

	if (m->rc || !m->diff.chat)
		return;
	ax_buf_add(&said, m->rows.mask, m->rows.n);
	for (size_t i = 0; i < d->n; i++) {
		set |= 1u << d->diff[i].reason;
		for (size_t k = d->diff[i].begin; k < d->diff[i].end; k++)
			said.p[k] ^= 1;
	}
	if (said.n != axolotl->n || (said.n && memcmp(said.p, axolotl->p, said.n)))
		diff_bad(c, g, "not that of the masks", "");
	for (int i = 0; i < AX_N_DIFF; i++)
		if (set & 1u << i) {
			g->reason[i]++;
			ax_buf_addf(&reasons, "%s%s", reasons.n ? " " : "", ax_diff_name((enum ax_diff_reason)i));
		}
	g->rows += d->n > 0;
	if (strcmp(reasons.n ? reasons.p : "", want))
		diff_bad(c, g, "reasons: ", reasons.n ? reasons.p : "none");
	ax_buf_release(&said);
	ax_buf_release(&reasons);
}

static void run_case(struct one *o, struct made *m, unsigned bad[2], struct guard_tally *g, struct diff_tally *d)
{
	struct ax_buf axolotl = AX_BUF_INIT;
	struct tally *t = tally_of(o->c);

	o->done = true;
	t->cases++;
	use_asset_template((struct ax_val *)(uintptr_t)ax_val_at(ax_val_path(o->c, "config.datasets"), 0));
	for (int mode = 0; mode < 2; mode++) {
		make_case(m, o->c, ax_val_get(o->c, "row"), ax_val_cstr(&arena, ax_val_get(o->c, "tokenizer"), ""),
			  mode ? AX_MASK_EXACT : AX_MASK_AXOLOTL, false);
		judge(o->c, m, t, mode ? AX_MASK_EXACT : AX_MASK_AXOLOTL, &bad[mode]);
		if (mode)
			check_diff(o->c, m, &axolotl, d);
		else if (!m->rc)
			ax_buf_add(&axolotl, m->rows.mask, m->rows.n);
		run_guarded(o, m, mode ? AX_MASK_EXACT : AX_MASK_AXOLOTL, g);
	}
	ax_buf_release(&axolotl);
}

/* All cases, those of one effective tokenizer together. */
static void run_cases(const char *path)
{
	bool stale = false;
	struct made m = {0};
	struct guard_tally g = {0};
	struct diff_tally d = {0};
	unsigned bad[2] = {0, 0};

	check(read_cases(path), "all cases read");
	for (size_t i = 0; i < n_case; i++) {
		if (cases[i].done)
			continue;
		memset(&m.open_e, 0, sizeof(m.open_e));
		m.open_rc =
		    open_effective(&m, cases[i].c, ax_val_cstr(&arena, ax_val_get(cases[i].c, "tokenizer"), ""));
		for (size_t k = i; k < n_case; k++)
			if (!cases[k].done && !strcmp(cases[k].key, cases[i].key))
				run_case(&cases[k], &m, bad, &g, &d);
	}
	ax_made_release(&m.rows);
	ax_rows_diff_release(&m.diff);
	if (m.eff)
		ax_effective_free(m.eff);
	ax_free(cases);
	check(bad[0] == 0, "ids, and labels of --mask axolotl, equal Axolotl's or are known to differ");
	printf("# no_inject: %u runs the same, %u hold text of special tokens, %u injected\n", g.same, g.held, g.injected);
	check(g.bad == 0 && g.same > 0 && g.injected > 0, "with no_inject special tokens come of templates alone");
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]) && !getenv("AX_ONLY"); i++) {
		if (!used[i])
			printf("# no case differs any more: %s\n", known[i].prefix);
		stale |= !used[i];
	}
	check(!stale, "every difference that is listed is one");
	printf("# masks differ in %u rows:", d.rows);
	for (int i = 0; i < AX_N_DIFF; i++)
		if (d.reason[i])
			printf(" %s %u", ax_diff_name((enum ax_diff_reason)i), d.reason[i]);
	printf("\n");
	check(d.bad == 0 && d.rows > 0, "the differences of the masks are found, for the reasons that the table says");
	check(bad[1] == 0, "labels of --mask exact equal Axolotl's or are known to differ");
}

int main(void)
{
	const char *path;

	assets = getenv("AX_ASSETS");
	if (!assets)
		assets = "../shared/assets";
	ax_arena_init(&arena, 0);
	path = text_at("%s/vectors/axolotl-masks/cases.jsonl", "", "");
	if (!ax_path_exists(path)) {
		printf("1..1\nok 1 - rows # SKIP no assets\n");
		return 0;
	}
	run_cases(path);
	printf("# %-28s %5s %7s %7s %7s %7s\n", "type", "cases", "refused", "ids", "axolotl", "exact");
	for (size_t i = 0; i < n_tally; i++)
		printf("# %-28s %5u %7u %7u %7u %7u\n", tallies[i].kind, tallies[i].cases, tallies[i].refused,
		       tallies[i].ids, tallies[i].axolotl, tallies[i].exact);
	printf("1..%d\n", n_test);
	ax_remove_tree(SCRATCH, NULL);
	ax_arena_release(&arena);
	return n_bad != 0;
}
