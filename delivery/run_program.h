/* SPDX-License-Identifier: ISC */
/* A program that a delivery runs, to its end: its output, and in time. */
#ifndef DELIVERY_RUN_PROGRAM_H
#define DELIVERY_RUN_PROGRAM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/program.h"

enum { RUN_OUTPUT_MAX = 700 };

struct run_program {
	const char *program; /* a path */
	char *const *argv;
	char *const *environment;
	int fd; /* its descriptor 0; 1 and 2 are collected */
	int timeout_ms;
	int grace_ms; /* between SIGTERM and SIGKILL when that is over */
	const atomic_bool *is_stopping; /* looked at each second; or NULL */

	/* the result */
	int status;                      /* as waitpid(2) tells it */
	bool was_stopped;                /* it took too long, or is_stopping */
	char output[RUN_OUTPUT_MAX + 1]; /* the front of it, made printable */
};

/*
 * Runs it until it ends; what it leaves running goes on by itself.  0, or -1
 * with the reason when it could not be started or waited for.  Any thread.
 */
int run_program(struct run_program *run, struct error *err);

#endif
