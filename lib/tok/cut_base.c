/* The windows of cut.h with what every processor of the architecture has. */
#define TABLE ax_cut_base
#include "tok/cut_body.h"
