/* Internal to lib/comm: how the watchdogs find each other over TCP. */
#ifndef AX_COMM_MEET_H
#define AX_COMM_MEET_H

#include <stdbool.h>
#include <stdint.h>

#include "comm/comm.h"

#define MEET_ADDR_MAX 16
#define MEET_KEY_BYTES 16

/* Where rank 0 listens, and the key that a caller must show. Travels through the communicator. */
struct meeting {
	bool open; /* false: rank 0 could not listen */
	uint16_t port;
	uint8_t n_addr;
	struct {
		uint8_t v6;
		uint8_t addr[16];
	} addr[MEET_ADDR_MAX];
	uint8_t key[MEET_KEY_BYTES];
};

/* Listen, on the loopback interface if all ranks are on this host; returns the socket, or -1 with a reason in e. */
int ax_meet_listen(struct meeting *m, bool one_host, int backlog, struct ax_err *e);
/* Try all addresses, 5 s each; returns the socket, or -1 with a reason in e. */
int ax_meet_connect(const struct meeting *m, struct ax_err *e);
/* Not inherited, not blocking, and broken when the other host has not acknowledged for 25 s. */
void ax_meet_tune(int fd);

#endif
