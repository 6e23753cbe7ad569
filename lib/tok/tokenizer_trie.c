#include "tok/tokenizer_trie.h"

#include <string.h>

#include "base/mem.h"
#include "tok/tokenizer.h"

#define MAX_NODES ((size_t)1 << 23)

void ax_trie_release(struct ax_trie *t)
{
	ax_free(t->edge);
	ax_free(t->node);
	memset(t, 0, sizeof(*t));
}

static size_t slot_of(const struct ax_trie *t, uint32_t key)
{
	size_t i = (size_t)(key * 0x9E3779B1u) & (t->n_slot - 1);

	while (t->edge[i] && t->edge[i] >> 32 != key)
		i = (i + 1) & (t->n_slot - 1);
	return i;
}

/* Node numbers stay below 2^23, so that node << 8 | byte, plus one, fits 32 bits. */
static uint32_t edge_key(uint32_t node, unsigned char c)
{
	return (node << 8 | c) + 1;
}

/* The node that a byte leads to; 0: none. A pattern's own nodes lie one after the other. */
static inline uint32_t step(const struct ax_trie *t, uint32_t node, unsigned char c)
{
	if (t->node[node].next == c)
		return node + 1;
	return t->node[node].more ? (uint32_t)t->edge[slot_of(t, edge_key(node, c))] : 0;
}

static bool grow_edges(struct ax_trie *t)
{
	size_t old_n = t->n_slot, n = old_n ? old_n * 2 : 256;
	uint64_t *old = t->edge, *fresh = ax_calloc(n, sizeof(*fresh));

	if (!fresh)
		return false;
	t->edge = fresh;
	t->n_slot = n;
	for (size_t i = 0; i < old_n; i++)
		if (old[i])
			t->edge[slot_of(t, (uint32_t)(old[i] >> 32))] = old[i];
	ax_free(old);
	return true;
}

static bool new_node(struct ax_trie *t)
{
	if (t->n_node >= MAX_NODES || !AX_GROW(t->node, t->n_node, t->cap_node))
		return false;
	t->node[t->n_node++] = (struct ax_trie_node){AX_TOK_NONE, -1, false};
	return true;
}

/* The node that c is to lead to from `node`; false: out of memory. */
static bool make_step(struct ax_trie *t, uint32_t node, unsigned char c, uint32_t *child)
{
	if (2 * t->n_edge >= t->n_slot && !grow_edges(t))
		return false;
	*child = step(t, node, c);
	if (*child)
		return true;
	*child = (uint32_t)t->n_node;
	if (!new_node(t))
		return false;
	if (*child == node + 1) {
		t->node[node].next = c;
		return true;
	}
	t->edge[slot_of(t, edge_key(node, c))] = (uint64_t)edge_key(node, c) << 32 | *child;
	t->n_edge++;
	t->node[node].more = true;
	return true;
}

int ax_trie_add(struct ax_trie *t, const char *p, size_t n, uint32_t value, struct ax_err *e)
{
	const unsigned char *u = (const unsigned char *)p;
	uint32_t node = 0;

	if (!n)
		return 0;
	if (!t->n_node && !new_node(t))
		return ax_fail(e, AX_EMEM, "out of memory for added tokens");
	for (size_t i = 0; i < n; i++) {
		uint32_t child;

		if (!make_step(t, node, u[i], &child))
			return ax_fail(e, AX_EMEM, "out of memory, or more than %zu bytes, for added tokens", MAX_NODES);
		node = child;
	}
	if (t->node[node].value == AX_TOK_NONE)
		t->node[node].value = value;
	t->only = t->n_node == 1 + n || t->only == u[0] ? u[0] : -1;
	ax_byteset_add(&t->first, u[0]);
	if (n == 1)
		t->single[u[0]] = t->node[node].value + 1;
	else
		t->pair[(u[0] << 2) + (u[1] >> 6)] |= (uint64_t)1 << (u[1] & 63);
	return 0;
}

bool ax_trie_find(const struct ax_trie *t, const char *text, size_t n, size_t *begin, size_t *end, uint32_t *value,
		  bool (*accept)(void *ctx, uint32_t value, size_t begin, size_t end), void *ctx)
{
	const unsigned char *p = (const unsigned char *)text;

	if (!t->n_node)
		return false;
	for (size_t i = *begin; i < n; i++) {
		uint32_t node = 0;
		bool found = false;

		if (t->only >= 0) {
			const unsigned char *q = memchr(p + i, t->only, n - i);

			if (!q)
				return false;
			i = (size_t)(q - p);
		}
		if (!ax_byteset_has(&t->first, p[i]))
			i = ax_byteset_find(&t->first, p, i + 1, n);
		if (i == n)
			return false;
		if (t->single[p[i]] && (!accept || accept(ctx, t->single[p[i]] - 1, i, i + 1))) {
			*end = i + 1;
			*value = t->single[p[i]] - 1;
			found = true;
		}
		if (i + 1 < n && t->pair[(p[i] << 2) + (p[i + 1] >> 6)] >> (p[i + 1] & 63) & 1)
			node = step(t, 0, p[i]);
		for (size_t k = i + 1; node && k < n && (node = step(t, node, p[k])); k++)
			if (t->node[node].value != AX_TOK_NONE && (!accept || accept(ctx, t->node[node].value, i, k + 1))) {
				*end = k + 1;
				*value = t->node[node].value;
				found = true;
			}
		if (found) {
			*begin = i;
			return true;
		}
	}
	return false;
}
