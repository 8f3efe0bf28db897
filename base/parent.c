/* SPDX-License-Identifier: ISC */
/* A service that ends with its supervise. */
#include "base/parent.h"

#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/program.h"

pid_t
parent_supervise(void)
{
	pid_t parent = getppid();

	return program_is(parent, "supervise") ? parent : 0;
}

void
parent_end_with(pid_t parent)
{
	if (parent == 0)
		return;
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	/* It may have died before we asked to be told. */
	if (getppid() != parent)
		kill(getpid(), SIGTERM);
}
