/* Over MPI, which the program starts and ends; the only file here that knows it. */
#define OMPI_SKIP_MPICXX 1
#define MPICH_SKIP_MPICXX 1
#include <mpi.h>

#include <vector>

#include "sim.h"
#include "wire.h"

/* Tags of our own in the world's communicator, far from those of the program. */
enum { FIRST_TAG = 1 << 20 };
static const size_t PIECE = size_t(1) << 30; /* counts of MPI are ints */

struct pieces {
	std::vector<MPI_Request> requests;
};

static bool started(void)
{
	int yes = 0, over = 0;
	MPI_Initialized(&yes);
	MPI_Finalized(&over);
	return yes && !over;
}

int wire_rank(void)
{
	int rank = 0;
	if (started())
		MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	return rank;
}

int wire_size(void)
{
	int n = 1;
	if (started())
		MPI_Comm_size(MPI_COMM_WORLD, &n);
	return n;
}

static pieces *begin(wire_request *r)
{
	if (!started())
		cudasim_die("NCCL with several ranks, but MPI has not been started (or is over)");
	pieces *p = new pieces;
	r->impl = p;
	return p;
}

void wire_send(wire_request *r, int to, int tag, const void *data, size_t bytes)
{
	pieces *p = begin(r);
	const char *from = static_cast<const char *>(data);
	for (size_t off = 0; off < bytes; off += PIECE) {
		const size_t n = bytes - off < PIECE ? bytes - off : PIECE;
		p->requests.emplace_back();
		MPI_Isend(from + off, static_cast<int>(n), MPI_BYTE, to, FIRST_TAG + tag, MPI_COMM_WORLD,
			  &p->requests.back());
	}
}

void wire_receive(wire_request *r, int from, int tag, void *data, size_t bytes)
{
	pieces *p = begin(r);
	char *to = static_cast<char *>(data);
	from = from < 0 ? MPI_ANY_SOURCE : from;
	for (size_t off = 0; off < bytes; off += PIECE) {
		const size_t n = bytes - off < PIECE ? bytes - off : PIECE;
		p->requests.emplace_back();
		MPI_Irecv(to + off, static_cast<int>(n), MPI_BYTE, from, FIRST_TAG + tag, MPI_COMM_WORLD,
			  &p->requests.back());
	}
}

bool wire_done(wire_request *r)
{
	pieces *p = static_cast<pieces *>(r->impl);
	if (!p)
		return true;
	int done = 0;
	MPI_Testall(static_cast<int>(p->requests.size()), p->requests.data(), &done, MPI_STATUSES_IGNORE);
	if (!done)
		return false;
	delete p;
	r->impl = nullptr;
	return true;
}

bool wire_possible(void)
{
	return true;
}

void wire_start(void)
{
	MPI_Init(nullptr, nullptr);
}

void wire_end(void)
{
	MPI_Finalize();
}

void wire_barrier(void)
{
	MPI_Barrier(MPI_COMM_WORLD);
}

void wire_share(void *p, size_t bytes)
{
	MPI_Bcast(p, static_cast<int>(bytes), MPI_BYTE, 0, MPI_COMM_WORLD);
}
