/* { id prefix, why }: see ax-tokenize(1), DIFFERENCES FROM AXOLOTL. Each must differ. */
#define UNTRAINED "rows with nothing trained are dropped"
#define CONCATENATION "pretraining_sample_concatenation is refused: sample_packing does it without cutting documents"
#define END "a document of a stream ends with the end token, packed or not"
#define OVERLAP "pieces of a document do not overlap, and only the last ends with the end token"
{ "prepared/all-masked-", UNTRAINED },
{ "prepared/min-len-1/", "a row of one token has nothing to predict" },
{ "prepared/val-0.01/", "a share is decided row by row, by a hash: of eleven rows it holds none back, and says so" },
{ "prepared/val-1/", "one row may be held back" },
{ "prepared/val-3.7/", "a part of a row cannot be held back: refused" },
{ "stream/concat", CONCATENATION },
{ "stream/no-max-steps/", "a stream need not have max_steps: the packs are counted" },
{ "stream/packed-overlap", OVERLAP },
{ "stream/second-entry-ignored/", END },
{ "stream/skip/", END },
{ "stream/text-column/", END },
