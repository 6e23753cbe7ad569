/*
 * One block. Threads are taken one after another; a thread that never waits ends on the stack it began on and the next
 * one reuses it. One that waits keeps its stack as a fiber, and another stack is taken for the next.
 *
 * Who runs next: first those that were woken (in the chosen order), then those that have not begun. So a thread gets as
 * far ahead of the others as the barriers allow, which is the worst case for a missing one.
 */
#include <sys/mman.h>

#include "sim.h"

#ifdef CUDASIM_ASAN
enum { STACK_BYTES = 256 * 1024 };
#else
enum { STACK_BYTES = 64 * 1024 };
#endif
enum { GUARD_BYTES = 4096, MAX_THREADS = 1024, MAX_WARPS = MAX_THREADS / 32, MAX_GROUPS = 4, CACHE_LINE = 64 };

/* Lanes of a warp that meet: those in `mask`; not in use while `arrived` is 0. */
struct warp_group {
	unsigned mask, arrived;
	cudasim_warp_fn *fn;
	cudasim_place at;
	void *operand[32];
};
struct warp {
	warp_group group[MAX_GROUPS];
	cudasim_fiber *lane[32]; /* while it waits */
	unsigned exited;
	unsigned phase; /* operations of the full warp */
};

sim_block sim_current;
cudasim_fiber *cudasim_self;
uint3 cudasim_block_index;
dim3 cudasim_block_dim, cudasim_grid_dim;

static cudasim_fiber fibers[MAX_THREADS], host_fiber;
static cudasim_fiber *free_fibers[MAX_THREADS], *ready[MAX_THREADS], *at_barrier[MAX_THREADS];
static unsigned n_free, ready_head, ready_tail;
static warp warps[MAX_WARPS];
static uint16_t start_order[MAX_THREADS]; /* the k-th thread to start */
static uint3 thread_of[MAX_THREADS];	  /* index -> threadIdx, for shape_of_thread */
static dim3 shape_of_thread;

unsigned sim_warp_phase(void)
{
	return cudasim_self ? warps[cudasim_self->warp].phase : 0;
}

bool sim_in_fiber_record(const void *p)
{
	const void *low = fibers, *high = fibers + MAX_THREADS;
	return p >= low && p < high;
}

bool sim_on_fiber_stack(const void *p)
{
	const char *low = fibers[0].stack, *q = static_cast<const char *>(p);
	return low && q >= low && q < low + static_cast<size_t>(MAX_THREADS) * (STACK_BYTES + GUARD_BYTES);
}

bool sim_on_stack_guard(const void *p)
{
	size_t off = static_cast<size_t>(static_cast<const char *>(p) - (fibers[0].stack - GUARD_BYTES));
	return sim_on_fiber_stack(static_cast<const char *>(p) + GUARD_BYTES) &&
	       off % (STACK_BYTES + GUARD_BYTES) < GUARD_BYTES;
}

static void make_stacks(void)
{
	const size_t each = STACK_BYTES + GUARD_BYTES;
	char *all = static_cast<char *>(mmap(nullptr, each * MAX_THREADS + GUARD_BYTES, PROT_READ | PROT_WRITE,
					     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
	if (all == MAP_FAILED)
		cudasim_die("no memory for the fibers' stacks");
	for (unsigned i = 0; i < MAX_THREADS; i++) {
		mprotect(all + i * each, GUARD_BYTES, PROT_NONE);
		fibers[i].stack = all + i * each + GUARD_BYTES;
	}
}

/* --- the order of things --------------------------------------------------------------------------------- */

static void shuffle(uint16_t *order, unsigned n)
{
	for (unsigned i = n; i > 1; i--)
		std::swap(order[i - 1], order[sim_thread_random.below(i)]);
}

static void set_start_order(unsigned n)
{
	static unsigned set_for;
	if (n == set_for && sim_settings().threads != THREADS_RANDOM)
		return;
	set_for = n;
	const bool reverse = sim_settings().threads == THREADS_REVERSE;
	for (unsigned i = 0; i < n; i++)
		start_order[i] = static_cast<uint16_t>(reverse ? n - 1 - i : i);
	if (sim_settings().threads == THREADS_RANDOM)
		shuffle(start_order, n);
}

static void set_thread_table(dim3 d)
{
	if (d.x == shape_of_thread.x && d.y == shape_of_thread.y && d.z == shape_of_thread.z)
		return;
	shape_of_thread = d;
	for (unsigned i = 0; i < d.x * d.y * d.z; i++)
		thread_of[i] = {i % d.x, i / d.x % d.y, i / d.x / d.y};
}

static void wake(cudasim_fiber *f)
{
	f->waits.file = nullptr;
	ready[ready_tail++ % MAX_THREADS] = f;
}

static cudasim_fiber *next_ready(void)
{
	if (sim_settings().threads == THREADS_RANDOM && ready_tail - ready_head > 1) {
		unsigned pick = ready_head + sim_thread_random.below(ready_tail - ready_head);
		std::swap(ready[ready_head % MAX_THREADS], ready[pick % MAX_THREADS]);
	}
	return ready[ready_head++ % MAX_THREADS];
}

/* --- starting and ending threads ------------------------------------------------------------------------- */

static void begin_thread(cudasim_fiber *f)
{
	f->index = start_order[sim_current.n_threads - sim_current.n_unstarted--];
	f->thread = thread_of[f->index];
	f->lane = f->index % 32;
	f->warp = f->index / 32;
	f->copies = nullptr;
	f->n_copies = f->n_commits = 0;
	f->fenced = false;
}

static void name_place(char *text, size_t n, cudasim_place at)
{
	snprintf(text, n, "%s:%d", at.file, at.line);
}

[[noreturn]] static void die_left_early(const cudasim_fiber *f, const char *what, cudasim_place at)
{
	char place[512];
	name_place(place, sizeof place, at);
	cudasim_die("thread %u left the kernel, but %s at %s waits for it", f->index, what, place);
}

static void end_thread(cudasim_fiber *f)
{
	warp *w = &warps[f->warp];
	for (warp_group &g : w->group)
		if (g.arrived && g.mask >> f->lane & 1)
			die_left_early(f, "its warp", g.at);
	if (sim_current.n_waiting)
		die_left_early(f, "a barrier", sim_current.barrier);
	w->exited |= 1u << f->lane;
	sim_current.n_exited++;
	cudasim_cp_wait(0);
}

static cudasim_fiber *next_to_run(void);

static void run_threads(void)
{
	for (;;) {
		cudasim_fiber *f = cudasim_self;
		sim_current.enter(sim_current.params);
		end_thread(f);
		if (ready_head == ready_tail && sim_current.n_unstarted) {
			begin_thread(f);
			continue;
		}
		free_fibers[n_free++] = f;
		cudasim_yield_to(next_to_run());
	}
}

static void fiber_main(void)
{
#ifdef CUDASIM_ASAN
	/* The first fiber of a block is entered from the host, whose stack is learnt here. */
	cudasim_context *host = &host_fiber.context;
	const bool first = !host->stack_bytes;
	__sanitizer_finish_switch_fiber(nullptr, first ? &host->stack_low : nullptr,
					first ? &host->stack_bytes : nullptr);
#endif
	run_threads();
}

#ifdef CUDASIM_PORTABLE
void cudasim_jump(cudasim_context *from, cudasim_context *to)
{
	from->entered = true;
	if (_setjmp(from->jump))
		return;
	if (to->entered)
		_longjmp(to->jump, 1);
	setcontext(&to->first);
}
#endif

/* Stacks begin at different offsets, or their tops would share a few cache sets. */
static void set_entry(cudasim_fiber *f)
{
	const size_t stagger = static_cast<size_t>(f - fibers) % 60 * CACHE_LINE, bytes = STACK_BYTES - stagger;
	cudasim_context *c = &f->context;
#ifdef CUDASIM_PORTABLE
	if (getcontext(&c->first))
		cudasim_die("getcontext failed");
	c->first.uc_stack.ss_sp = f->stack;
	c->first.uc_stack.ss_size = bytes;
	c->first.uc_link = nullptr;
	makecontext(&c->first, fiber_main, 0);
	c->entered = false;
#else
	char *top = f->stack + bytes - 2 * sizeof(void *);
	memset(top, 0, 2 * sizeof(void *));
	c->pc = reinterpret_cast<void *>(fiber_main);
	c->sp = top + sizeof(void *); /* as after a call */
	c->bp = nullptr;
#endif
#ifdef CUDASIM_ASAN
	c->stack_low = f->stack;
	c->stack_bytes = STACK_BYTES;
	c->fake = nullptr;
#endif
}

static cudasim_fiber *take_fiber(void)
{
	cudasim_fiber *f = free_fibers[--n_free];
	set_entry(f);
	begin_thread(f);
	return f;
}

[[noreturn]] static void die_deadlock(void)
{
	fprintf(stderr, "cudasim: nobody can go on:\n");
	unsigned n = 0;
	for (const cudasim_fiber &f : fibers)
		if (f.waits.file && n++ < 8)
			fprintf(stderr, "  thread %u (lane %u of warp %u) waits at %s:%d\n", f.index, f.lane, f.warp,
				f.waits.file, f.waits.line);
	cudasim_self = nullptr;
	cudasim_die("deadlock in kernel %s: %u threads wait, %u have left", sim_current.kernel_name,
		    sim_current.n_threads - sim_current.n_exited, sim_current.n_exited);
}

static cudasim_fiber *next_to_run(void)
{
	if (ready_head != ready_tail)
		return next_ready();
	if (sim_current.n_unstarted)
		return take_fiber();
	if (sim_current.n_exited < sim_current.n_threads)
		die_deadlock();
	return &host_fiber;
}

/* --- barriers -------------------------------------------------------------------------------------------- */

static void release_barrier(void)
{
	const unsigned n = sim_current.n_threads;
	sim_current.n_waiting = 0;
	sim_current.phase++;
	const bool reverse = sim_settings().threads == THREADS_REVERSE;
	for (unsigned i = 0; i < n; i++)
		wake(at_barrier[reverse ? n - 1 - i : i]);
}

cudasim_fiber *cudasim_barrier(cudasim_place at)
{
	cudasim_fiber *f = cudasim_self;
	if (!sim_current.n_waiting) {
		sim_current.barrier = at;
		sim_current.barrier_thread = f->index;
	} else if (sim_current.barrier.line != at.line || sim_current.barrier.file != at.file) {
		cudasim_die("divergent barrier: thread %u waits at %s:%d, thread %u at %s:%d",
			    sim_current.barrier_thread, sim_current.barrier.file, sim_current.barrier.line, f->index,
			    at.file, at.line);
	}
	if (sim_current.n_exited)
		cudasim_die("barrier at %s:%d: %u threads of the block left the kernel before it", at.file, at.line,
			    sim_current.n_exited);
	f->waits = at;
	at_barrier[f->index] = f;
	if (++sim_current.n_waiting == sim_current.n_threads)
		release_barrier();
	cudasim_fiber *next = next_to_run();
	return next == f ? nullptr : next;
}

/* --- warps ----------------------------------------------------------------------------------------------- */

static warp_group *group_for(warp *w, cudasim_fiber *f, unsigned mask, cudasim_place at)
{
	warp_group *unused = nullptr;
	for (warp_group &g : w->group) {
		if (!g.arrived)
			unused = &g;
		else if (g.mask == mask)
			return &g;
		else if (g.mask & mask)
			cudasim_die("lane %u of warp %u meets lanes %08x at %s:%d while others of them meet as %08x at "
				    "%s:%d",
				    f->lane, f->warp, mask, at.file, at.line, g.mask, g.at.file, g.at.line);
	}
	if (!unused)
		cudasim_die("more than %d groups of lanes of one warp wait at once, at %s:%d", MAX_GROUPS, at.file,
			    at.line);
	return unused;
}

static void check_mask(const cudasim_fiber *f, const warp *w, unsigned mask, cudasim_place at)
{
	if (!(mask >> f->lane & 1))
		cudasim_die("warp operation at %s:%d: lane %u is not in its own mask %08x", at.file, at.line, f->lane,
			    mask);
	if (mask & w->exited)
		cudasim_die("warp operation at %s:%d: mask %08x names lanes %08x of warp %u that have left the kernel",
			    at.file, at.line, mask, mask & w->exited, f->warp);
	if (sim_current.n_threads % 32)
		cudasim_die("warp operation at %s:%d in a block of %u threads: not a multiple of 32", at.file, at.line,
			    sim_current.n_threads);
}

static void complete(warp *w, warp_group *g, cudasim_fiber *last)
{
	g->fn(g->operand, g->mask);
	g->arrived = 0;
	if (g->mask == 0xffffffffu)
		w->phase++;
	const bool reverse = sim_settings().threads == THREADS_REVERSE;
	for (unsigned i = 0; i < 32; i++) {
		unsigned l = reverse ? 31 - i : i;
		if (g->mask >> l & 1 && w->lane[l] != last)
			wake(w->lane[l]);
	}
}

cudasim_fiber *cudasim_meet(cudasim_warp_fn *fn, unsigned mask, void *operand, cudasim_place at)
{
	cudasim_fiber *f = cudasim_self;
	warp *w = &warps[f->warp];
	check_mask(f, w, mask, at);
	warp_group *g = group_for(w, f, mask, at);
	if (!g->arrived) {
		g->mask = mask;
		g->fn = fn;
		g->at = at;
	} else if (g->fn != fn || g->at.line != at.line || g->at.file != at.file) {
		cudasim_die("divergent warp operation: lanes %08x of warp %u wait at %s:%d, lane %u comes to %s:%d",
			    g->arrived, f->warp, g->at.file, g->at.line, f->lane, at.file, at.line);
	}
	g->operand[f->lane] = operand;
	w->lane[f->lane] = f;
	g->arrived |= 1u << f->lane;
	if (g->arrived == mask) {
		complete(w, g, f);
		return nullptr;
	}
	f->waits = at;
	return next_to_run();
}

void cudasim_warp_nothing(void *const *, unsigned)
{
}

void cudasim_vote_all(void *const lane[32], unsigned mask)
{
	unsigned all = 0;
	for (unsigned l = 0; l < 32; l++)
		if (mask >> l & 1 && static_cast<cudasim_vote *>(lane[l])->mine)
			all |= 1u << l;
	for (unsigned l = 0; l < 32; l++)
		if (mask >> l & 1)
			static_cast<cudasim_vote *>(lane[l])->all = all;
}

void cudasim_bad_source(unsigned lane, unsigned from, unsigned mask)
{
	cudasim_die("shuffle: lane %u asks for the value of lane %u, which is not in the mask %08x", lane, from, mask);
}

unsigned cudasim_active_mask(void)
{
	cudasim_die("__activemask() is what the hardware happens to run together: kernels must name their masks");
}

/* --- the block ------------------------------------------------------------------------------------------- */

static void reset(void)
{
	static bool made;
	if (!made) {
		make_stacks();
		made = true;
	}
	const unsigned n = sim_current.n_threads;
	sim_current.n_unstarted = n;
	sim_current.n_exited = sim_current.n_waiting = sim_current.phase = 0;
	ready_head = ready_tail = 0;
	n_free = 0;
	for (unsigned i = n; i-- > 0;)
		free_fibers[n_free++] = &fibers[i];
	for (unsigned i = 0; i < n / 32 + (n % 32 != 0); i++) {
		warps[i].exited = warps[i].phase = 0;
		for (warp_group &g : warps[i].group)
			g.arrived = 0;
	}
}

void sim_run_block(void)
{
	reset();
	set_thread_table(cudasim_block_dim);
	set_start_order(sim_current.n_threads);
#ifdef CUDASIM_ASAN
	host_fiber.context.stack_bytes = 0;
#endif
	cudasim_self = &host_fiber;
	cudasim_yield_to(take_fiber());
	cudasim_self = nullptr;
}
