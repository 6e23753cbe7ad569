/*
 * One kernel: what may be launched, the order of its blocks, their shared memory, and cp.async.
 *
 * Shared memory of a block lies in one arena: the dynamic part at the start, then the AX_SHARED arrays in the order in
 * which a thread first comes to them. Each is filled with 0xFF; red zones between the arrays are
 * checked when it ends (and, where a sanitizer is at work, at each access).
 */
#include <cstdlib>
#include <dlfcn.h>

#include "sim.h"

#ifdef CUDASIM_ASAN
#include <sanitizer/asan_interface.h>
#endif

enum {
	STATIC_LIMIT = 48 * 1024, /* static, and dynamic without the attribute */
	PARAMS_LIMIT = 4096,
	MAX_SLOTS = 64,
	RED_ZONE = 64,
	RED_BYTE = 0xA5,
	POISON_BYTE = 0xFF,
	MAX_COPIES = 128
};

alignas(128) static char arena[SHARED_BYTES + MAX_SLOTS * 2 * RED_ZONE];
char *sim_shared_base = arena;
alignas(16) static char params[PARAMS_LIMIT]; /* of the running kernel; static, see sim_block */

/* What of the arena is in use in the running block. */
struct shared_slot {
	size_t off, bytes;
	const char *name;
};
static shared_slot slots[MAX_SLOTS];
static unsigned n_slots;
static size_t arena_used, static_used, dynamic_bytes;
static uint64_t n_blocks_ever;

bool sim_in_shared(const void *p)
{
	const char *q = static_cast<const char *>(p);
	return q >= arena && q < arena + sizeof arena;
}

bool sim_in_shared_array(const void *p, size_t bytes)
{
	const size_t off = static_cast<size_t>(static_cast<const char *>(p) - arena);
	for (unsigned i = 0; i < n_slots; i++)
		if (off >= slots[i].off && off + bytes <= slots[i].off + slots[i].bytes)
			return true;
	return false;
}

static bool inside(const void *p, const void *object, size_t bytes)
{
	const char *q = static_cast<const char *>(p), *o = static_cast<const char *>(object);
	return q >= o && q < o + bytes;
}

bool sim_is_kernel_state(const void *p)
{
	return inside(p, params, sizeof params) || inside(p, &cudasim_self, sizeof cudasim_self) ||
	       sim_in_fiber_record(p) || inside(p, &cudasim_block_index, sizeof cudasim_block_index) ||
	       inside(p, &cudasim_block_dim, sizeof cudasim_block_dim) ||
	       inside(p, &cudasim_grid_dim, sizeof cudasim_grid_dim);
}

/* --- attributes of kernels ------------------------------------------------------------------------------- */

struct kernel_limit {
	const void *kernel;
	size_t dynamic_bytes;
};
static std::vector<kernel_limit> &limits = *new std::vector<kernel_limit>;

size_t sim_dynamic_limit(const void *kernel)
{
	for (const kernel_limit &l : limits)
		if (l.kernel == kernel)
			return l.dynamic_bytes;
	return STATIC_LIMIT;
}

void sim_set_dynamic_limit(const void *kernel, size_t bytes)
{
	for (kernel_limit &l : limits)
		if (l.kernel == kernel) {
			l.dynamic_bytes = bytes;
			return;
		}
	limits.push_back({kernel, bytes});
}

/* --- shared memory --------------------------------------------------------------------------------------- */

static void unpoison(void)
{
#ifdef CUDASIM_ASAN
	__asan_unpoison_memory_region(arena, sizeof arena);
#endif
}

/* The bytes past an array are nobody's. */
static void close_slot(size_t off, size_t bytes, const char *name)
{
	const size_t end = (off + bytes + 15) / 16 * 16 + RED_ZONE;
	memset(arena + off, POISON_BYTE, bytes);
	memset(arena + off + bytes, RED_BYTE, end - off - bytes);
#ifdef CUDASIM_ASAN
	__asan_poison_memory_region(arena + off + bytes, end - off - bytes);
#endif
	slots[n_slots++] = {off, bytes, name};
	arena_used = end;
}

static void begin_shared(void)
{
	unpoison();
	n_slots = 0;
	static_used = arena_used = 0;
	close_slot(0, dynamic_bytes, "the dynamic shared memory");
}

static void end_shared(void)
{
	unpoison();
	for (unsigned i = 0; i < n_slots; i++) {
		const shared_slot *s = &slots[i];
		const size_t end = i + 1 < n_slots ? slots[i + 1].off : arena_used;
		for (size_t at = s->off + s->bytes; at < end; at++)
			if (static_cast<unsigned char>(arena[at]) != RED_BYTE)
				cudasim_die("shared memory: written %zu bytes past the end of %s (%zu bytes) in kernel "
					    "%s, block %llu",
					    at - s->off - s->bytes, s->name, s->bytes, sim_current.kernel_name,
					    static_cast<unsigned long long>(sim_current.linear));
	}
}

static void *new_slot(size_t bytes, const char *name, cudasim_place at)
{
	static_used += (bytes + 15) / 16 * 16;
	if (static_used > STATIC_LIMIT)
		cudasim_die("%s:%d: %zu bytes of static shared memory, the limit is %d", at.file, at.line, static_used,
			    STATIC_LIMIT);
	if (n_slots == MAX_SLOTS)
		cudasim_die("%s:%d: more than %d shared arrays in one kernel", at.file, at.line, MAX_SLOTS);
	const size_t off = arena_used;
	close_slot(off, bytes, name);
	return arena + off;
}

void *cudasim_shared(cudasim_slot *slot, size_t bytes, const char *name, cudasim_place at)
{
	if (slot->block != sim_current.serial) {
		slot->at = new_slot(bytes, name, at);
		slot->block = sim_current.serial;
	}
	return slot->at;
}

void *cudasim_dyn_shared(void)
{
	if (!dynamic_bytes)
		cudasim_die("kernel %s uses dynamic shared memory, but was launched with none",
			    sim_current.kernel_name);
	return arena;
}

unsigned cudasim_shared_address(const void *p)
{
	if (!sim_in_shared(p))
		cudasim_die("%p is not in shared memory", p);
	return static_cast<unsigned>(static_cast<const char *>(p) - arena);
}

/* An instruction for global memory takes an address of shared memory for one far outside. */
void cudasim_require_global(const void *p)
{
	if (sim_in_shared(p))
		cudasim_die("an access to global memory at shared address %u", cudasim_shared_address(p));
}

static void require_shared(const void *p, unsigned bytes, const char *what)
{
	if (!sim_in_shared(p))
		cudasim_die("%s: %p is not in shared memory", what, p);
	if (reinterpret_cast<uintptr_t>(p) % bytes)
		cudasim_die("%s: shared address %u is not a multiple of %u", what, cudasim_shared_address(p), bytes);
	if (!sim_in_shared_array(p, bytes))
		cudasim_die("%s: shared address %u is outside every shared array", what, cudasim_shared_address(p));
}

void cudasim_warp_read(void *to, const void *shared, unsigned bytes)
{
	require_shared(shared, bytes, "ldmatrix");
	check_warp_read(shared, bytes);
	memcpy(to, shared, bytes);
}

void cudasim_atomic(void *p, unsigned bytes)
{
	check_atomic(p, bytes);
}

/* --- cp.async -------------------------------------------------------------------------------------------- */

/* Copies happen at the wait, not at the issue: what is read before it is poison. */
struct cudasim_copy {
	char *to;
	const char *from;
	int bytes, n_valid;
	unsigned group;
};
static cudasim_copy copies[1024][MAX_COPIES];

void cudasim_cp_async(void *shared, const void *global, int bytes, int n_valid, cudasim_place at)
{
	cudasim_fiber *f = cudasim_self;
	require_shared(shared, static_cast<unsigned>(bytes), "cp.async");
	if (n_valid < 0 || n_valid > bytes)
		cudasim_die("cp.async at %s:%d: %d of %d bytes", at.file, at.line, n_valid, bytes);
	if (reinterpret_cast<uintptr_t>(global) % static_cast<unsigned>(bytes))
		cudasim_die("cp.async at %s:%d: global address %p is not a multiple of %d", at.file, at.line, global,
			    bytes);
	if (n_valid && !heap_in_device_region(global))
		cudasim_die("cp.async at %s:%d: %p is not device memory", at.file, at.line, global);
	if (!f->copies)
		f->copies = copies[f->index];
	if (f->n_copies == MAX_COPIES)
		cudasim_die("cp.async at %s:%d: more than %d copies of one thread under way", at.file, at.line,
			    MAX_COPIES);
	f->copies[f->n_copies++] = {static_cast<char *>(shared), static_cast<const char *>(global), bytes, n_valid,
				    f->n_commits};
	memset(shared, POISON_BYTE, static_cast<size_t>(bytes));
	check_in_flight(shared, static_cast<size_t>(bytes), true);
}

void cudasim_cp_commit(void)
{
	cudasim_self->n_commits++;
}

static void land(const cudasim_copy *c)
{
	const size_t n = static_cast<size_t>(c->n_valid), all = static_cast<size_t>(c->bytes);
	check_in_flight(c->to, all, false);
	check_range(c->from, n, false);
	memcpy(c->to, c->from, n);
	memset(c->to + n, 0, all - n);
	check_range(c->to, all, true);
}

/* Copies that were not committed are waited for by nothing but the kernel's end. */
void cudasim_cp_wait(int n_left)
{
	cudasim_fiber *f = cudasim_self;
	unsigned done = 0;
	while (done < f->n_copies && f->copies[done].group < f->n_commits &&
	       f->n_commits - f->copies[done].group > static_cast<unsigned>(n_left))
		land(&f->copies[done++]);
	f->n_copies -= done;
	if (done && f->n_copies)
		memmove(f->copies, f->copies + done, f->n_copies * sizeof *f->copies);
}

/* --- launches -------------------------------------------------------------------------------------------- */

static void require_fits(const cudasim_launch_args &a)
{
	const uint64_t threads = uint64_t(a.block.x) * a.block.y * a.block.z;
	const char *file = a.at.file;
	const int line = a.at.line;
	if (!threads || threads > 1024 || a.block.x > 1024 || a.block.y > 1024 || a.block.z > 64)
		cudasim_die("%s:%d: kernel %s with blocks of %u x %u x %u threads", file, line, a.kernel_name,
			    a.block.x, a.block.y, a.block.z);
	if (!a.grid.x || !a.grid.y || !a.grid.z || a.grid.x > 0x7fffffffu || a.grid.y > 65535 || a.grid.z > 65535)
		cudasim_die("%s:%d: kernel %s with a grid of %u x %u x %u blocks", file, line, a.kernel_name, a.grid.x,
			    a.grid.y, a.grid.z);
	if (a.smem > sim_dynamic_limit(a.kernel))
		cudasim_die("%s:%d: kernel %s with %zu bytes of dynamic shared memory, it may have %zu "
			    "(cudaFuncAttributeMaxDynamicSharedMemorySize)",
			    file, line, a.kernel_name, a.smem, sim_dynamic_limit(a.kernel));
	if (a.params_bytes > PARAMS_LIMIT)
		cudasim_die("%s:%d: kernel %s takes %zu bytes of parameters, the limit is %d", file, line,
			    a.kernel_name, a.params_bytes, PARAMS_LIMIT);
}

void cudasim_launch_kernel(const cudasim_launch_args &a)
{
	sim_lock lock;
	sim_require_stream(a.stream, a.kernel_name);
	require_fits(a);
	std::vector<char> data(sizeof a + a.params_bytes);
	memcpy(data.data(), &a, sizeof a);
	memcpy(data.data() + sizeof a, a.params, a.params_bytes);
	sim_enqueue_bytes(a.stream, OP_KERNEL, a.kernel_name, a.at, sim_run_kernel, data.data(), data.size());
}

static uint64_t greatest_common_divisor(uint64_t a, uint64_t b)
{
	return b ? greatest_common_divisor(b, a % b) : a;
}

/* The k-th block to run, of n: in order, reversed, or (start + k * stride) mod n. */
struct block_order {
	uint64_t start, stride, n;
};

static block_order choose_block_order(uint64_t n)
{
	if (sim_settings().threads == THREADS_FORWARD)
		return {0, 1, n};
	if (sim_settings().threads == THREADS_REVERSE)
		return {n - 1, n - 1, n};
	const uint32_t bound = static_cast<uint32_t>(n < 0xffffffffu ? n : 0xffffffffu);
	uint64_t stride = 1 + sim_thread_random.below(bound);
	while (greatest_common_divisor(stride, n) != 1)
		stride++;
	return {sim_thread_random.below(bound), stride, n};
}

static void run_one_block(dim3 grid, uint64_t linear)
{
	sim_current.linear = linear;
	sim_current.serial = ++n_blocks_ever;
	cudasim_block_index = {static_cast<unsigned>(linear % grid.x), static_cast<unsigned>(linear / grid.x % grid.y),
			       static_cast<unsigned>(linear / grid.x / grid.y)};
	begin_shared();
	sim_run_block();
	end_shared();
}

/* CUDASIM_KERNELS: a line for each kernel when it first runs, "FILE OFFSET", where the offset is its symbol's in that object. */
static void note_kernel(const void *kernel)
{
	static const char *const list = getenv("CUDASIM_KERNELS");
	static std::vector<const void *> &noted = *new std::vector<const void *>;
	Dl_info in;
	if (!list)
		return;
	for (const void *k : noted)
		if (k == kernel)
			return;
	noted.push_back(kernel);
	FILE *f = fopen(list, "a");
	if (!f || !dladdr(kernel, &in))
		cudasim_die("%s: the list of kernels cannot be written", list);
	fprintf(f, "%s %016zx\n", in.dli_fname, static_cast<size_t>(static_cast<const char *>(kernel) - static_cast<const char *>(in.dli_fbase)));
	fclose(f);
}

void sim_run_kernel(sim_op *op)
{
	const cudasim_launch_args a = *op->as<cudasim_launch_args>();
	note_kernel(a.kernel);
	memcpy(params, op->data.data() + sizeof a, a.params_bytes);
	sim_current.enter = a.enter;
	sim_current.params = params;
	sim_current.kernel_name = a.kernel_name;
	sim_current.at = a.at;
	sim_current.n_threads = a.block.x * a.block.y * a.block.z;
	cudasim_block_dim = a.block;
	cudasim_grid_dim = a.grid;
	dynamic_bytes = a.smem;
	const uint64_t n = uint64_t(a.grid.x) * a.grid.y * a.grid.z;
	const block_order order = choose_block_order(n);
	for (uint64_t k = 0, linear = order.start % n; k < n; k++, linear = (linear + order.stride) % n)
		run_one_block(a.grid, linear);
	sim_current.kernel_name = nullptr;
}
