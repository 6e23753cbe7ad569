/* The checker's shadow memory and clocks: shared by check.cpp (accesses) and clocks.cpp (operations). */
#ifndef AX_CUDASIM_CHECK_H
#define AX_CUDASIM_CHECK_H

#include "sim.h"

/* Who orders whom: an operation, or the host between two calls of the API. Number 0 is nobody. */
struct op_record {
	uint32_t stream; /* 0: the host */
	uint64_t seq;
	std::vector<uint64_t> clock; /* by stream: everything up to there happens before */
	const char *name;
	cudasim_place at; /* see sim_op */
	const void *caller;
};
const op_record &check_op(uint32_t number);
bool check_op_before(uint32_t earlier, uint32_t later);
uint32_t check_current_op(void); /* what runs, or a record of the host as it is now */
uint32_t check_host_op(void);

enum access_flags { ACCESS_ATOMIC = 1, ACCESS_UNWRITTEN = 2, ACCESS_IN_FLIGHT = 4 };

/* One access. Threads 0..1023; 1024 + w: an operation of warp w as a whole. */
struct visit {
	uint32_t op;
	uint32_t block; /* serial number; 0: not a kernel */
	uint32_t phase; /* barriers passed by the block */
	uint32_t thread : 11, warp_phase : 16, flags : 3, bytes : 2; /* bytes: which of the two */
};

/* Of two bytes of memory. */
struct cell {
	visit write;
	visit read[2];
};

/* Within a kernel, between blocks: what a block learns by an atomic operation after a fence (fence.cpp). */
void check_release(const void *p);
bool check_acquired(uint32_t writer_block, uint32_t writer_phase, uint32_t writer_thread);
void check_forget_blocks(void);

#endif
