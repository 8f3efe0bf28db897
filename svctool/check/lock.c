/* SPDX-License-Identifier: ISC */
/* Locks of what commands may be changing meanwhile. */
#include <fcntl.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "svctool/check/check.h"

enum { TRIES = 1000, PAUSE_MS = 5 };

bool
check_lock(const char *path, int *lock_out)
{
	const struct timespec pause = { .tv_nsec = PAUSE_MS * 1000000L };

	*lock_out = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	for (int i = 0; *lock_out != -1; i++) {
		if (flock(*lock_out, LOCK_SH | LOCK_NB) == 0)
			break;
		if (i == TRIES)
			return false;
		nanosleep(&pause, NULL);
	}
	return true;
}

void
check_unlock(int lock)
{
	if (lock != -1)
		close(lock);
}
