/* The words of bpe_quick_body.h with what every processor of the architecture has. */
#define FNS ax_quick_base
#include "tok/bpe_quick_body.h"
