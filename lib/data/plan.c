#include <string.h>

#include "base/mem.h"
#include "data/packer.h"

#define NONE UINT32_MAX

void ax_plan_init(struct ax_plan *p)
{
	memset(p, 0, sizeof(*p));
}

void ax_plan_release(struct ax_plan *p)
{
	uint32_t **all[] = {&p->order, &p->begin, &p->item, &p->bin_of, &p->next, &p->head, &p->free, &p->count};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		ax_free(*all[i]);
	for (size_t i = 0; i < 4; i++)
		ax_free(p->bit[i]);
	memset(p, 0, sizeof(*p));
}

static bool replace(uint32_t **p, size_t n)
{
	ax_free(*p);
	*p = ax_calloc(n, sizeof(**p));
	return *p != NULL;
}

static bool room_rows(struct ax_plan *p, size_t n)
{
	if (n <= p->cap_row)
		return true;
	p->cap_row = 0;
	if (!replace(&p->order, n) || !replace(&p->begin, n + 1) || !replace(&p->item, n) || !replace(&p->bin_of, n) ||
	    !replace(&p->next, n) || !replace(&p->free, n))
		return false;
	p->cap_row = n;
	return true;
}

/* Lists for capacities 0 .. capacity, all empty; the bitmap has a summary word for every 64 words, four levels up. */
static bool room_lengths(struct ax_plan *p, size_t n)
{
	size_t words = n;

	if (n <= p->cap_len)
		return true;
	p->cap_len = 0;
	if (!replace(&p->head, n) || !replace(&p->count, n + 1))
		return false;
	for (int l = 0; l < 4; l++) {
		words = words / 64 + 1;
		ax_free(p->bit[l]);
		p->bit[l] = ax_calloc(words, sizeof(uint64_t));
		if (!p->bit[l])
			return false;
	}
	p->cap_len = n;
	return true;
}

static void set_bit(struct ax_plan *p, uint32_t i)
{
	for (int l = 0; l < 4; l++) {
		uint64_t *w = &p->bit[l][i >> 6];
		bool was = *w != 0;

		*w |= (uint64_t)1 << (i & 63);
		if (was)
			return;
		i >>= 6;
	}
}

static void clear_bit(struct ax_plan *p, uint32_t i)
{
	for (int l = 0; l < 4; l++) {
		uint64_t *w = &p->bit[l][i >> 6];

		*w &= ~((uint64_t)1 << (i & 63));
		if (*w)
			return;
		i >>= 6;
	}
}

/* Smallest set bit >= i, or NONE: up until a word has one at or after the place, then down. */
static uint32_t next_bit(const struct ax_plan *p, uint32_t i)
{
	uint64_t w = p->bit[0][i >> 6] >> (i & 63);
	int l = 0;

	if (w)
		return i + (uint32_t)__builtin_ctzll(w);
	for (;;) {
		if (++l == 4)
			return NONE;
		i = (i >> 6) + 1; /* each level has a word to spare, so this stays inside */
		w = p->bit[l][i >> 6] >> (i & 63);
		if (w)
			break;
	}
	i += (uint32_t)__builtin_ctzll(w);
	while (l--)
		i = i << 6 | (uint32_t)__builtin_ctzll(p->bit[l][i]);
	return i;
}

/* item[]: rows by falling length, equal lengths in input order. */
static void sort_rows(struct ax_plan *p, const uint32_t *len, size_t n, uint32_t capacity)
{
	uint32_t *at = p->count, sum = 0;

	memset(at, 0, ((size_t)capacity + 1) * sizeof(*at));
	for (size_t i = 0; i < n; i++)
		at[len[i]]++;
	for (uint32_t l = capacity; l > 0; l--) {
		uint32_t c = at[l];

		at[l] = sum;
		sum += c;
	}
	for (size_t i = 0; i < n; i++)
		p->item[at[len[i]]++] = (uint32_t)i;
}

/* Put a bin with `room` left on its list. A full bin is on none. */
static void push_bin(struct ax_plan *p, uint32_t bin, uint32_t room)
{
	p->free[bin] = room;
	if (!room)
		return;
	p->next[bin] = p->head[room];
	if (p->head[room] == NONE)
		set_bit(p, room);
	p->head[room] = bin;
}

static void place_rows(struct ax_plan *p, const uint32_t *len, size_t n, uint32_t capacity)
{
	for (size_t k = 0; k < n; k++) {
		uint32_t l = len[p->item[k]], room = next_bit(p, l), bin;

		if (room == NONE) {
			room = capacity;
			bin = p->n_bin++;
		} else {
			bin = p->head[room];
			p->head[room] = p->next[bin];
			if (p->head[room] == NONE)
				clear_bit(p, room);
		}
		p->bin_of[k] = bin;
		push_bin(p, bin, room - l);
	}
}

/* Lists back to empty, by the bins that are on them: O(bins), not O(capacity). */
static void empty_lists(struct ax_plan *p)
{
	for (uint32_t b = 0; b < p->n_bin; b++)
		if (p->free[b] && p->head[p->free[b]] != NONE) {
			p->head[p->free[b]] = NONE;
			clear_bit(p, p->free[b]);
		}
}

/* order[] and begin[] from bin_of[]: a counting sort by bin that keeps falling lengths inside a bin. */
static void gather_bins(struct ax_plan *p, size_t n)
{
	uint32_t sum = 0;

	memset(p->begin, 0, ((size_t)p->n_bin + 1) * sizeof(*p->begin));
	for (size_t k = 0; k < n; k++)
		p->begin[p->bin_of[k]]++;
	for (uint32_t b = 0; b <= p->n_bin; b++) {
		uint32_t c = p->begin[b];

		p->begin[b] = sum;
		sum += b < p->n_bin ? c : 0;
	}
	for (size_t k = 0; k < n; k++)
		p->order[p->begin[p->bin_of[k]]++] = p->item[k];
	for (uint32_t b = p->n_bin; b > 0; b--)
		p->begin[b] = p->begin[b - 1];
	p->begin[0] = 0;
}

int ax_plan_run(struct ax_plan *p, const uint32_t *len, size_t n, uint32_t capacity, struct ax_err *e)
{
	uint32_t bad = 0;
	bool fresh = p->cap_len < (size_t)capacity + 1;

	if (n >= NONE || capacity < 1)
		return ax_fail(e, AX_EMEM, "a window of %zu rows is too large", n);
	for (size_t i = 0; i < n; i++)
		bad |= len[i] - 1 >= capacity; /* 0 wraps around */
	if (bad)
		return ax_fail(e, AX_EDATA, "a row that fits no pack of %u tokens", capacity);
	if (!room_rows(p, n) || !room_lengths(p, (size_t)capacity + 1))
		return ax_fail(e, AX_EMEM, "out of memory for a window of %zu rows", n);
	if (fresh)
		memset(p->head, 0xff, p->cap_len * sizeof(*p->head));
	p->n_bin = 0;
	p->n_row = (uint32_t)n;
	p->capacity = capacity;
	sort_rows(p, len, n, capacity);
	place_rows(p, len, n, capacity);
	empty_lists(p);
	gather_bins(p, n);
	return 0;
}

uint32_t ax_plan_carry(struct ax_plan *p)
{
	uint32_t least = p->capacity / 16 + 1, room = p->capacity, rows = 0;

	memset(p->count, 0, ((size_t)p->capacity + 1) * sizeof(*p->count));
	for (uint32_t b = 0; b < p->n_bin; b++)
		p->count[p->free[b]] += p->begin[b + 1] - p->begin[b];
	for (; room >= least; room--) {
		if (rows + p->count[room] > p->n_row / 8)
			break;
		rows += p->count[room];
	}
	return room + 1;
}

/*
 * L2 = max over a in [0, L/2] of |J1| + |J2| + max(0, ceil((S3 - (|J2| L - S2)) / L)), where J1 holds the rows longer
 * than L - a, J2 those longer than L/2 but not in J1, J3 those of a .. L/2; S2, S3 their tokens.
 */
uint64_t ax_pack_bound(const uint64_t *count, uint32_t capacity)
{
	uint64_t L = capacity, half = L / 2, n2 = 0, s2 = 0, n1 = 0, s3 = 0, best = 0;

	for (uint64_t l = half + 1; l <= L; l++) {
		n2 += count[l];
		s2 += count[l] * l;
	}
	/* a falls from L/2: rows enter J3 from above, and J1 rows move to J2; start with a = L/2 */
	for (uint64_t l = L - half + 1; l <= L; l++) {
		n1 += count[l];
		n2 -= count[l];
		s2 -= count[l] * l;
	}
	for (uint64_t a = half;; a--) {
		uint64_t room, v = n1 + n2;

		s3 += count[a] * a;
		room = n2 * L - s2;
		if (s3 > room)
			v += (s3 - room + L - 1) / L;
		if (v > best)
			best = v;
		if (a == 0)
			break;
		/* for a - 1: rows of length L - a + 1 leave J1 */
		if (L - a + 1 <= L && L - a + 1 > half) {
			n1 -= count[L - a + 1];
			n2 += count[L - a + 1];
			s2 += count[L - a + 1] * (L - a + 1);
		}
	}
	return best;
}
