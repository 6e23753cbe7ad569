/*
 * Values of tables (Parquet, Arrow) as JSON text, appended to a row.
 *
 * Times become the text that Python's str() gives of the objects pyarrow makes of them: "2024-05-01 12:00:00",
 * "2024-05-01 12:00:00.500000+00:00", "2024-05-01", "12:00:00", "1 day, 0:00:01". Decimals keep all their digits, as text.
 * Floats are written with enough digits to read back the same. Sticky: b->oom says that memory ran out.
 */
#ifndef AX_FMT_CELL_H
#define AX_FMT_CELL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* Is the name (n bytes) in the list, which ends with NULL? */
bool ax_cell_named(const char *const *list, const char *name, size_t n);

/* Units of times in a second. */
enum ax_unit { AX_UNIT_S, AX_UNIT_MS, AX_UNIT_US, AX_UNIT_NS };

void ax_cell_i64(struct ax_buf *b, int64_t v);
void ax_cell_u64(struct ax_buf *b, uint64_t v);
/* NaN, Infinity and -Infinity as Python's json writes them. */
void ax_cell_f64(struct ax_buf *b, double v);
/* IEEE 754 half precision. */
double ax_cell_half(uint16_t h);
/* A quoted string. Bytes that are no UTF-8 are written as they are: the row's reader refuses them. */
void ax_cell_str(struct ax_buf *b, const void *p, size_t n);
/* 16 bytes as "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx". */
void ax_cell_uuid(struct ax_buf *b, const unsigned char *p);
/*
 * A two's complement integer of n <= 32 bytes, little-endian or big, times 10^-scale. False, and nothing written: n or scale
 * (-1000 to 1000) are out of range.
 */
bool ax_cell_decimal(struct ax_buf *b, const unsigned char *p, size_t n, bool big, int scale);
/* Days since 1970-01-01; units since then, with "+00:00" if utc; units since midnight; a length of time. */
void ax_cell_date(struct ax_buf *b, int64_t days);
void ax_cell_timestamp(struct ax_buf *b, int64_t v, enum ax_unit unit, bool utc);
void ax_cell_time(struct ax_buf *b, int64_t v, enum ax_unit unit);
void ax_cell_duration(struct ax_buf *b, int64_t v, enum ax_unit unit);
/* A string that holds JSON: its value. False, and nothing written: it does not hold exactly one JSON value. */
bool ax_cell_json(struct ax_buf *b, const void *p, size_t n);

#endif
