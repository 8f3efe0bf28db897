/* SPDX-License-Identifier: ISC */
/*
 * Runs the commands of adminsrv as who may do what they do.
 *
 * Users' homes, users/assign and services are root's to change, on a node that
 * root starts, and adminsrv is not root: it keeps a helper, admin-run, that was
 * started before it changed its user, and has no other way to it than one end
 * of a socket pair.  What the helper takes is the number of a command and
 * words for it; the program that it starts is the one of that number, from its
 * own folder, without a shell.
 *
 * Messages: for each command a socket (SEQPACKET) comes over the pair, and on
 * that RUNNER_INPUT with the program's descriptors 0 and 1, RUNNER_ERRORS with
 * descriptor 2 (else it is 1 too), RUNNER_RUN with the words; the answer is the
 * exit code.  Closing the socket ends the program.
 */
#ifndef ADMINSRV_SERVER_RUNNER_H
#define ADMINSRV_SERVER_RUNNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

enum runner_message {
	RUNNER_INPUT = 'I',
	RUNNER_ERRORS = 'E',
	RUNNER_RUN = 'R', /* behind it: uint8_t number, words, each with NUL */
	RUNNER_ENDED = 'S' /* behind it: int32_t exit code */
};

enum {
	RUNNER_FD = 3,         /* the helper's end */
	RUNNER_WORDS_MAX = 32 * 1024,
	RUNNER_KILLED = 128    /* an exit code: and the signal */
};

struct runner;

/* Starts the helper; before the user is changed.  NULL with the reason. */
struct runner *runner_new(struct error *err);
void runner_free(struct runner **runner);
/* Can be read when the helper has gone. */
int runner_fd(const struct runner *runner);

struct run {
	int control_fd; /* can be read when the program has ended */
	int io_fd;      /* a socket: what it reads and says */
	int errors_fd;  /* -1: that comes from io_fd, too */
};

/*
 * argv[0] is the program's name, which must be that of the number.  Any thread.
 * 0, and the caller ends *run_out with runner_end(); or -1.
 */
int runner_start(struct runner *runner, int number, char *const *argv,
    bool has_errors, struct run *run_out, struct error *err);
/* Its exit code once control_fd can be read; or -1: the helper has gone. */
int runner_exit_code(const struct run *run, struct error *err);
/* Ends the program if it still runs. */
void runner_end(struct run *run);

/* What runner_collect() is to do. */
struct run_request {
	int number;
	char *const *argv;
	const char *input; /* for its descriptor 0; NULL: nothing */
	size_t output_max;
	int timeout_ms;
};

/*
 * Runs it and waits: its exit code, with what it said on 1 and 2 behind what
 * the bufs hold; or -1, with the reason: it could not be started, said too
 * much, or took too long, and was ended.
 */
int runner_collect(struct runner *runner, const struct run_request *request,
    struct buf *output, struct buf *errors, struct error *err);

/* Is there a program of that number here?  Any thread. */
bool runner_has(const struct runner *runner, int number);
/* Its path; the caller frees. */
char *runner_path(const struct runner *runner, int number);

#endif
