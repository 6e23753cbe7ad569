#include "train/train_impl.h"

/* Large enough that a product runs at its best, small enough to take no time that anybody sees. */
#define N 1024
#define I 512
#define O 1024
#define RUNS 3

double ax_probe_peak(struct ax_dev *dev)
{
	size_t width = ax_dtype_size(dev->act);
	void *x = dev->ops->alloc(dev, (size_t)N * I * width), *w = dev->ops->alloc(dev, (size_t)O * I * width);
	void *y = dev->ops->alloc(dev, (size_t)N * O * width);
	double best = 0;

	for (int i = 0; x && w && y && i < RUNS; i++) {
		double start = ax_now(), s;

		dev->ops->linear_fwd(dev, y, O, x, I, w, NULL, N, I, O);
		if (dev->ops->sync(dev, NULL))
			break;
		s = ax_now() - start;
		if (s > 0 && 2.0 * N * I * O / s > best)
			best = 2.0 * N * I * O / s;
	}
	dev->ops->free(dev, x);
	dev->ops->free(dev, w);
	dev->ops->free(dev, y);
	return best;
}
