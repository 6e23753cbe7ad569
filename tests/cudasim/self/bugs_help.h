/* What the planted bugs share (bugs.cu, bugs_host.cu). */
#ifndef AX_CUDASIM_BUGS_HELP_H
#define AX_CUDASIM_BUGS_HELP_H

#include "bugs.h"
#include "help.h"

enum { N = 256 };

struct stream {
	cudaStream_t s = new_stream();
	~stream()
	{
		must(cudaStreamDestroy(s));
	}
	operator cudaStream_t() const
	{
		return s;
	}
};

struct event {
	cudaEvent_t e;
	event()
	{
		must(cudaEventCreateWithFlags(&e, cudaEventDisableTiming));
	}
	~event()
	{
		must(cudaEventDestroy(e));
	}
};

struct pinned_array {
	float *p;
	explicit pinned_array(size_t n)
	{
		must(cudaMallocHost(&p, n * sizeof(float)));
	}
	~pinned_array()
	{
		must(cudaFreeHost(p));
	}
};

static inline float *floats(const device_array &a)
{
	return static_cast<float *>(a.p);
}

static inline std::vector<float> counting(size_t n)
{
	std::vector<float> x(n);
	for (size_t i = 0; i < n; i++)
		x[i] = static_cast<float>(i);
	return x;
}

/* Runs `kernel` on one block of N threads over a counting array and compares with want(i). */
template <class K, class W> static bool one_block(K kernel, W want, size_t smem = 0)
{
	stream s;
	device_array x(N * sizeof(float)), y(N * sizeof(float));
	upload(x.p, counting(N), s);
	AX_LAUNCH(kernel, 1, N, smem, s, floats(y), static_cast<const float *>(x.p));
	const std::vector<float> got = download<float>(y.p, N, s);
	bool good = true;
	for (size_t i = 0; i < N; i++)
		good &= got[i] == want(i);
	return good;
}

static inline float same_number(size_t i)
{
	return static_cast<float>(i);
}

static inline float mirrored(size_t i)
{
	return static_cast<float>(N - 1 - i);
}

static inline __global__ void copy(float *y, const float *x)
{
	y[threadIdx.x] = x[threadIdx.x];
}

template <bool BUG> static __global__ void dynamic_overrun(float *y, const float *x)
{
	AX_DYN_SHARED(float, a);
	a[threadIdx.x + (BUG ? 1 : 0)] = x[threadIdx.x];
	y[threadIdx.x] = x[threadIdx.x];
}

#endif
