/* What the options ask for. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "view.h"

static int settle_mode(struct view *v, const struct ax_conf *c, struct ax_err *e)
{
	bool text = ax_conf_opt_flag(c, "text"), debug = ax_conf_opt_flag(c, "debug"), summary = ax_conf_opt_flag(c, "summary");

	v->mode = summary ? VIEW_SUMMARY : debug ? VIEW_DEBUG : text ? VIEW_TEXT : VIEW_ROWS;
	v->text_only = ax_conf_opt_flag(c, "debug-text-only");
	if (text + debug + summary + v->check > 1)
		return ax_fail(e, AX_EUSAGE, "--text, --debug, --summary and --check exclude each other");
	if (!debug && (v->text_only || ax_conf_opt_given(c, "debug-num-examples")))
		return ax_fail(e, AX_EUSAGE, "--debug-num-examples and --debug-text-only go with --debug");
	if (debug && v->json)
		return ax_fail(e, AX_EUSAGE, "--debug is for people; --json alone has ids and labels");
	if (summary && (v->row || v->pack))
		return ax_fail(e, AX_EUSAGE, "--summary is of all rows; leave out --row and --pack");
	if (debug)
		v->rows = ax_conf_opt_int(c, "debug-num-examples", 1);
	return 0;
}

int view_settle(struct view *v, struct ax_conf *c, struct ax_err *e)
{
	const char *split = ax_conf_opt_str(c, "split");

	v->conf = c;
	v->check = ax_conf_opt_flag(c, "check");
	v->header = ax_conf_opt_flag(c, "header");
	v->row = ax_conf_opt_int(c, "row", 0);
	v->pack = ax_conf_opt_int(c, "pack", 0);
	v->rows = ax_conf_opt_int(c, "rows", 3);
	AX_TRY(settle_mode(v, c, e));
	v->color = isatty(STDOUT_FILENO) && !(getenv("NO_COLOR") && *getenv("NO_COLOR"));
	if (split && strcmp(split, "train") && strcmp(split, "eval"))
		return ax_fail(e, AX_EUSAGE, "--split %s: train or eval", split);
	v->split = split && !strcmp(split, "eval") ? AX_SPLIT_EVAL : AX_SPLIT_TRAIN;
	if ((ax_conf_opt_given(c, "row") && v->row < 1) || (ax_conf_opt_given(c, "pack") && v->pack < 1) || v->rows < 0)
		return ax_fail(e, AX_EUSAGE, "rows and packs count from 1");
	if (v->row && v->pack)
		return ax_fail(e, AX_EUSAGE, "give --row or --pack, not both");
	if (!c->n_operand)
		return ax_fail(e, AX_EUSAGE, "give a file or folder to look into");
	return 0;
}
