/* SPDX-License-Identifier: ISC */
/* What an outside program writes, with an end to it. */
#ifndef REMOTE_OUTPUT_H
#define REMOTE_OUTPUT_H

#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"

/* All borrowed. */
struct output_run {
	char *const *argv; /* the program's path first */
	char *const *environment;
	int input_fd;      /* its descriptor 0; -1: nothing comes from there */
	size_t output_max; /* bytes */
	int timeout_ms;    /* in all; then it is ended with all it started */
};

/*
 * Blocking: runs it in a process group of its own, with descriptors 0, 1 and
 * our 2 alone.  Puts what it wrote to 1 behind what output_out holds.  0, when
 * it exited with 0; -1 with the reason when it could not be started, wrote too
 * much, took too long, crashed, or exited otherwise.
 */
int output_of(
    const struct output_run *run, struct buf *output_out, struct error *err);

/* For the end of our process: ends those that run, in whatever threads. */
void output_end_all(void);

#endif
