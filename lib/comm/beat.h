/* Internal to lib/comm: the message of the watchdogs and one TCP connection that carries it. */
#ifndef AX_COMM_BEAT_H
#define AX_COMM_BEAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comm/meet.h"

#define MAGIC 0x61786264u /* "axbd" */

enum msg_kind { HELLO, BEAT, BYE, FAILED, VERDICT };

/* The only message; all ranks run one binary on one architecture. */
struct msg {
	uint32_t magic, kind;
	int32_t rank, pid;
	uint64_t step, number; /* number: collectives that the rank has started */
	double idle_s;         /* time without progress, on the sender's clock */
	double limit_s;        /* how long that may last outside communication; 0: hang_s */
	uint32_t waiting, unused;
	char what[48], host[64], text[256];
	uint8_t key[MEET_KEY_BYTES];
};

struct conn {
	int fd;   /* -1: none */
	int rank; /* -1: has not introduced itself */
	bool bye;
	double heard, opened, failed_at; /* failed_at > 0: said that it fails */
	struct msg last, in, out;
	size_t in_n, out_n; /* bytes of `in` that are there; of `out` that must still go */
};

/* To "no connection", closing what was there. */
void ax_conn_close(struct conn *k);
/* A message that finds the last one still waiting is dropped: the other side is stopped, or will hear the next. */
void ax_conn_send(struct conn *k, const struct msg *m);
/* Reads what is there. 1: a whole message is in k->in; 0: not yet; -1: the connection is over. */
int ax_conn_read(struct conn *k);

#endif
