/*
 * What the simulator takes: ns of processor time per thread and operation, for README.md. Fails where a barrier costs so
 * much more than it should that something is broken.
 */
#include <ctime>

#include "help.h"
#include "speed.h"

static double cpu_ns(void)
{
	timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return static_cast<double>(t.tv_sec) * 1e9 + static_cast<double>(t.tv_nsec);
}

static double ns_each(const speed_kernel *k, int n, unsigned blocks, unsigned threads, float *y, cudaStream_t s)
{
	k->launch(y, n, 1, threads, s);
	must(cudaStreamSynchronize(s));
	const double begin = cpu_ns();
	k->launch(y, n, blocks, threads, s);
	must(cudaStreamSynchronize(s));
	return (cpu_ns() - begin) / (static_cast<double>(n) * static_cast<double>(blocks) * threads);
}

int main(void)
{
	cudaStream_t s = new_stream();
	device_array y(1024 * sizeof(float));
	double barrier = 0;
	printf("# ns a thread, blocks of 128, 256, 1024 threads\n");
	for (int i = 0; i < N_SPEED; i++) {
		const bool last = i == N_SPEED - 1;
		const int n = last ? 1 : 200;
		double ns[3];
		const unsigned threads[3] = {128, 256, 1024};
		for (int j = 0; j < 3; j++)
			ns[j] = ns_each(&speed_kernels[i], n, last ? 2000 : 10, threads[j], static_cast<float *>(y.p),
					s);
		printf("# %-26s %6.1f %6.1f %6.1f\n", speed_kernels[i].name, ns[0], ns[1], ns[2]);
		barrier = i ? barrier : ns[1];
	}
	check(barrier < 500, "a barrier costs less than 500 ns a thread");
	must(cudaStreamDestroy(s));
	return finish();
}
