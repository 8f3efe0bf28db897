/* SPDX-License-Identifier: ISC */
/* A service that ends with its supervise. */
#include "base/parent.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"

enum { NAME_MAX_BYTES = 64 };

pid_t
parent_supervise(void)
{
	pid_t parent = getppid();
	char path[64];
	struct buf name;
	int found;

	snprintf(path, sizeof(path), "/proc/%ld/comm", (long)parent);
	buf_init(&name);
	found = file_read(path, NAME_MAX_BYTES, &name, NULL);
	if (found != 1 || strcmp(name.data, "supervise\n") != 0)
		parent = 0;
	buf_release(&name);
	return parent;
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
