/* ax-pack's parts: main.c (options), run.c (rows in, packs out), report.c (what it says). */
#ifndef AX_TOOL_PACK_H
#define AX_TOOL_PACK_H

#include "data/packer.h"
#include "fmt/pack.h"

struct pack_job {
	const char *const *input; /* "-" is stdin */
	size_t n_input;
	const char *output;
	bool tty;                 /* binary may go to a terminal */
	int level;                /* zstd */
	bool provenance;
	int argc;
	char **argv;
	struct ax_packer_opt opt;
	/* results */
	struct ax_totals in;      /* of all input streams, with their reasons */
	struct ax_totals packed;  /* rows that went into packing; the packer's reasons */
	struct ax_totals out;     /* rows that came out */
	struct ax_packer_stats stats[AX_N_SPLIT];
};

/*
 * Called with the first stream's header before anything is written: settles job->opt from header, options and defaults.
 */
typedef int pack_settle(void *ctx, struct pack_job *job, const struct ax_val *header, struct ax_err *e);

int pack_run(struct pack_job *job, pack_settle *settle, void *ctx, struct ax_err *e);

/* The summary on stderr, and the same as JSON. */
void pack_report(const struct pack_job *job);
int pack_report_json(const struct pack_job *job, const char *path, struct ax_err *e);

#endif
