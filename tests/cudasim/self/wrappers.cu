/* One warp calls every wrapper of device.h that is PTX on a GPU and a twin of ours in the simulator. */
#include "wrappers.h"

#include "tensor/cuda/device.h"

AX_DEVICE void put(uint32_t *out, int which, unsigned lane, int i, uint32_t word)
{
	out[(static_cast<unsigned>(which) * 32 + lane) * WRAPPER_WORDS + static_cast<unsigned>(i)] = word;
}

/* Small numbers without a pattern. */
AX_DEVICE float some(unsigned i)
{
	return static_cast<float>(static_cast<int>(i * 2654435761u >> 20) - 2048) * 0x1p-9f;
}

AX_DEVICE void run_mma(uint32_t *out, unsigned lane)
{
	uint32_t a[4], b[2];
	float d[4];
	for (unsigned i = 0; i < 4; i++) {
		a[i] = ax_pack_bf16(some(lane * 8 + i * 2), some(lane * 8 + i * 2 + 1));
		d[i] = some(1000 + lane * 4 + i);
	}
	for (unsigned i = 0; i < 2; i++)
		b[i] = ax_pack_bf16(some(500 + lane * 4 + i * 2), some(500 + lane * 4 + i * 2 + 1));
	ax_mma(d, a, b);
	for (int i = 0; i < 4; i++)
		put(out, W_MMA, lane, i, __float_as_uint(d[i]));
}

template <bool TRANS, int N> AX_DEVICE void run_ldmatrix(uint32_t *out, int which, unsigned lane, const uint16_t (*m)[8])
{
	uint32_t r[N];
	ax_ldmatrix<TRANS>(r, m[lane % (N * 8)]);
	for (int i = 0; i < N; i++)
		put(out, which, lane, i, r[i]);
}

static __global__ void wrappers(uint32_t *out, const unsigned char *bytes, const float *special)
{
	AX_SHARED(uint16_t, m, [32][8]);
	AX_SHARED(uint32_t, landed, [3][32][4]);
	const unsigned lane = threadIdx.x;
	for (unsigned i = 0; i < 8; i++)
		m[lane][i] = static_cast<uint16_t>(lane * 256 + i);
	for (int i = 0; i < 12; i++)
		landed[i / 4][lane][i % 4] = 0xeeeeeeeeu;
	__syncthreads();
	run_mma(out, lane);
	run_ldmatrix<false, 1>(out, W_LD1, lane, m);
	run_ldmatrix<true, 1>(out, W_LD1T, lane, m);
	run_ldmatrix<false, 2>(out, W_LD2, lane, m);
	run_ldmatrix<true, 2>(out, W_LD2T, lane, m);
	run_ldmatrix<false, 4>(out, W_LD4, lane, m);
	run_ldmatrix<true, 4>(out, W_LD4T, lane, m);
	/* every number of valid bytes, in two groups that are waited for one after the other */
	ax_cp_async<16>(landed[0][lane], bytes + lane * 16, static_cast<int>(lane % 17));
	ax_cp_commit();
	ax_cp_async<8>(landed[1][lane], bytes + lane * 8, static_cast<int>(lane % 9));
	ax_cp_async<4>(landed[2][lane], bytes + lane * 4, static_cast<int>(lane % 5));
	ax_cp_commit();
	ax_cp_wait<1>();
	__syncthreads();
	for (int i = 0; i < 4; i++)
		put(out, W_CP16, lane, i, landed[0][31 - lane][i]);
	ax_cp_wait<0>();
	__syncthreads();
	for (int i = 0; i < 2; i++)
		put(out, W_CP8, lane, i, landed[1][31 - lane][i]);
	put(out, W_CP4, lane, 0, landed[2][31 - lane][0]);
	put(out, W_EXP2, lane, 0, __float_as_uint(ax_exp2(some(lane) * 8)));
	put(out, W_SUM, lane, 0, __float_as_uint(ax_warp_sum(some(lane))));
	put(out, W_MAX, lane, 0, __float_as_uint(ax_warp_max(some(lane))));
	put(out, W_BF16, lane, 0, __float_as_uint(ax_to_f32(ax_from_f32<ax_bf16>(special[lane]))));
	put(out, W_PACK, lane, 0, ax_pack_bf16(special[lane], special[31 - lane]));
	float x[8];
	ax_ld8(x, reinterpret_cast<const ax_bf16 *>(bytes + lane * 16));
	AX_UNROLL
	for (int i = 0; i < 8; i++)
		x[i] *= 2;
	ax_bf16 *eight = reinterpret_cast<ax_bf16 *>(out + (W_EIGHT * 32 + lane) * WRAPPER_WORDS);
	ax_st8(eight, x);
}

void wrappers_run(uint32_t *out, const unsigned char *bytes, const float *special, cudaStream_t s)
{
	AX_LAUNCH(wrappers, 1, 32, 0, s, out, bytes, special);
}
