/* The sample kernels against plain loops in double. */
#include "help.h"
#include "sample.h"

template <class T> static double rmsnorm_error(int N, int C, cudaStream_t s)
{
	const size_t n = static_cast<size_t>(N) * static_cast<size_t>(C), c = static_cast<size_t>(C);
	const std::vector<T> x = converted<T>(numbers(n, 1)), w = converted<T>(numbers(c, 2));
	device_array dx(n * sizeof(T)), dw(c * sizeof(T)), dy(n * sizeof(T));
	upload(dx.p, x, s);
	upload(dw.p, w, s);
	if (sizeof(T) == 2)
		sample_rmsnorm_bf16(dy.p, dx.p, dw.p, 1e-5f, N, C, s);
	else
		sample_rmsnorm_f32(static_cast<float *>(dy.p), static_cast<float *>(dx.p), static_cast<float *>(dw.p),
				   1e-5f, N, C, s);
	must(cudaGetLastError());
	const std::vector<T> y = download<T>(dy.p, n, s);
	double worst = 0;
	for (size_t row = 0; row < n; row += c) {
		double sum = 0;
		for (size_t i = 0; i < c; i++)
			sum += double(ax_to_f32(x[row + i])) * double(ax_to_f32(x[row + i]));
		const double rstd = 1 / std::sqrt(sum / C + 1e-5);
		for (size_t i = 0; i < c; i++) {
			const double want = double(ax_to_f32(x[row + i])) * rstd * double(ax_to_f32(w[i]));
			worst = std::fmax(worst, std::fabs(want - double(ax_to_f32(y[row + i]))));
		}
	}
	return worst;
}

static double matmul_error(int M, int N, int K, cudaStream_t s)
{
	const size_t m = static_cast<size_t>(M), n = static_cast<size_t>(N), k = static_cast<size_t>(K);
	const std::vector<ax_bf16> a = converted<ax_bf16>(numbers(m * k, 3)), b = converted<ax_bf16>(numbers(n * k, 4));
	device_array da(m * k * 2), db(n * k * 2), dc(m * n * 4);
	upload(da.p, a, s);
	upload(db.p, b, s);
	sample_matmul(static_cast<float *>(dc.p), da.p, db.p, M, N, K, s);
	const std::vector<float> c = download<float>(dc.p, m * n, s);
	double worst = 0;
	for (size_t i = 0; i < m; i++)
		for (size_t j = 0; j < n; j++) {
			double want = 0;
			for (size_t l = 0; l < k; l++)
				want += double(ax_to_f32(a[i * k + l])) * double(ax_to_f32(b[j * k + l]));
			worst = std::fmax(worst, std::fabs(want - double(c[i * n + j])));
		}
	return worst;
}

int main(void)
{
	cudaStream_t s = new_stream();
	check(rmsnorm_error<float>(7, 1032, s) < 1e-6, "rmsnorm f32");
	check(rmsnorm_error<ax_bf16>(7, 1032, s) < 2e-2, "rmsnorm bf16");
	check(matmul_error(48, 40, 96, s) < 1e-5, "matmul by cp.async, ldmatrix and mma");
	must(cudaStreamDestroy(s));
	return finish();
}
