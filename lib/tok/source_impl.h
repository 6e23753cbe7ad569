/* Inside of the reader of data files. */
#ifndef AX_TOK_SOURCE_IMPL_H
#define AX_TOK_SOURCE_IMPL_H

#include "tok/source.h"

/*
 * More bytes behind s->end, moving what lies from s->begin to the front, or growing; sets s->eof when there are none. AX_EMEM
 * when a row would be longer than s->row_max.
 */
int ax_source_fill(struct ax_source *s, struct ax_err *e);

/* source_csv.c: reads the names of the columns; the next row into s->row. */
int ax_source_csv_open(struct ax_source *s, char separator, struct ax_err *e);
int ax_source_csv_next(struct ax_source *s, struct ax_record *r, bool *end, struct ax_err *e);
void ax_source_csv_close(struct ax_source *s);

#endif
