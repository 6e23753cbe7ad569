/*
 * --print-config against what Axolotl itself resolved, for every recorded file that is a text full fine-tune: each key
 * that both know must agree, but for the differences that ax-config(5) documents.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/log.h"
#include "conf/conf.h"
#include "conf/key.h"
#include "text/json.h"

#define LIMIT ((size_t)16 << 20)

static const struct ax_tool_spec spec = {
	"ax-train", AX_TOOL_TRAIN, "parity", "", {NULL, NULL}, NULL, 0,
};

/* Keys whose value may differ, with what ax has instead: the list of DIFFERENCES in ax-config(5). */
static const char *const differs[] = {NULL};

static bool is_known_difference(const char *key)
{
	for (size_t i = 0; differs[i]; i++)
		if (strcmp(differs[i], key) == 0)
			return true;
	return false;
}

static bool is_number(const struct ax_val *v)
{
	return v->type == AX_INT || v->type == AX_FLOAT;
}

static bool same(const struct ax_val *x, const struct ax_val *y, bool common);

/* Mappings: all keys, or (common) those that both have. */
static bool same_map(const struct ax_val *x, const struct ax_val *y, bool common)
{
	if (!common && x->n != y->n)
		return false;
	for (size_t i = 0; i < x->n; i++) {
		const struct ax_val *other = ax_val_get(y, x->u.pair[i].key);

		if (other ? !same(x->u.pair[i].val, other, false) : !common)
			return false;
	}
	return true;
}

static bool same(const struct ax_val *x, const struct ax_val *y, bool common)
{
	if (is_number(x) && is_number(y))
		return ax_val_num_or(x, 0) == ax_val_num_or(y, 0);
	if (x->type != y->type)
		return false;
	if (x->type == AX_MAP)
		return same_map(x, y, common);
	if (x->type != AX_LIST)
		return ax_val_equal(x, y);
	if (x->n != y->n)
		return false;
	for (size_t i = 0; i < x->n; i++)
		if (!same(x->u.item[i], y->u.item[i], false))
			return false;
	return true;
}

static void show(const char *file, const char *key, const struct ax_val *theirs, const struct ax_val *ours)
{
	struct ax_buf b = AX_BUF_INIT;

	ax_buf_addf(&b, "# %s: %s: Axolotl ", file, key);
	ax_json_write(&b, theirs, AX_JSON_SPACED);
	ax_buf_adds(&b, ", ax ");
	ax_json_write(&b, ours, AX_JSON_SPACED);
	printf("%s\n", b.p);
	ax_buf_release(&b);
}

static bool is_full_fine_tune(const struct ax_val *r)
{
	static const char *const other[] = {"rl", "reward_model", "process_reward_model", "adapter", "processor_type"};

	for (size_t i = 0; i < sizeof(other) / sizeof(*other); i++)
		if (!ax_val_is_null(ax_val_get(r, other[i])))
			return false;
	return r && r->type == AX_MAP;
}

/* Keys that differ without being listed; -1: the file could not be read. */
static int compare(const char *yaml, const char *name, const struct ax_val *theirs, int *n_same)
{
	char *argv[] = {(char *)(uintptr_t) "ax-train", (char *)(uintptr_t) "-qc", (char *)(uintptr_t)yaml};
	struct ax_err e = {0};
	struct ax_conf c;
	int bad = 0;

	if (ax_conf_init(&c, &spec, 3, argv, &e) != 0) {
		printf("# %s: %s\n", name, e.msg);
		return -1;
	}
	struct ax_val *ours = ax_conf_resolved(&c, 0);

	*n_same = 0;
	for (size_t i = 0; i < theirs->n; i++) {
		const struct ax_pair *p = &theirs->u.pair[i];
		const struct ax_val *v = ax_val_get(ours, p->key);
		const struct ax_key *k = ax_key_find(p->key, p->key_n);

		if (ax_val_is_null(p->val))
			continue;
		if (!v) {
			if (getenv("AX_VERBOSE"))
				printf("# only Axolotl: %s%s\n", p->key, k ? "" : " (no row)");
			if (ax_val_get(c.file, p->key)) {
				printf("# %s: %s: lost\n", name, p->key);
				bad++;
			}
		} else if (same(p->val, v, k && ax_key_has_members(k)))
			++*n_same;
		else if (!is_known_difference(p->key)) {
			show(name, p->key, p->val, v);
			bad++;
		}
	}
	for (size_t i = 0; ours && i < ours->n && getenv("AX_VERBOSE"); i++)
		if (!ax_val_get(theirs, ours->u.pair[i].key))
			printf("# only ax: %s\n", ours->u.pair[i].key);
	ax_conf_release(&c);
	return bad;
}

/* Files that Axolotl refuses for reasons that do not hold here. */
static bool is_lax(const char *name)
{
	static const char *const part[] = {"jeopardy", "stablelm", "expert_parallel", "sft-1b", "mistral4"};

	for (size_t i = 0; i < sizeof(part) / sizeof(*part); i++)
		if (strstr(name, part[i]))
			return true;
	return false;
}

static int one_file(const char *assets, const char *json_name, int *n_test)
{
	char path[1024], yaml[1024];
	struct ax_arena a;
	struct ax_val *v;
	int bad = 0, n_same = 0;

	ax_arena_init(&a, 0);
	snprintf(path, sizeof(path), "%s/vectors/axolotl-config/%s", assets, json_name);
	if (ax_json_file(&a, path, LIMIT, &v, NULL) == 0) {
		const struct ax_val *source = ax_val_get(v, "source"), *resolved = ax_val_get(v, "resolved");

		snprintf(yaml, sizeof(yaml), "%s/%.*s", assets, (int)source->n, source->u.s);
		if (is_full_fine_tune(resolved)) {
			bad = compare(yaml, json_name, resolved, &n_same);
			printf("%sok %d - %s (%d keys agree)\n", bad ? "not " : "", ++*n_test, json_name, n_same);
		} else if (!resolved && is_lax(json_name)) {
			struct ax_val empty = {.type = AX_MAP};

			bad = compare(yaml, json_name, &empty, &n_same);
			printf("%sok %d - %s is read, though Axolotl refuses it\n", bad ? "not " : "", ++*n_test,
			       json_name);
		}
	}
	ax_arena_release(&a);
	return bad != 0;
}

static int by_name(const struct dirent **x, const struct dirent **y)
{
	return strcmp((*x)->d_name, (*y)->d_name);
}

int main(void)
{
	const char *assets = getenv("AX_ASSETS");
	struct dirent **list;
	char folder[1024];
	int n_test = 0, bad = 0;

	assets = assets ? assets : "../shared/assets";
	snprintf(folder, sizeof(folder), "%s/vectors/axolotl-config", assets);
	int n = scandir(folder, &list, NULL, by_name);

	if (n < 0) {
		printf("ok 1 - configurations against Axolotl # SKIP no assets\n1..1\n");
		return 0;
	}
	for (int i = 0; i < n; i++) {
		if (strstr(list[i]->d_name, ".json"))
			bad |= one_file(assets, list[i]->d_name, &n_test);
		free(list[i]);
	}
	free(list);
	printf("1..%d\n", n_test);
	return bad;
}
