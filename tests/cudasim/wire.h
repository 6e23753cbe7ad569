/*
 * Messages between processes, for the NCCL stand-in: wire_mpi.cpp over MPI, if the program has started it; wire_none.cpp
 * where there is one process. Messages of one tag between two processes arrive in order.
 */
#ifndef AX_CUDASIM_WIRE_H
#define AX_CUDASIM_WIRE_H

#include <cstddef>

struct wire_request {
	void *impl = nullptr; /* null: complete */
};

int wire_rank(void);
int wire_size(void);
void wire_send(wire_request *r, int to, int tag, const void *data, size_t bytes);
void wire_receive(wire_request *r, int from, int tag, void *data, size_t bytes); /* from -1: anybody, one piece */
bool wire_done(wire_request *r);

/* For test programs, which have no other way to MPI. */
bool wire_possible(void);
void wire_start(void);
void wire_end(void);
void wire_barrier(void);
void wire_share(void *p, size_t bytes); /* process 0's to all */

#endif
