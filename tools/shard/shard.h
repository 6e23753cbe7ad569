/* ax-shard's parts: main.c (options), run.c (packs in, folder out). */
#ifndef AX_TOOL_SHARD_H
#define AX_TOOL_SHARD_H

#include "fmt/shard.h"

struct shard_job {
	const char *const *input; /* "-" is stdin */
	size_t n_input;
	const char *dir;
	int64_t ranks, level;     /* files; zstd level */
	bool force, provenance;
	int argc;
	char **argv;
	struct ax_totals in, out; /* results: of the input streams; of what was written */
	uint32_t sequence_len;
};

/* Called with the first input's header before anything is written. */
typedef int shard_settle(void *ctx, const struct ax_val *header, struct ax_err *e);

int shard_run(struct shard_job *j, shard_settle *settle, void *ctx, struct ax_err *e);
void shard_report(const struct shard_job *j);
int shard_report_json(const struct shard_job *j, const char *path, struct ax_err *e);

#endif
