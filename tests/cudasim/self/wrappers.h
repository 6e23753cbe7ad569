/* What each wrapper of device.h gives for known inputs, as words: wrappers.cu. */
#ifndef AX_CUDASIM_WRAPPERS_H
#define AX_CUDASIM_WRAPPERS_H

#include <cuda_runtime_api.h>
#include <stdint.h>

enum wrapper { W_MMA, W_LD1, W_LD1T, W_LD2, W_LD2T, W_LD4, W_LD4T, W_CP16, W_CP8, W_CP4, W_EXP2, W_SUM, W_MAX, W_BF16, W_PACK, W_EIGHT, N_WRAPPER };
enum { WRAPPER_WORDS = 8 }; /* of a lane, at most */

/* How many words of a lane are results, and whether they are floats that may differ in the last bits. */
struct wrapper_about {
	const char *name;
	int n;
	bool near;
};
static const wrapper_about wrapper_abouts[N_WRAPPER] = {
	{"mma", 4, true},	   {"ldmatrix x1", 1, false},	    {"ldmatrix x1 trans", 1, false}, {"ldmatrix x2", 2, false},
	{"ldmatrix x2 trans", 2, false}, {"ldmatrix x4", 4, false}, {"ldmatrix x4 trans", 4, false}, {"cp.async 16", 4, false},
	{"cp.async 8", 2, false},  {"cp.async 4", 1, false},	    {"exp2", 1, true},		     {"warp sum", 1, false},
	{"warp max", 1, false},	   {"f32 to bf16", 1, false},	    {"pack bf16", 1, false},	     {"eight bf16", 4, false},
};

/* out: N_WRAPPER x 32 lanes x WRAPPER_WORDS words; bytes: 512, of any value; special: 32 floats. All on the device. */
void wrappers_run(uint32_t *out, const unsigned char *bytes, const float *special, cudaStream_t s);

#endif
