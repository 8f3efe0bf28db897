/* SPDX-License-Identifier: ISC */
/* What the parts of svctool check go through, and locks of who changes it. */
#include <fcntl.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "svctool/check/check.h"

void
check_names(struct check *check,
    int (*list)(const struct node *, struct strlist *, struct error *),
    struct strlist *names_out)
{
	struct error err;

	*names_out = (struct strlist){ .count = 0 };
	if (list(check->node, names_out, &err) == -1)
		check_reason(check, CHECK_ERROR, err.text,
		    "run this as its owner or root");
}

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
