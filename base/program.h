/* SPDX-License-Identifier: ISC */
/*
 * Outside programs: started without fork, so that threads may do it, and ended
 * in time.  Each leads a process group of its own, so that what it has started
 * can be ended with it.
 */
#ifndef BASE_PROGRAM_H
#define BASE_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"

/* A descriptor of ours, and its number in the program. */
struct program_fd {
	int fd;
	int number;
};

/*
 * Starts the program (a path; PATH is not searched) with an environment and
 * the descriptors of fds; it also gets ours of 0, 1 and 2 that fds do not name,
 * and none that is close-on-exec or above those.  Its signals are all default
 * and unblocked.
 * Everything is borrowed.
 *
 * Returns its process, to be ended by program_wait or program_stop; or -1, with
 * errno and the reason, when it cannot be started.
 */
pid_t program_start(const char *program, char *const argv[],
    char *const environment[], const struct program_fd *fds, size_t fd_count,
    struct error *err);

/*
 * Waits up to timeout_ms for the program to end.  1 and its status as
 * waitpid(2) tells it; 0 when it still runs; -1 with errno.  (Linux 5.3.)
 */
int program_wait(pid_t pid, int timeout_ms, int *status_out);

/*
 * Ends the program and what it has started: SIGTERM, then SIGKILL when it has
 * not ended after grace_ms.
 */
void program_stop(pid_t pid, int grace_ms);

/* Is the process a program of this name (15 bytes of it, comm in proc(5))? */
bool program_is(pid_t pid, const char *name);

#endif
