/*
 * Hand-written splitters for the patterns of known tokenizer families; each gives what its regex gives, character for
 * character (tests compare them with the regex engine).
 */
#ifndef AX_TOK_PRETOK_SPLIT_H
#define AX_TOK_PRETOK_SPLIT_H

#include <stdbool.h>
#include <stddef.h>

/*
 * The end of the match at p[i], i < n, of checked UTF-8 text p[0..n); i itself where the pattern does not match at i
 * (then one looks a character further, as a regex search would).
 */
typedef size_t (*ax_split_fn)(const unsigned char *p, size_t i, size_t n);

/* The splitter for a pattern's text, or NULL if there is none. */
ax_split_fn ax_split_find(const char *pattern, size_t n);
/* GPT-2's pattern, which ByteLevel uses; and the other families'. Each matches at every character. */
size_t ax_split_gpt2(const unsigned char *p, size_t i, size_t n);
size_t ax_split_llama3(const unsigned char *p, size_t i, size_t n);
size_t ax_split_qwen2(const unsigned char *p, size_t i, size_t n);
size_t ax_split_qwen35(const unsigned char *p, size_t i, size_t n);
size_t ax_split_o200k(const unsigned char *p, size_t i, size_t n);
size_t ax_split_tekken(const unsigned char *p, size_t i, size_t n);
/*
 * The end of the piece at i that DeepSeek-V3's three patterns leave, one after the other. *border, 0 at first, remembers
 * from call to call, with i ascending, how far the third one sees.
 */
size_t ax_split_dsv3(const unsigned char *p, size_t i, size_t n, size_t *border);

/* The same for numbers, one by one, and GPT-2's pattern between them. */
size_t ax_split_digits_gpt2(const unsigned char *p, size_t i, size_t n, size_t *border);

bool ax_split_is_dsv3(ax_split_fn first, ax_split_fn second, ax_split_fn third);

/* The i-th known pattern, for tests; NULL at the end. */
const char *ax_split_pattern(size_t i);

#endif
