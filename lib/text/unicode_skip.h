/*
 * Long stretches of text that need no look at each character, many bytes at a time. Where the processor has no wide enough
 * vectors these give their start back, and the caller goes on one character at a time.
 */
#ifndef AX_TEXT_UNICODE_SKIP_H
#define AX_TEXT_UNICODE_SKIP_H

#include <stddef.h>

/* From i, which begins a character: p[i..r) is UTF-8 and ends with a character. Returns r. */
size_t ax_utf8_skip(const unsigned char *p, size_t i, size_t n);

/* From i in checked text, which begins a character: no character of p[i..r) can change under NFC. Returns r, which begins one. */
size_t ax_nfc_skip(const unsigned char *p, size_t i, size_t n);

#endif
