/*
 * The functions of device.h against their definitions. Layouts are written here the other way round than in device.h: from
 * the element of a matrix to the lane and register that hold it. Built with nvcc, the same test runs on a GPU.
 */
#include <cmath>
#include <cstring>
#include <vector>

#include "tap.h"
#include "layouts.h"

static cudaStream_t stream;

/* An array on the device with what it begins with and what it ends with. */
template <class T> struct array {
	std::vector<T> host;
	void *p = nullptr;
	explicit array(std::vector<T> x) : host(x)
	{
		must(cudaMalloc(&p, bytes()));
		must(cudaMemcpyAsync(p, host.data(), bytes(), cudaMemcpyHostToDevice, stream));
	}
	explicit array(size_t n) : array(std::vector<T>(n))
	{
	}
	~array()
	{
		must(cudaFree(p));
	}
	array(const array &) = delete;
	array &operator=(const array &) = delete;
	size_t bytes() const
	{
		return host.size() * sizeof(T);
	}
	T *dev() const
	{
		return static_cast<T *>(p);
	}
	const std::vector<T> &get()
	{
		must(cudaMemcpyAsync(host.data(), p, bytes(), cudaMemcpyDeviceToHost, stream));
		must(cudaStreamSynchronize(stream));
		return host;
	}
};

static uint32_t next(uint32_t *seed)
{
	return *seed = *seed * 1664525u + 1013904223u;
}

static float bf16_value(uint16_t h)
{
	const uint32_t bits = static_cast<uint32_t>(h) << 16;
	float x;
	memcpy(&x, &bits, sizeof x);
	return x;
}

/* Finite bf16 numbers of many sizes. */
static uint16_t some_bf16(uint32_t *seed)
{
	const uint32_t r = next(seed) >> 8;
	return static_cast<uint16_t>((r & 0x807f) | (0x3f00 + ((r >> 8 & 7) << 7)));
}

static void set_half(uint32_t *word, unsigned half, uint16_t v)
{
	*word |= static_cast<uint32_t>(v) << 16 * half;
}

static bool mma_holds(void)
{
	uint32_t seed = 1;
	uint16_t a[16][16], b[16][8];
	double want[16][8], size[16][8];
	std::vector<uint32_t> fa(128), fb(64);
	std::vector<float> fd(128);
	for (unsigned i = 0; i < 16; i++)
		for (unsigned k = 0; k < 16; k++) {
			a[i][k] = some_bf16(&seed);
			set_half(&fa[(i % 8 * 4 + k % 8 / 2) * 4 + i / 8 + 2 * (k / 8)], k % 2, a[i][k]);
		}
	for (unsigned k = 0; k < 16; k++)
		for (unsigned j = 0; j < 8; j++) {
			b[k][j] = some_bf16(&seed);
			set_half(&fb[(j * 4 + k % 8 / 2) * 2 + k / 8], k % 2, b[k][j]);
		}
	for (unsigned i = 0; i < 16; i++)
		for (unsigned j = 0; j < 8; j++) {
			const float c = bf16_value(some_bf16(&seed));
			fd[(i % 8 * 4 + j / 2) * 4 + i / 8 * 2 + j % 2] = c;
			want[i][j] = size[i][j] = double(c);
			for (unsigned k = 0; k < 16; k++) {
				want[i][j] += double(bf16_value(a[i][k])) * double(bf16_value(b[k][j]));
				size[i][j] += std::fabs(double(bf16_value(a[i][k])) * double(bf16_value(b[k][j])));
			}
		}
	array<uint32_t> da(fa), db(fb);
	array<float> dd(fd);
	wrap_mma(dd.dev(), da.dev(), db.dev(), stream);
	const std::vector<float> &got = dd.get();
	bool good = true;
	for (unsigned i = 0; i < 16; i++)
		for (unsigned j = 0; j < 8; j++)
			good &= std::fabs(double(got[(i % 8 * 4 + j / 2) * 4 + i / 8 * 2 + j % 2]) - want[i][j]) <=
				1e-5 * size[i][j];
	return good;
}

/* Lane l points to row 31 - l, so matrix m has rows 31 - 8m, 30 - 8m, ... */
static bool ldmatrix_holds(int n, bool trans)
{
	std::vector<uint16_t> tile(256);
	std::vector<int> row(32);
	for (unsigned i = 0; i < 256; i++)
		tile[i] = static_cast<uint16_t>(0x4000 + i);
	for (int l = 0; l < 32; l++)
		row[static_cast<size_t>(l)] = 31 - l;
	array<uint16_t> dt(tile);
	array<int> dr(row);
	array<uint32_t> out(32 * static_cast<size_t>(n));
	wrap_ldmatrix(out.dev(), dt.dev(), dr.dev(), n, trans, stream);
	std::vector<uint32_t> want(out.host.size());
	for (unsigned m = 0; m < static_cast<unsigned>(n); m++)
		for (unsigned i = 0; i < 8; i++)
			for (unsigned j = 0; j < 8; j++) {
				const unsigned lane = trans ? j * 4 + i / 2 : i * 4 + j / 2,
					       half = trans ? i % 2 : j % 2;
				set_half(&want[lane * static_cast<unsigned>(n) + m], half,
					 tile[(31 - 8 * m - i) * 8 + j]);
			}
	return out.get() == want;
}

static bool cp_async_holds(int bytes)
{
	const size_t n = static_cast<size_t>(bytes);
	std::vector<uint8_t> x(32 * n), want(32 * n);
	std::vector<int> n_valid(32);
	for (size_t i = 0; i < x.size(); i++)
		x[i] = static_cast<uint8_t>(i * 7 + 1);
	for (size_t l = 0; l < 32; l++) {
		n_valid[l] = static_cast<int>(l % (n + 1));
		for (size_t i = 0; i < n; i++)
			want[l * n + i] = i < l % (n + 1) ? x[l * n + i] : 0;
	}
	array<uint8_t> dx(x), dy(32 * n);
	array<int> dn(n_valid);
	wrap_cp_async(dy.dev(), dx.dev(), dn.dev(), bytes, stream);
	return dy.get() == want;
}

static bool cp_groups_hold(void)
{
	std::vector<uint32_t> x(64), want(64);
	for (uint32_t i = 0; i < 64; i++) {
		x[i] = i * 3 + 1;
		want[i ^ 31] = x[i];
	}
	array<uint32_t> dx(x), dy(64);
	wrap_cp_groups(dy.dev(), dx.dev(), stream);
	return dy.get() == want;
}

/* Sums of small whole numbers are exact in any order. */
static bool block_reduce_holds(int n)
{
	std::vector<float> x(static_cast<size_t>(n));
	float sum = 0, most = -INFINITY;
	for (size_t i = 0; i < x.size(); i++) {
		x[i] = static_cast<float>(i * 37 % 101) - 150;
		sum += x[i];
		most = std::fmax(most, x[i]);
	}
	array<float> dx(x), dy(2 * x.size());
	wrap_block_reduce(dy.dev(), dx.dev(), n, stream);
	bool good = true;
	for (size_t i = 0; i < x.size(); i++)
		good &= dy.get()[2 * i] == sum && dy.host[2 * i + 1] == most;
	return good;
}

/* The sum's order is part of the definition: 16, 8, 4, 2, 1. */
static bool warp_reduce_holds(void)
{
	std::vector<double> x(32), sum;
	std::vector<int> k(32);
	int most = -1000;
	for (size_t l = 0; l < 32; l++) {
		x[l] = 1.0 / (1.0 + static_cast<double>(l)) * (l % 3 ? 1e9 : -1e-9);
		k[l] = static_cast<int>(l * 11 % 32) - 40;
		most = k[l] > most ? k[l] : most;
	}
	sum = x;
	for (size_t n = 16; n; n /= 2)
		for (size_t l = 0; l < n; l++)
			sum[l] += sum[l + n];
	array<double> dx(x), ds(32);
	array<int> dk(k), dm(32);
	wrap_warp_reduce(ds.dev(), dm.dev(), dx.dev(), dk.dev(), stream);
	return ds.get() == std::vector<double>(32, sum[0]) && dm.get() == std::vector<int>(32, most);
}

static bool shuffles_hold(void)
{
	std::vector<uint32_t> x(32), want(256);
	uint32_t ballot = 0;
	for (uint32_t l = 0; l < 32; l++) {
		x[l] = l * l + 5;
		ballot |= (x[l] % 3 == 0 ? 1u : 0u) << l;
	}
	for (uint32_t l = 0; l < 32; l++) {
		uint32_t *w = &want[l * 8];
		w[0] = x[5];
		w[1] = x[l / 8 * 8 + (l + 3) % 8];
		w[2] = x[l ^ 9];
		w[3] = l % 16 + 3 < 16 ? x[l + 3] : x[l];
		w[4] = l % 16 >= 3 ? x[l - 3] : x[l];
		w[5] = ballot;
		w[6] = 1;
		w[7] = 0;
	}
	array<uint32_t> dx(x), dy(256);
	wrap_shuffles(dy.dev(), dx.dev(), stream);
	return dy.get() == want;
}

static bool exp2_holds(void)
{
	std::vector<float> x;
	for (int i = -1200; i <= 1200; i++)
		x.push_back(static_cast<float>(i) * 0.1f);
	x.push_back(-INFINITY);
	array<float> dx(x), dy(x.size());
	wrap_exp2(dy.dev(), dx.dev(), static_cast<int>(x.size()), stream);
	bool good = dy.get().back() == 0;
	for (size_t i = 0; i + 1 < x.size(); i++)
		good &= std::fabs(double(dy.host[i]) / std::exp2(double(x[i])) - 1) < 4e-7;
	return good;
}

static bool bf16_holds(void)
{
	const uint32_t bits[][2] = {{0x3f800000, 0x3f80}, {0x3f808000, 0x3f80}, {0x3f818000, 0x3f82},
				    {0x3f808001, 0x3f81}, {0x7f800000, 0x7f80}, {0xff800000, 0xff80},
				    {0x7f7fffff, 0x7f80}, {0x7fc00000, 0x7fff}, {0xff800001, 0x7fff},
				    {0x80000000, 0x8000}, {0x00008000, 0x0000}, {0x00018000, 0x0002},
				    {0x00000001, 0x0000}, {0x807fffff, 0x8080}};
	const size_t n = sizeof bits / sizeof bits[0];
	std::vector<float> x(n);
	std::vector<uint16_t> want;
	for (size_t i = 0; i < n; i++) {
		memcpy(&x[i], &bits[i][0], sizeof x[i]);
		want.push_back(static_cast<uint16_t>(bits[i][1]));
	}
	array<float> dx(x);
	array<uint16_t> dh(n);
	wrap_bf16(dh.dev(), dx.dev(), static_cast<int>(n), stream);
	return dh.get() == want;
}

static bool vectors_hold(void)
{
	uint32_t seed = 9;
	std::vector<uint16_t> h(512);
	std::vector<float> f;
	for (uint16_t &v : h) {
		v = some_bf16(&seed);
		f.push_back(bf16_value(v));
	}
	array<uint16_t> dh(h), dn(512);
	array<float> df(512);
	wrap_widen(df.dev(), dh.dev(), 512, stream);
	wrap_narrow(dn.dev(), df.dev(), 512, stream);
	return df.get() == f && dn.get() == h;
}

int main(void)
{
	must(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
	check(mma_holds(), "mma: layout and sums");
	for (int n : {1, 2, 4})
		for (bool trans : {false, true})
			check(ldmatrix_holds(n, trans), "ldmatrix: layout");
	for (int bytes : {4, 8, 16})
		check(cp_async_holds(bytes), "cp.async: bytes and zero fill");
	check(cp_groups_hold(), "cp.async: groups");
	for (int n : {32, 64, 1024})
		check(block_reduce_holds(n), "block sum and maximum");
	check(warp_reduce_holds(), "warp sum and maximum");
	check(shuffles_hold(), "shuffles and votes");
	check(exp2_holds(), "ax_exp2");
	check(bf16_holds(), "bf16: rounding and special values");
	check(vectors_hold(), "16-byte loads and stores");
	must(cudaStreamDestroy(stream));
	return finish();
}
