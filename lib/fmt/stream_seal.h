/* Blocks between the stream writer's rows and its output: sealed (checked and compressed), at once or through a ring. */
#ifndef AX_FMT_STREAM_SEAL_H
#define AX_FMT_STREAM_SEAL_H

#include "fmt/stream.h"

int ax_sealer_init(struct ax_sealer *p, int level, struct ax_err *e);
void ax_sealer_release(struct ax_sealer *p);
void ax_outgoing_release(struct ax_outgoing *o);
/* Fill head and stored, or rc and err, from the payload. Of the writer only what never changes is read. */
void ax_seal(const struct ax_stream_writer *w, struct ax_sealer *p, struct ax_outgoing *o);
/* Write a sealed block. */
int ax_stream_put(struct ax_stream_writer *w, const struct ax_outgoing *o, struct ax_err *e);

/* The place of the next block in w's ring, when others have been written. Then push it. */
int ax_ring_room(struct ax_stream_writer *w, struct ax_outgoing **o, struct ax_err *e);
void ax_ring_push(struct ax_stream_writer *w);
void ax_ring_free(struct ax_stream_ring *r); /* or NULL */

#endif
