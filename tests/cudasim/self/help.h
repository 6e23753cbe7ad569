/* Arrays on the device and numbers to fill them with, for the simulator's own tests. */
#ifndef AX_CUDASIM_HELP_H
#define AX_CUDASIM_HELP_H

#include <cmath>
#include <vector>

#include "tap.h"
#include "tensor/cuda/device.h"

struct device_array {
	void *p = nullptr;
	explicit device_array(size_t bytes)
	{
		must(cudaMalloc(&p, bytes));
	}
	~device_array()
	{
		must(cudaFree(p));
	}
	device_array(const device_array &) = delete;
	device_array &operator=(const device_array &) = delete;
};

template <class T> static inline void upload(void *to, const std::vector<T> &from, cudaStream_t s)
{
	must(cudaMemcpyAsync(to, from.data(), from.size() * sizeof(T), cudaMemcpyHostToDevice, s));
}

template <class T> static inline std::vector<T> download(const void *from, size_t n, cudaStream_t s)
{
	std::vector<T> to(n);
	must(cudaMemcpyAsync(to.data(), from, n * sizeof(T), cudaMemcpyDeviceToHost, s));
	must(cudaStreamSynchronize(s));
	return to;
}

/* Numbers in [-1, 1) that are the same everywhere. */
static inline std::vector<float> numbers(size_t n, unsigned seed)
{
	std::vector<float> x(n);
	for (float &v : x)
		v = static_cast<float>(static_cast<int>((seed = seed * 1664525u + 1013904223u) >> 8) - (1 << 23)) *
		    0x1p-23f;
	return x;
}

template <class T> static inline std::vector<T> converted(const std::vector<float> &x)
{
	std::vector<T> y;
	for (float v : x)
		y.push_back(ax_from_f32<T>(v));
	return y;
}

static inline cudaStream_t new_stream(void)
{
	cudaStream_t s;
	must(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking));
	return s;
}

#endif
