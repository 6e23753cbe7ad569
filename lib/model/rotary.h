/* The rotary part of a config.json: rope_parameters (transformers 5) or rope_theta and rope_scaling (4). */
#ifndef AX_MODEL_ROTARY_H
#define AX_MODEL_ROTARY_H

#include "model/desc.h"

/* theta: the family's default. Errors as ax_desc_parse. */
int ax_rotary_parse(struct ax_rotary *p, const struct ax_val *config, int head_dim, int64_t max_position, double theta, struct ax_err *e);

#endif
