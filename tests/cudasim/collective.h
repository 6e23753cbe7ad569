/* Communicators and their operations, as nccl.cpp and collective.cpp see them. */
#ifndef AX_CUDASIM_COLLECTIVE_H
#define AX_CUDASIM_COLLECTIVE_H

#include <atomic>

#include <nccl.h>

#include "sim.h"
#include "wire.h"

enum collective_kind { ALL_REDUCE, REDUCE_SCATTER, ALL_GATHER, BROADCAST, SEND, RECEIVE };

struct collective {
	collective_kind kind;
	ncclComm_t comm;
	const void *send;
	void *recv;
	size_t count;
	ncclDataType_t type;
	ncclRedOp_t op;
	int peer; /* root, or the other side */
};

struct ncclComm {
	int rank, n_rank;
	std::vector<int> process; /* of each rank */
	int context;		  /* tells its messages from those of other communicators */
	bool blocking;
	std::atomic<bool> aborted{false};
	std::atomic<int> error{ncclSuccess};
	std::atomic<int> polls_left{0}; /* > 0: in progress */
	uint64_t n_run = 0;
	/* Not blocking: what reaches the stream when the progress is over. */
	std::vector<collective> deferred;
	cudaStream_t deferred_to = nullptr;
	ncclComm_t *split_to = nullptr, split = nullptr; /* the communicator of a split, told when the progress is over */
};

size_t collective_type_bytes(ncclDataType_t type);
const char *collective_name(collective_kind kind);

/* Wait for messages. False: the communicator was aborted meanwhile. Ends the process after CUDASIM_TIMEOUT seconds. */
bool collective_wait(ncclComm_t comm, std::vector<wire_request> *r, const char *what);

/* A group: an array of `collective`. poll moves its messages on; true: all are there (or it was aborted), now run it. */
bool collective_poll(sim_op *op);
void collective_run(sim_op *op);

#endif
