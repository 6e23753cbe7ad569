/*
 * Device and pinned memory.
 *
 * Each kind has a region of address space of its own, taken from front to back and never used twice. A block ends where
 * a page ends, as nearly as its alignment of 256 bytes allows: the next page is not mapped, so most overruns fault at
 * once; the few bytes before it hold a pattern that is checked when the block is freed. The page before a block is not
 * mapped either. A freed block's pages are taken away.
 */
#include <sys/mman.h>

#include "sim.h"

#ifdef CUDASIM_ASAN
#include <sanitizer/asan_interface.h>
#endif

enum { PAGE = 4096, ALIGN = 256, GUARD_BYTE = 0xA5, POISON_BYTE = 0xFF };
#ifdef CUDASIM_CHECK
extern const size_t heap_region_bytes = size_t(1) << 36; /* its shadow takes 24 times as much */
#else
static const size_t heap_region_bytes = size_t(1) << 40;
#endif

struct region {
	char *base, *next;
	std::vector<mem_block *> blocks; /* ascending */
	size_t used;
};
static region *const regions = new region[2]();
static std::vector<mem_block *> &registered = *new std::vector<mem_block *>; /* of cudaHostRegister */
static unsigned n_blocks;

/* One reservation for both: device memory in its lower half. */
char *heap_regions_base;

static region *region_of(block_kind kind)
{
	if (!heap_regions_base) {
		void *p = mmap(nullptr, 2 * heap_region_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
			       -1, 0);
		if (p == MAP_FAILED)
			cudasim_die("no address space for device and pinned memory");
		heap_regions_base = static_cast<char *>(p);
		for (int k = 0; k < 2; k++)
			regions[k].base = regions[k].next =
				heap_regions_base + static_cast<size_t>(k) * heap_region_bytes;
	}
	return &regions[kind];
}

static bool in_region(const void *p, block_kind kind)
{
	const char *q = static_cast<const char *>(p), *base = regions[kind].base;
	return base && q >= base && q < base + heap_region_bytes;
}

bool heap_in_device_region(const void *p)
{
	return in_region(p, BLOCK_DEVICE);
}

bool heap_in_pinned_region(const void *p)
{
	return in_region(p, BLOCK_PINNED);
}

size_t heap_used(void)
{
	return regions[BLOCK_DEVICE].used;
}

static size_t round_up(size_t n, size_t to)
{
	return (n + to - 1) / to * to;
}

static size_t tail_bytes(const mem_block *b)
{
	return round_up(b->bytes, ALIGN) - b->bytes;
}

static void set_contents(mem_block *b)
{
	memset(b->at, POISON_BYTE, b->bytes);
	memset(b->at + b->bytes, GUARD_BYTE, tail_bytes(b));
#ifdef CUDASIM_ASAN
	char *page = b->at - (reinterpret_cast<uintptr_t>(b->at) % PAGE);
	__asan_poison_memory_region(page, static_cast<size_t>(b->at - page));
	__asan_poison_memory_region(b->at + b->bytes, tail_bytes(b));
#endif
}

mem_block *heap_alloc(block_kind kind, size_t bytes)
{
	region *r = region_of(kind);
	if (kind == BLOCK_DEVICE &&
	    (bytes > sim_settings().memory_bytes || r->used + bytes > sim_settings().memory_bytes))
		return nullptr;
	const size_t body = round_up(bytes ? bytes : 1, ALIGN), pages = round_up(body, PAGE);
	if (static_cast<size_t>(r->base + heap_region_bytes - r->next) < pages + 2 * PAGE)
		cudasim_die("the address space of device memory is used up");
	char *first = r->next + PAGE;
	if (mprotect(first, pages, PROT_READ | PROT_WRITE))
		return nullptr;
	r->next = first + pages;
	mem_block *b = new mem_block{first + pages - body, bytes, kind, false, false, ++n_blocks};
	r->blocks.push_back(b);
	r->used += bytes;
	set_contents(b);
	check_memory_new(b, false);
	return b;
}

static void check_guard(const mem_block *b)
{
#ifdef CUDASIM_ASAN
	__asan_unpoison_memory_region(b->at + b->bytes, tail_bytes(b));
#endif
	for (size_t i = 0; i < tail_bytes(b); i++)
		if (static_cast<unsigned char>(b->at[b->bytes + i]) != GUARD_BYTE)
			cudasim_die("allocation %u (%zu bytes) was written %zu bytes past its end", b->serial, b->bytes,
				    i);
}

void heap_free(mem_block *b)
{
	check_guard(b);
	check_memory_freed(b);
	const size_t body = round_up(b->bytes ? b->bytes : 1, ALIGN), pages = round_up(body, PAGE);
	char *first = b->at + body - pages;
	mprotect(first, pages, PROT_NONE);
	madvise(first, pages, MADV_DONTNEED);
	b->freed = true;
	regions[b->kind].used -= b->bytes;
}

void heap_check_guards(void)
{
	for (const region *r = regions; r < regions + 2; r++)
		for (const mem_block *b : r->blocks)
			if (!b->freed)
				check_guard(b);
}

/* --- finding --------------------------------------------------------------------------------------------- */

mem_block *heap_near(const void *p)
{
	const char *q = static_cast<const char *>(p);
	for (const region *r = regions; r < regions + 2; r++) {
		if (!r->base || q < r->base || q >= r->next + PAGE)
			continue;
		size_t low = 0, high = r->blocks.size();
		while (low < high) {
			size_t mid = (low + high) / 2;
			if (r->blocks[mid]->at <= q)
				low = mid + 1;
			else
				high = mid;
		}
		return low ? r->blocks[low - 1] : nullptr;
	}
	return nullptr;
}

mem_block *heap_find(const void *p)
{
	const char *q = static_cast<const char *>(p);
	mem_block *b = heap_near(p);
	if (b && q < b->at + (b->bytes ? b->bytes : 1))
		return b;
	for (mem_block *m : registered)
		if (q >= m->at && q < m->at + m->bytes)
			return m;
	return nullptr;
}

mem_block *heap_require(const void *p, size_t bytes, block_kind kind, const char *what)
{
	mem_block *b = heap_find(p);
	const char *name = kind == BLOCK_DEVICE ? "device" : "pinned";
	if (!b || b->kind != kind)
		cudasim_die("%s: %p is not %s memory", what, p, name);
	if (b->freed)
		cudasim_die("%s: %p lies in allocation %u (%zu bytes), which was freed", what, p, b->serial, b->bytes);
	const size_t off = static_cast<size_t>(static_cast<const char *>(p) - b->at);
	if (bytes > b->bytes - off)
		cudasim_die("%s: %zu bytes from offset %zu of allocation %u, which has %zu", what, bytes, off,
			    b->serial, b->bytes);
	return b;
}

/* --- cudaHostRegister ------------------------------------------------------------------------------------ */

bool heap_register(void *p, size_t bytes)
{
	if (heap_find(p))
		return false;
	registered.push_back(new mem_block{static_cast<char *>(p), bytes, BLOCK_PINNED, false, true, ++n_blocks});
	return true;
}

bool heap_unregister(void *p)
{
	for (size_t i = 0; i < registered.size(); i++)
		if (registered[i]->at == p) {
			delete registered[i];
			registered.erase(registered.begin() + static_cast<long>(i));
			return true;
		}
	return false;
}
