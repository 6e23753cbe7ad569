/*
 * A run.yaml from any bytes, read by each tool in turn (the first byte says which): settings, their check, the resolved
 * keys written and read again, the datasets' entries as row kinds. Names in it are looked up in an empty folder.
 */
#include "base/log.h"
#include "conf/conf.h"
#include "scratch.h"
#include "text/yaml.h"
#include "tok/rows.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static const struct ax_tool_spec spec[] = {
	{.name = "ax-tokenize", .tool = AX_TOOL_TOKENIZE}, {.name = "ax-pack", .tool = AX_TOOL_PACK},
	{.name = "ax-shard", .tool = AX_TOOL_SHARD},	   {.name = "ax-train", .tool = AX_TOOL_TRAIN},
	{.name = "ax-merge", .tool = AX_TOOL_MERGE},	   {.name = "ax-view", .tool = AX_TOOL_VIEW},
};

static void again(struct ax_conf *c)
{
	struct ax_val *v = ax_conf_resolved(c, 0), *back;
	struct ax_buf b = AX_BUF_INIT;
	struct ax_arena a;

	ax_arena_init(&a, 0);
	if (v) {
		ax_yaml_write(&b, v);
		if (!b.oom && ax_yaml_parse(&a, b.p, b.n, &back, NULL))
			abort();
	}
	ax_buf_release(&b);
	ax_arena_release(&a);
}

static void entries(struct ax_conf *c)
{
	const struct ax_val *list = ax_conf_get(c, "datasets");
	struct ax_rows_opt o = {.sequence_len = 64};
	struct ax_rows *r;

	for (size_t i = 0; i < ax_val_len(list) && i < 8; i++)
		if (!ax_rows_new(&r, ax_val_at(list, i), &o, NULL))
			ax_rows_free(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	char name[16] = "ax", option[] = "-c", path[128], *argv[] = {name, option, path, NULL};
	struct ax_err e = {0};
	struct ax_conf c;
	int rc;

	if (!n || n > (1u << 16))
		return 0;
	ax_log_set_level(AX_LOG_ERROR);
	scratch_put("run.yaml", p + 1, n - 1);
	snprintf(path, sizeof(path), "%s", scratch_path("run.yaml"));
	setenv("HF_HUB_CACHE", scratch_path("none"), 1);
	rc = ax_conf_init(&c, &spec[p[0] % (sizeof(spec) / sizeof(spec[0]))], 3, argv, &e);
	if (!rc)
		rc = ax_conf_check(&c, &e);
	if (rc && !e.msg[0])
		abort();
	if (!rc) {
		again(&c);
		entries(&c);
	}
	ax_conf_release(&c);
	return 0;
}
