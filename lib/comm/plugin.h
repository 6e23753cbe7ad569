/*
 * The wall between the program and a communication plugin (libax-mpi.so): a shared object that exports one variable.
 * It carries its own copy of the few base functions it uses and shares nothing with the program but the structs of
 * comm.h; so version, headers and struct size must be equal, which ax_comm_open checks.
 */
#ifndef AX_COMM_PLUGIN_H
#define AX_COMM_PLUGIN_H

#include "comm/comm.h"

#define AX_COMM_PLUGIN_SYMBOL "ax_comm_plugin"

struct ax_comm_plugin {
	const char *version; /* AX_VERSION of its build */
	uint32_t wall;       /* AX_COMM_WALL of its build: a checksum of this header and those it stands on */
	size_t comm_bytes;   /* sizeof(struct ax_comm) of its build */
	/* Start the library and open the world. */
	int (*open)(struct ax_comm **c, struct ax_err *e);
};

/* Internal to lib/comm: what the environment says about the launch. */
struct ax_launch {
	int n_task;           /* announced by the launcher; 0: no launcher; -1: one, that does not say */
	const char *variable; /* the environment variable that said so */
	bool unwired;         /* SLURM tasks that were given no way to find each other (srun without --mpi) */
};

void ax_launch_detect(struct ax_launch *l);

#endif
