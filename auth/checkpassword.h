/* SPDX-License-Identifier: ISC */
/*
 * Passwords that another program checks, by the interface of checkpassword:
 *
 *	PROGRAM ARGUMENT ...
 *
 * reads NAME '\0' SECRET '\0' TIMESTAMP '\0' (512 bytes at most) from
 *descriptor 3, and when the password is right runs ARGUMENT ... as the user,
 *with variables such as USER and HOME.  Exit codes: 1 the password is not
 *right, 2 it was misused, 111 trouble that may pass; else that of ARGUMENT ...
 */
#ifndef AUTH_CHECKPASSWORD_H
#define AUTH_CHECKPASSWORD_H

#include <stddef.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/program.h"
#include "base/vars.h"

enum {
	CHECKPASSWORD_MAX = 512,         /* bytes on descriptor 3 */
	CHECKPASSWORD_OUTPUT_MAX = 4096, /* that are kept */
	CHECKPASSWORD_REFUSED = 1        /* its exit code */
};

/* What the client has said; timestamp "" but for APOP and the like. */
struct checkpassword_proof {
	const char *name, *secret, *timestamp;
};

/*
 * Starts the program: a path, or a name that is looked for beside our own
 * programs and in PATH.  vars lie over our environment; fds as of
 * program_start(), without 3.  Its process; 0 when the proof is too long for
 * any program; -1 with the reason.
 */
pid_t checkpassword_start(char *const argv[], const struct vars *vars,
    const struct checkpassword_proof *proof, const struct program_fd *fds,
    size_t fd_count, struct error *err);

/*
 * Runs it to its end, with nothing on descriptor 0; what it writes to 1 is
 * added to output, or dropped beyond CHECKPASSWORD_OUTPUT_MAX.  1 it exited 0;
 * 0 it refused; -1 could not tell, with the reason: it took longer than
 * timeout_ms and was ended, or anything else.
 */
int checkpassword_run(char *const argv[], const struct vars *vars,
    const struct checkpassword_proof *proof, int timeout_ms, struct buf *output,
    struct error *err);

/* What such a status of waitpid(2) means: 1, 0 or -1, as above. */
int checkpassword_judge(const char *program, int status, struct error *err);

#endif
