/*
 * Packs -> one micro-batch on the host, in the form that the model takes (model/model.h).
 *
 *	struct ax_microbuf b;
 *	AX_TRY(ax_microbuf_init(&b, micro_batch_size, sequence_len, max_docs, e));
 *	AX_TRY(ax_microbuf_fill(&b, loader, k, &micro, e));    // this rank's packs of micro-batch k
 *	ax_microbuf_release(&b);
 *
 * Pack j occupies the tokens [j * sequence_len, (j + 1) * sequence_len); what it does not fill is padding. Targets are
 * shifted inside each document: target[i] is the label of token i + 1 if that is trained; a document's last token has
 * none. So no document predicts the first token of its neighbour.
 */
#ifndef AX_TRAIN_BATCH_H
#define AX_TRAIN_BATCH_H

#include "base/err.h"
#include "data/loader.h"
#include "model/model.h"

#define AX_ROWS_NAMED 8 /* rows remembered for messages */

struct ax_microbuf {
	int n_token, sequence_len, micro;
	int32_t *id, *pos, *target;
	float *weight;
	struct ax_seg *seg;
	int max_seg, n_seg;
	uint64_t tokens, trained; /* of the last fill */
	struct {
		uint32_t source;
		uint64_t number;
	} row[AX_ROWS_NAMED];
	int n_row;
};

int ax_microbuf_init(struct ax_microbuf *b, int micro, int sequence_len, int max_docs, struct ax_err *e);
int ax_microbuf_fill(struct ax_microbuf *b, struct ax_loader *l, uint32_t k, struct ax_micro *m, struct ax_err *e);
/* "source 0 row 17, source 0 row 19, ..." of the last fill. */
void ax_microbuf_rows(const struct ax_microbuf *b, char *buf, size_t n);
void ax_microbuf_release(struct ax_microbuf *b);

#endif
