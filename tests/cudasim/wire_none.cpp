/* One process. */
#include "wire.h"

#include "sim.h"

int wire_rank(void)
{
	return 0;
}

int wire_size(void)
{
	return 1;
}

void wire_send(wire_request *, int, int, const void *, size_t)
{
	cudasim_die("NCCL with several ranks, but this program was linked without MPI");
}

void wire_receive(wire_request *, int, int, void *, size_t)
{
	cudasim_die("NCCL with several ranks, but this program was linked without MPI");
}

bool wire_done(wire_request *)
{
	return true;
}

bool wire_possible(void)
{
	return false;
}

void wire_start(void)
{
}

void wire_end(void)
{
}

void wire_barrier(void)
{
}

void wire_share(void *, size_t)
{
}
