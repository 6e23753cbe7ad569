/*
 * Ids -> text: the decoders of tokenizer.json, equal to Hugging Face tokenizers 0.23.2's decode.
 *
 *	struct ax_buf text = AX_BUF_INIT;
 *	AX_TRY(ax_tokenizer_decode(t, ids.id, ids.n, AX_DECODE_SKIP_SPECIAL, &text, e));
 *
 * Each id gives its token's text, spelled as in the vocabulary, or an added token's content; an id without a token
 * gives nothing. The list of texts then passes through the file's decoder, or through each of a Sequence, and is joined;
 * a file without a decoder joins by a space. All ten kinds are known: BPEDecoder, ByteLevel, WordPiece, Metaspace, CTC,
 * Sequence, Replace, Fuse, Strip, ByteFallback. What is no UTF-8 becomes U+FFFD: ByteLevel writes one for each maximal
 * broken part, ByteFallback one for each byte of a run that is not UTF-8 as a whole.
 *
 * Decoding an encoded text need not give the text back: normalizers change it for good. transformers' own
 * clean_up_tokenization_spaces is not applied.
 */
#ifndef AX_TOK_DECODE_H
#define AX_TOK_DECODE_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "text/regex.h"
#include "text/val.h"

#define AX_DECODE_STEPS 64		       /* decoders of a Sequence, nested ones counted */
#define AX_DECODE_MAX	((size_t)1 << 30) /* bytes of one text */

struct ax_tokenizer;

enum ax_decode_flags {
	AX_DECODE_SKIP_SPECIAL = 1 << 0, /* leave out special tokens */
};

/*
 * Append the text, which is UTF-8, of n ids. AX_EDATA: the file's decoder has a regular expression that cannot be exact
 * (the error names it; encoding is not affected). AX_EMEM: no memory, or a text of more than AX_DECODE_MAX bytes.
 */
int ax_tokenizer_decode(const struct ax_tokenizer *t, const uint32_t *id, size_t n, unsigned flags, struct ax_buf *out,
			struct ax_err *e);

/* --- the file's decoders, a part of struct ax_tokenizer --- */

enum ax_decoder_kind {
	AX_DEC_BPE,
	AX_DEC_BYTES,
	AX_DEC_WORDPIECE,
	AX_DEC_METASPACE,
	AX_DEC_CTC,
	AX_DEC_REPLACE,
	AX_DEC_FUSE,
	AX_DEC_STRIP,
	AX_DEC_FALLBACK
};

struct ax_decoder {
	enum ax_decoder_kind kind;
	char *a, *b;	     /* suffix; prefix; replacement; pad and delimiter; pattern and content; character to strip */
	size_t a_n, b_n;
	bool flag;	     /* cleanup; Metaspace: no space for a mark at the start */
	size_t start, stop;  /* Strip: characters at most */
	struct ax_regex *re; /* Replace by a regular expression */
	char *refused;	     /* why it could not be compiled, or NULL */
};

struct ax_decoders {
	struct ax_decoder step[AX_DECODE_STEPS];
	size_t n;
	bool given; /* false: the file has none, and texts are joined by a space */
};

/* From the value of "decoder"; NULL or null: none. AX_EDATA: malformed, or of an unknown kind. */
int ax_decoders_load(struct ax_decoders *d, const struct ax_val *v, struct ax_err *e);
void ax_decoders_release(struct ax_decoders *d);

#endif
