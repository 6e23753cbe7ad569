#include "base/mem.h"
#include "base/rng.h"
#include "train/train_impl.h"

/*
 * Large enough that a product runs at its best, small enough to take no time that anybody sees: a core has 100 GFLOP/s, a
 * GPU 10,000 times that. On a simulated GPU the small one is slow enough.
 */
#define REAL_GPU 1e12
struct product {
	int n, i, o, runs;
};
static const struct product on_cpu = {1024, 512, 1024, 3}, on_gpu = {8192, 4096, 8192, 10};

#define BLOCK ((size_t)1 << 16)

/* n elements: random numbers, again and again. Products of zeros take less power, and a GPU runs faster than it ever will in training. */
static void fill(struct ax_dev *dev, char *p, size_t n)
{
	size_t width = ax_dtype_size(dev->act), first = n < BLOCK ? n : BLOCK;
	char *block = ax_malloc(first * width);

	for (size_t i = 0; block && i < first; i++) {
		float x = (float)(2 * ax_rand_unit(1, 1, i) - 1);

		if (dev->act == AX_BF16)
			((uint16_t *)(void *)block)[i] = ax_f32_to_bf16(x);
		else
			((float *)(void *)block)[i] = x;
	}
	if (block)
		dev->ops->upload(dev, p, block, first * width);
	for (size_t done = first, more; block && done < n; done += more) {
		more = done < n - done ? done : n - done;
		dev->ops->copy(dev, p + done * width, p, more * width);
	}
	ax_free(block);
}

static double measure(struct ax_dev *dev, const struct product *p)
{
	size_t width = ax_dtype_size(dev->act), n = (size_t)p->n, in = (size_t)p->i, out = (size_t)p->o;
	void *x = dev->ops->alloc(dev, n * in * width), *w = dev->ops->alloc(dev, out * in * width);
	void *y = dev->ops->alloc(dev, n * out * width);
	double best = 0;

	if (x && w && y) {
		fill(dev, x, n * in);
		fill(dev, w, out * in);
	}
	for (int k = 0; x && w && y && k < p->runs; k++) {
		double start = ax_now(), s;

		dev->ops->linear_fwd(dev, y, out, x, in, w, NULL, p->n, p->i, p->o);
		if (dev->ops->sync(dev, NULL))
			break;
		s = ax_now() - start;
		if (s > 0 && 2.0 * p->n * p->i * p->o / s > best)
			best = 2.0 * p->n * p->i * p->o / s;
	}
	dev->ops->free(dev, x);
	dev->ops->free(dev, w);
	dev->ops->free(dev, y);
	return best;
}

double ax_probe_peak(struct ax_dev *dev)
{
	double peak = measure(dev, &on_cpu);

	return dev->memory && peak > REAL_GPU ? measure(dev, &on_gpu) : peak;
}
