#define _GNU_SOURCE
#include "base/pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/mem.h"

/* A worker that finds no new job spins this often before it sleeps: a training step is many short jobs in a row. */
#define SPIN 2000

struct ax_pool {
	int n_threads;
	pthread_t *thread; /* n_threads - 1 */
	pthread_mutex_t lock;
	pthread_cond_t wake, done;
	void (*fn)(void *, size_t);
	void *ctx;
	size_t n;
	atomic_size_t next;
	atomic_uint job;  /* number of the current job */
	atomic_int busy;  /* workers that have not finished it */
	atomic_bool quit;
};

static void take_work(struct ax_pool *p)
{
	size_t i;

	while ((i = atomic_fetch_add(&p->next, 1)) < p->n)
		p->fn(p->ctx, i);
}

static void pause_cpu(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#endif
}

static bool wait_job(struct ax_pool *p, unsigned seen)
{
	for (int i = 0; i < SPIN && atomic_load(&p->job) == seen && !atomic_load(&p->quit); i++)
		pause_cpu();
	if (atomic_load(&p->job) == seen && !atomic_load(&p->quit)) {
		pthread_mutex_lock(&p->lock);
		while (atomic_load(&p->job) == seen && !atomic_load(&p->quit))
			pthread_cond_wait(&p->wake, &p->lock);
		pthread_mutex_unlock(&p->lock);
	}
	return !atomic_load(&p->quit);
}

static void *worker(void *arg)
{
	struct ax_pool *p = arg;
	unsigned seen = 0;

	while (wait_job(p, seen)) {
		seen = atomic_load(&p->job);
		take_work(p);
		if (atomic_fetch_sub(&p->busy, 1) == 1) {
			pthread_mutex_lock(&p->lock);
			pthread_cond_signal(&p->done);
			pthread_mutex_unlock(&p->lock);
		}
	}
	return NULL;
}

int ax_pool_new(struct ax_pool **out, int n_threads, struct ax_err *e)
{
	struct ax_pool *p = ax_calloc(1, sizeof(*p));

	if (!p)
		return ax_fail(e, AX_EMEM, "out of memory");
	p->thread = ax_calloc((size_t)n_threads, sizeof(*p->thread));
	if (!p->thread) {
		ax_free(p);
		return ax_fail(e, AX_EMEM, "out of memory");
	}
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->wake, NULL);
	pthread_cond_init(&p->done, NULL);
	p->n_threads = 1;
	while (p->n_threads < n_threads) {
		if (pthread_create(&p->thread[p->n_threads - 1], NULL, worker, p)) {
			ax_pool_free(p);
			return ax_fail(e, AX_EMEM, "cannot start a thread:");
		}
		p->n_threads++;
	}
	*out = p;
	return 0;
}

void ax_pool_run(struct ax_pool *p, size_t n, void (*fn)(void *, size_t), void *ctx)
{
	if (!p || p->n_threads == 1 || n < 2) {
		for (size_t i = 0; i < n; i++)
			fn(ctx, i);
		return;
	}
	pthread_mutex_lock(&p->lock);
	p->fn = fn;
	p->ctx = ctx;
	p->n = n;
	atomic_store(&p->next, 0);
	atomic_store(&p->busy, p->n_threads - 1);
	atomic_fetch_add(&p->job, 1);
	pthread_cond_broadcast(&p->wake);
	pthread_mutex_unlock(&p->lock);
	take_work(p);
	for (int i = 0; i < SPIN && atomic_load(&p->busy); i++)
		pause_cpu();
	pthread_mutex_lock(&p->lock);
	while (atomic_load(&p->busy))
		pthread_cond_wait(&p->done, &p->lock);
	pthread_mutex_unlock(&p->lock);
}

int ax_pool_threads(const struct ax_pool *p)
{
	return p ? p->n_threads : 1;
}

void ax_pool_free(struct ax_pool *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	atomic_store(&p->quit, true);
	pthread_cond_broadcast(&p->wake);
	pthread_mutex_unlock(&p->lock);
	for (int i = 0; i < p->n_threads - 1; i++)
		pthread_join(p->thread[i], NULL);
	pthread_mutex_destroy(&p->lock);
	pthread_cond_destroy(&p->wake);
	pthread_cond_destroy(&p->done);
	ax_free(p->thread);
	ax_free(p);
}

int ax_cores_allowed(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	if (sched_getaffinity(0, sizeof(set), &set))
		return 1;
	return CPU_COUNT(&set) > 0 ? CPU_COUNT(&set) : 1;
}
