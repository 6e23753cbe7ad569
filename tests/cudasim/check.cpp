/*
 * The checker. Kernels and host code of its build are compiled with -fsanitize=thread, whose runtime is replaced by the
 * functions below: every access to memory comes here with its address.
 *
 * Each two bytes of device, pinned and shared memory have a cell: the last write and up to two reads since, each with
 * operation, block, thread and the synchronisation the thread had passed. Two accesses of which one is a write are in
 * order if
 *   in one operation: it is the same thread; or the same block with a barrier between; or the same warp with an operation
 *   of the full warp between; or different blocks, and clocks.cpp knows a fence and atomics between;
 *   in two operations: the vector clocks say so.
 * The order in which the simulator happens to run things does not matter, so one run finds what is not ordered. Two reads
 * are enough: they are kept of different operations, then blocks, then warps, so that any unordered write is unordered
 * with one of them.
 */
#ifdef CUDASIM_CHECK
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"

extern const size_t heap_region_bytes;
extern char *heap_regions_base;

/*
 * Of device and pinned memory, from the first byte of both. A page whose cells are all alike - new, filled or copied as a
 * whole - is kept as one cell until something touches a part of it.
 */
enum { PAGE = 4096, CELLS = PAGE / 2 };
struct page {
	cell all;
	bool has_cells;
};
static cell *shadow;
static page *pages;
static cell arena_cells[SHARED_BYTES];	    /* of shared memory: 2 bytes each, red zones included */
static unsigned n_reports;

/* --- reports --------------------------------------------------------------------------------------------- */

static void end_with_failure(void)
{
	if (!n_reports)
		return;
	fprintf(stderr, "cudasim: %u defects reported\n", n_reports);
	fflush(nullptr);
	_exit(70);
}

static void print_access(const char *what, const visit &a)
{
	const op_record &o = check_op(a.op);
	fprintf(stderr, "  %s by %s", what, o.name ? o.name : "nobody");
	if (o.at.file || o.caller)
		fprintf(stderr, " (%s)", sim_place_of(o.at, o.caller));
	if (a.block && a.thread >= 1024)
		fprintf(stderr, ", warp %u as a whole", a.thread - 1024);
	else if (a.block)
		fprintf(stderr, ", thread %u, after %u barriers", static_cast<unsigned>(a.thread), a.phase);
	fputc('\n', stderr);
}

static void print_address(const void *p)
{
	const mem_block *b = heap_near(p);
	if (sim_in_shared(p))
		fprintf(stderr, "  shared memory, byte %td\n", static_cast<const char *>(p) - sim_shared_base);
	else if (b)
		fprintf(stderr, "  byte %td of allocation %u (%zu bytes, %s)\n", static_cast<const char *>(p) - b->at,
			b->serial, b->bytes, b->kind == BLOCK_DEVICE ? "device" : "pinned");
}

/* Once a place of the program and kind of defect. */
static bool is_new(const void *pc, const char *what)
{
	static std::vector<std::pair<const void *, const char *>> &seen =
		*new std::vector<std::pair<const void *, const char *>>;
	for (const auto &s : seen)
		if (s.first == pc && s.second == what)
			return false;
	seen.push_back({pc, what});
	return true;
}

static void report(const char *what, const void *p, const void *pc, const visit *now, const visit *before,
		   const char *before_what)
{
	if (!is_new(pc ? pc : check_op(now->op).name, what))
		return;
	if (!n_reports++)
		atexit(end_with_failure);
	fprintf(stderr, "cudasim: %s, in %s\n", what, sim_who());
	if (pc)
		fprintf(stderr, "  at %s\n", sim_line_of(pc));
	print_address(p);
	if (before)
		print_access(before_what, *before);
	if (sim_settings().stop)
		end_with_failure();
}

/* --- where things lie ------------------------------------------------------------------------------------ */

static bool in_heap(const void *p)
{
	const uintptr_t off = reinterpret_cast<uintptr_t>(p) - reinterpret_cast<uintptr_t>(heap_regions_base);
	return heap_regions_base && off < 2 * heap_region_bytes;
}

static cell *cell_of(const void *p)
{
	const char *q = static_cast<const char *>(p);
	if (in_heap(p))
		return shadow + (q - heap_regions_base) / 2;
	return sim_in_shared(p) ? arena_cells + (q - sim_shared_base) / 2 : nullptr;
}

static void *reserve(size_t bytes)
{
	void *p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		cudasim_die("no address space for the checker's shadow memory");
	return p;
}

static void make_shadow(void)
{
	if (shadow)
		return;
	shadow = static_cast<cell *>(reserve(heap_region_bytes * sizeof(cell)));
	pages = static_cast<page *>(reserve(2 * heap_region_bytes / PAGE * sizeof(page)));
}

static size_t page_of(const char *p)
{
	return static_cast<size_t>(p - heap_regions_base) / PAGE;
}

static cell *cells_of_page(size_t number)
{
	return shadow + number * CELLS;
}

/* Constants and code may be read by kernels although they are not device memory. */
static int find_constant(dl_phdr_info *info, size_t, void *arg)
{
	const uintptr_t p = reinterpret_cast<uintptr_t>(*static_cast<const void **>(arg));
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) &h = info->dlpi_phdr[i];
		const uintptr_t low = info->dlpi_addr + h.p_vaddr;
		const bool constant = (h.p_type == PT_LOAD && !(h.p_flags & PF_W)) || h.p_type == PT_GNU_RELRO;
		if (constant && p >= low && p < low + h.p_memsz)
			return 1;
	}
	return 0;
}

static bool kernel_may_see(const void *p)
{
	return sim_on_fiber_stack(p) || sim_is_kernel_state(p) || dl_iterate_phdr(find_constant, &p);
}

/* --- one access ------------------------------------------------------------------------------------------ */

static unsigned warp_of(unsigned thread)
{
	return thread < 1024 ? thread / 32 : thread - 1024;
}

static bool in_order(const visit &a, const visit &now)
{
	if (!(a.bytes & now.bytes))
		return true;
	if (a.op != now.op)
		return check_op_before(a.op, now.op);
	if (a.block != now.block)
		return check_acquired(a.block, a.phase, a.thread);
	return a.thread == now.thread || a.phase != now.phase ||
	       (warp_of(a.thread) == warp_of(now.thread) && a.warp_phase != now.warp_phase);
}

static bool same(const visit &a, const visit &b)
{
	return !memcmp(&a, &b, sizeof a);
}

static visit current_visit(void)
{
	visit now = {};
	now.op = check_current_op();
	if (const cudasim_fiber *f = cudasim_self) {
		now.block = static_cast<uint32_t>(sim_current.serial);
		now.phase = sim_current.phase;
		now.thread = f->index & 0x7ffu;
		now.warp_phase = sim_warp_phase() & 0xffffu;
	}
	return now;
}

static void keep_read(cell *c, const visit &now)
{
	visit *r = c->read;
	for (int i = 0; i < 2; i++)
		if (!r[i].op || in_order(r[i], now)) {
			r[i] = now;
			if (!i && r[1].op && in_order(r[1], now))
				r[1] = visit{};
			return;
		}
	const bool other_op = r[0].op == r[1].op && now.op != r[0].op;
	const bool other_block = r[0].op == r[1].op && r[0].block == r[1].block && now.block != r[0].block;
	const bool other_warp = r[0].block == r[1].block && warp_of(r[0].thread) == warp_of(r[1].thread) &&
				warp_of(now.thread) != warp_of(r[0].thread);
	if (other_op || other_block || other_warp)
		r[1] = now;
}

static void read_cell(cell *c, const visit &now, const void *p, const void *pc, bool pinned)
{
	if (same(c->read[0], now) || same(c->read[1], now))
		return;
	const visit &w = c->write;
	if (w.flags & ACCESS_IN_FLIGHT)
		report("read of what cp.async has not delivered", p, pc, &now, &w, "issued");
	else if (w.op && !in_order(w, now))
		report("race: read of what is written without order", p, pc, &now, &w, "written");
	else if ((w.flags & ACCESS_UNWRITTEN) && !pinned)
		report("read of memory that nobody has written", p, pc, &now, nullptr, "");
	keep_read(c, now);
}

static void write_cell(cell *c, const visit &now, const void *p, const void *pc)
{
	const visit &w = c->write;
	const bool atomic = now.flags & ACCESS_ATOMIC;
	if (w.flags & ACCESS_IN_FLIGHT)
		report("write over what cp.async is about to deliver", p, pc, &now, &w, "issued");
	else if (w.op && !in_order(w, now) && !(atomic && w.flags & ACCESS_ATOMIC))
		report("race: write over what is written without order", p, pc, &now, &w, "written");
	else if (atomic && (w.flags & ACCESS_UNWRITTEN))
		report("atomic operation on memory that nobody has written", p, pc, &now, nullptr, "");
	for (const visit &r : c->read)
		if (r.op && !in_order(r, now))
			report("race: write over what is read without order", p, pc, &now, &r, "read");
	c->write = now;
	c->read[0] = c->read[1] = visit{};
}

/* A block's shared memory is new: what other blocks left in the cells is not seen. */
static void refresh(cell *c, const visit &now)
{
	if (c->write.block == now.block)
		return;
	*c = cell{};
	c->write = now;
	c->write.flags = ACCESS_UNWRITTEN;
	c->write.bytes = 0; /* nobody's */
}

static void touch_cell(cell *c, bool write, const visit &now, const char *p, const void *pc, bool pinned)
{
	if (write)
		write_cell(c, now, p, pc);
	else
		read_cell(c, now, p, pc, pinned);
}

static void touch_cells(cell *c, const char *p, size_t bytes, bool write, visit now, const void *pc)
{
	const bool shared = sim_in_shared(p), pinned = heap_in_pinned_region(p);
	const unsigned odd = reinterpret_cast<uintptr_t>(p) & 1;
	const size_t n = (odd + bytes + 1) / 2;
	for (size_t i = 0; i < n; i++) {
		now.bytes = (!i && odd ? 2u : 3u) & (i + 1 == n && (odd + bytes) % 2 ? 1u : 3u);
		if (shared)
			refresh(&c[i], now);
		touch_cell(&c[i], write, now, p + 2 * i, pc, pinned);
	}
}

static void touch_whole_page(page *g, const char *p, bool write, visit now, const void *pc)
{
	now.bytes = 3;
	if (g->has_cells)
		touch_cells(cells_of_page(page_of(p)), p, PAGE, write, now, pc);
	else
		touch_cell(&g->all, write, now, p, pc, heap_in_pinned_region(p));
	if (write && g->has_cells) {
		g->all = cells_of_page(page_of(p))[0];
		g->has_cells = false;
	}
}

static void touch_part_of_page(page *g, const char *p, size_t bytes, bool write, const visit &now, const void *pc)
{
	if (!g->has_cells) {
		cell *c = cells_of_page(page_of(p));
		for (size_t i = 0; i < CELLS; i++)
			c[i] = g->all;
		g->has_cells = true;
	}
	touch_cells(shadow + (p - heap_regions_base) / 2, p, bytes, write, now, pc);
}

static void touch(const void *p, size_t bytes, bool write, unsigned flags, const void *pc, visit now)
{
	const char *q = static_cast<const char *>(p);
	now.flags = flags & 7u;
	if (!in_heap(p)) {
		touch_cells(cell_of(p), q, bytes, write, now, pc);
		return;
	}
	for (size_t n; bytes; q += n, bytes -= n) {
		n = PAGE - reinterpret_cast<uintptr_t>(q) % PAGE;
		n = bytes < n ? bytes : n;
		page *g = &pages[page_of(q)];
		if (n == PAGE)
			touch_whole_page(g, q, write, now, pc);
		else
			touch_part_of_page(g, q, n, write, now, pc);
	}
}

/* --- accesses of the program ----------------------------------------------------------------------------- */

static void outside(const void *p, size_t bytes, const void *pc, const visit &now)
{
	if (sim_in_shared(p)) {
		if (!sim_in_shared_array(p, bytes))
			report("access outside every shared array", p, pc, &now, nullptr, "");
		return;
	}
	const mem_block *b = heap_near(p);
	if (b && !b->freed && static_cast<const char *>(p) + bytes > b->at + b->bytes &&
	    static_cast<const char *>(p) >= b->at)
		report("access past the end of an allocation", p, pc, &now, nullptr, "");
}

static void kernel_access(const void *p, size_t bytes, bool write, const void *pc)
{
	const visit now = current_visit();
	if (!cell_of(p)) {
		if (!kernel_may_see(p))
			report("a kernel touches host memory", p, pc, &now, nullptr, "");
		return;
	}
	outside(p, bytes, pc, now);
	touch(p, bytes, write, 0, pc, now);
}

/* Another thread of the host may be inside the API: the lock keeps the cells whole. */
static void host_access(const void *p, size_t bytes, bool write, const void *pc)
{
	if (!in_heap(p))
		return;
	sim_lock lock;
	const visit now = current_visit();
	if (heap_in_device_region(p)) {
		report("host code touches device memory", p, pc, &now, nullptr, "");
		return;
	}
	outside(p, bytes, pc, now);
	touch(p, bytes, write, 0, pc, now);
}

static void seen(const void *p, size_t bytes, bool write, const void *pc)
{
	if (cudasim_self)
		kernel_access(p, bytes, write, pc);
	else
		host_access(p, bytes, write, pc);
}

/* --- what the simulator does for the program ------------------------------------------------------------- */

void check_range(const void *p, size_t bytes, bool write)
{
	if (!bytes || !cell_of(p))
		return;
	touch(p, bytes, write, 0, nullptr, current_visit());
}

void check_warp_read(const void *p, size_t bytes)
{
	visit now = current_visit();
	now.thread = (1024 + cudasim_self->warp) & 0x7ffu;
	touch(p, bytes, false, 0, nullptr, now);
}

void check_atomic(const void *p, size_t bytes)
{
	const visit now = current_visit();
	if (!cell_of(p)) {
		report("atomic operation on host memory", p, __builtin_return_address(0), &now, nullptr, "");
		return;
	}
	if (cudasim_self->fenced && !sim_in_shared(p))
		check_release(p);
	touch(p, bytes, true, ACCESS_ATOMIC, nullptr, now);
}

void check_in_flight(const void *p, size_t bytes, bool begins)
{
	if (begins) {
		touch(p, bytes, true, ACCESS_IN_FLIGHT, nullptr, current_visit());
		return;
	}
	cell *c = cell_of(p);
	for (size_t i = 0; i < bytes / 2; i++)
		c[i].write.flags = 0;
}

static const char *last_byte(const mem_block *b)
{
	return b->at + (b->bytes ? b->bytes - 1 : 0);
}

/* Blocks share no page. */
void check_memory_new(const mem_block *b, bool by_operation)
{
	make_shadow();
	visit now = {};
	now.op = by_operation ? check_current_op() : check_host_op();
	now.flags = ACCESS_UNWRITTEN;
	now.bytes = 3;
	for (size_t i = page_of(b->at); i <= page_of(last_byte(b)); i++)
		pages[i] = {{now, {}}, false};
}

/* Freeing is a write to all of it. */
void check_memory_freed(const mem_block *b)
{
	touch(b->at, b->bytes, true, 0, nullptr, current_visit());
	cell *low = cells_of_page(page_of(b->at)), *high = cells_of_page(page_of(last_byte(b)) + 1);
	madvise(low, static_cast<size_t>(reinterpret_cast<char *>(high) - reinterpret_cast<char *>(low)),
		MADV_DONTNEED);
}

/* --- the functions that -fsanitize=thread calls ---------------------------------------------------------- */

#define PC __builtin_return_address(0)
#define HOOK extern "C" __attribute__((visibility("default"))) void

HOOK __tsan_init(void)
{
}
HOOK __tsan_func_entry(void *)
{
}
HOOK __tsan_func_exit(void)
{
}

#define SIZED(n)                                                                                                       \
	HOOK __tsan_read##n(void *p)                                                                                   \
	{                                                                                                              \
		seen(p, n, false, PC);                                                                                 \
	}                                                                                                              \
	HOOK __tsan_write##n(void *p)                                                                                  \
	{                                                                                                              \
		seen(p, n, true, PC);                                                                                  \
	}                                                                                                              \
	HOOK __tsan_unaligned_read##n(void *p)                                                                         \
	{                                                                                                              \
		seen(p, n, false, PC);                                                                                 \
	}                                                                                                              \
	HOOK __tsan_unaligned_write##n(void *p)                                                                        \
	{                                                                                                              \
		seen(p, n, true, PC);                                                                                  \
	}                                                                                                              \
	HOOK __tsan_read_write##n(void *p)                                                                             \
	{                                                                                                              \
		seen(p, n, false, PC);                                                                                 \
		seen(p, n, true, PC);                                                                                  \
	}                                                                                                              \
	HOOK __tsan_unaligned_read_write##n(void *p)                                                                   \
	{                                                                                                              \
		seen(p, n, false, PC);                                                                                 \
		seen(p, n, true, PC);                                                                                  \
	}                                                                                                              \
	HOOK __tsan_volatile_read##n(void *p)                                                                          \
	{                                                                                                              \
		seen(p, n, false, PC);                                                                                 \
	}                                                                                                              \
	HOOK __tsan_volatile_write##n(void *p)                                                                         \
	{                                                                                                              \
		seen(p, n, true, PC);                                                                                  \
	}
SIZED(1)
SIZED(2)
SIZED(4)
SIZED(8)
SIZED(16)

HOOK __tsan_read_range(void *p, size_t bytes)
{
	seen(p, bytes, false, PC);
}
HOOK __tsan_write_range(void *p, size_t bytes)
{
	seen(p, bytes, true, PC);
}
HOOK __tsan_vptr_update(void **, void *)
{
}
HOOK __tsan_vptr_read(void **)
{
}
/* Host code's own atomics (reference counts, guards of statics) are not the checker's matter. */
#define ATOMIC(bits, type)                                                                                             \
	extern "C" type __tsan_atomic##bits##_load(const volatile type *p, int)                                        \
	{                                                                                                              \
		return __atomic_load_n(p, __ATOMIC_SEQ_CST);                                                           \
	}                                                                                                              \
	HOOK __tsan_atomic##bits##_store(volatile type *p, type v, int)                                                \
	{                                                                                                              \
		__atomic_store_n(p, v, __ATOMIC_SEQ_CST);                                                              \
	}                                                                                                              \
	extern "C" type __tsan_atomic##bits##_exchange(volatile type *p, type v, int)                                  \
	{                                                                                                              \
		return __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST);                                                    \
	}                                                                                                              \
	extern "C" type __tsan_atomic##bits##_fetch_add(volatile type *p, type v, int)                                 \
	{                                                                                                              \
		return __atomic_fetch_add(p, v, __ATOMIC_SEQ_CST);                                                     \
	}                                                                                                              \
	extern "C" type __tsan_atomic##bits##_fetch_sub(volatile type *p, type v, int)                                 \
	{                                                                                                              \
		return __atomic_fetch_sub(p, v, __ATOMIC_SEQ_CST);                                                     \
	}                                                                                                              \
	extern "C" type __tsan_atomic##bits##_fetch_or(volatile type *p, type v, int)                                  \
	{                                                                                                              \
		return __atomic_fetch_or(p, v, __ATOMIC_SEQ_CST);                                                      \
	}                                                                                                              \
	extern "C" int __tsan_atomic##bits##_compare_exchange_strong(volatile type *p, type *old, type v, int, int)    \
	{                                                                                                              \
		return __atomic_compare_exchange_n(p, old, v, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);              \
	}                                                                                                              \
	extern "C" int __tsan_atomic##bits##_compare_exchange_weak(volatile type *p, type *old, type v, int, int)      \
	{                                                                                                              \
		return __atomic_compare_exchange_n(p, old, v, true, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);               \
	}
ATOMIC(8, uint8_t)
ATOMIC(16, uint16_t)
ATOMIC(32, uint32_t)
ATOMIC(64, uint64_t)
HOOK __tsan_atomic_thread_fence(int)
{
}
HOOK __tsan_atomic_signal_fence(int)
{
}

/* check_calls.h renames these in the program's code. */
extern "C" void *cudasim_memcpy(void *to, const void *from, size_t bytes)
{
	if (bytes) {
		seen(from, bytes, false, PC);
		seen(to, bytes, true, PC);
	}
	return memcpy(to, from, bytes);
}
extern "C" void *cudasim_memmove(void *to, const void *from, size_t bytes)
{
	if (bytes) {
		seen(from, bytes, false, PC);
		seen(to, bytes, true, PC);
	}
	return memmove(to, from, bytes);
}
extern "C" void *cudasim_memset(void *to, int value, size_t bytes)
{
	if (bytes)
		seen(to, bytes, true, PC);
	return memset(to, value, bytes);
}

#endif
