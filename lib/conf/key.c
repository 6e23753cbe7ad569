/* Look-up in the key table: by name, by alias, by likeness. */
#include <string.h>

#include "conf/keys.h"

#define NAME_MAX_ 128

const struct ax_key_group ax_key_groups[] = {
	{"Model", ax_keys_model, false},
	{"Tokenizer", ax_keys_tokenizer, false},
	{"Batch and length", ax_keys_batch, false},
	{"Optimizer and schedule", ax_keys_optim, false},
	{"Precision, attention and memory", ax_keys_memory, false},
	{"Data", ax_keys_data, false},
	{"Entries of datasets, test_datasets and pretraining_dataset", ax_keys_entry, false},
	{"Logging, evaluation and saving", ax_keys_save, false},
	{"Trackers and uploads", ax_keys_track, false},
	{"Parallelism", ax_keys_parallel, false},
	{"Plugins and their keys", ax_keys_plugin, false},
	{"Adapters, preference training and quantisation", ax_keys_other, false},
	{"Old keys", ax_keys_old, true},
	{NULL, NULL, false},
};

/* Entries of all three lists share the rows of datasets. */
static const char *const same_entries[] = {"test_datasets[].", "pretraining_dataset[]."};

static bool is_word(const char *list, const char *name, size_t n)
{
	for (const char *p = list; p && *p;) {
		size_t m = strcspn(p, " ");
		size_t bare = m > 0 && p[m - 1] == '!' ? m - 1 : m;

		if (bare == n && memcmp(p, name, n) == 0)
			return true;
		p += m + strspn(p + m, " ");
	}
	return false;
}

static const struct ax_key *find_plain(const char *name, size_t n)
{
	for (const struct ax_key_group *g = ax_key_groups; g->title; g++)
		for (const struct ax_key *k = g->row; k->name; k++)
			if ((strncmp(k->name, name, n) == 0 && k->name[n] == '\0') || is_word(k->alias, name, n))
				return k;
	return NULL;
}

const struct ax_key *ax_key_find(const char *name, size_t n)
{
	char buf[NAME_MAX_];

	for (size_t i = 0; i < sizeof(same_entries) / sizeof(*same_entries); i++) {
		size_t m = strlen(same_entries[i]);

		if (n > m && n < NAME_MAX_ - 16 && memcmp(name, same_entries[i], m) == 0) {
			memcpy(buf, "datasets[].", 11);
			memcpy(buf + 11, name + m, n - m);
			return find_plain(buf, n - m + 11);
		}
	}
	return find_plain(name, n);
}

bool ax_key_has_members(const struct ax_key *key)
{
	size_t n = strlen(key->name);

	for (const struct ax_key_group *g = ax_key_groups; g->title; g++)
		for (const struct ax_key *k = g->row; k->name; k++)
			if (strncmp(k->name, key->name, n) == 0 &&
			    (k->name[n] == '.' || strncmp(k->name + n, "[].", 3) == 0))
				return true;
	return false;
}

size_t ax_edit_distance(const char *x, const char *y, size_t max)
{
	size_t row[3][NAME_MAX_], n = strlen(x), m = strlen(y);
	size_t *before = row[0], *last = row[1], *now = row[2];

	if (n >= NAME_MAX_ || m >= NAME_MAX_ || (n > m ? n - m : m - n) > max)
		return max + 1;
	for (size_t j = 0; j <= m; j++)
		before[j] = last[j] = j;
	for (size_t i = 1; i <= n; i++) {
		now[0] = i;
		for (size_t j = 1; j <= m; j++) {
			size_t best = last[j - 1] + (x[i - 1] != y[j - 1]);

			best = last[j] + 1 < best ? last[j] + 1 : best;
			best = now[j - 1] + 1 < best ? now[j - 1] + 1 : best;
			if (i > 1 && j > 1 && x[i - 1] == y[j - 2] && x[i - 2] == y[j - 1] && before[j - 2] + 1 < best)
				best = before[j - 2] + 1;
			now[j] = best;
		}
		size_t *t = before;

		before = last, last = now, now = t;
	}
	return last[m] > max ? max + 1 : last[m];
}

const struct ax_key *ax_key_nearest(const char *name)
{
	const struct ax_key *best = NULL;
	size_t n = strlen(name), max = n < 4 ? 1 : n < 8 ? 2 : 3, least = max + 1;

	for (const struct ax_key_group *g = ax_key_groups; g->title; g++)
		for (const struct ax_key *k = g->row; k->name; k++) {
			size_t d = ax_edit_distance(name, k->name, max);

			if (d < least)
				least = d, best = k;
		}
	return best;
}

const char *ax_key_status_name(enum ax_key_status s)
{
	static const char *const name[] = {"honoured", "same result", "more exact", "side effect", "refused"};

	return name[s];
}
