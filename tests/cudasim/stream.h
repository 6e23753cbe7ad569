/* Streams, events and graphs as stream.cpp, graph.cpp and api.cpp see them. */
#ifndef AX_CUDASIM_STREAM_H
#define AX_CUDASIM_STREAM_H

#include <deque>

#include "sim.h"

struct sim_capture_state;

struct CUstream_st {
	unsigned number; /* from 1, never used again: the checker's name for it */
	std::deque<sim_op> queue;
	std::vector<cudaEvent_t> timed;	     /* recorded with timing, and not reached */
	uint64_t n_enqueued = 0, n_done = 0; /* n_done: sequence number of the last operation that is complete */
	bool busy = false;		     /* its front operation runs */
	sim_capture_state *capture = nullptr; /* the capture it takes part in */
	unsigned lane = 0;		      /* its number in that capture */
};

struct CUevent_st {
	sim_event_point point = {nullptr, 0};
	double host_s = 0;		      /* when it was reached, for cudaEventElapsedTime */
	bool timing = true;
	sim_capture_state *capture = nullptr; /* recorded inside that capture: then `lane` and `at` say where */
	unsigned lane = 0;
	uint64_t at = 0;
};

const std::vector<cudaStream_t> &sim_streams(void);
cudaStream_t sim_new_stream(void);
void sim_drop_stream(cudaStream_t s);
cudaEvent_t sim_new_event(void);
void sim_drop_event(cudaEvent_t e);
void sim_time_event(cudaEvent_t e); /* its point is new */
void sim_require_event(cudaEvent_t e, const char *what);

void sim_run_to(cudaStream_t s, uint64_t seq);	 /* in the order of the queues */
void sim_wait_for(cudaStream_t s, uint64_t seq); /* the host waits: by the chosen stream order */
bool sim_is_done(cudaStream_t s, uint64_t seq);	 /* the host asks; each "no" takes the stream one step on */
void sim_push(cudaStream_t s, sim_op op);
/* The operation that s gets next will read that pinned memory (null: any). */
void sim_note_pending(cudaStream_t s, const void *from, size_t bytes);

/* Into the graph under capture on s. */
void sim_capture(cudaStream_t s, sim_op op);
bool sim_capture_record(cudaEvent_t e, cudaStream_t s);
/* s waits for e; *error says what the API returns. False: neither is being captured. */
bool sim_capture_wait(cudaStream_t s, cudaEvent_t e, cudaError_t *error);
bool sim_any_capture(void);

#endif
