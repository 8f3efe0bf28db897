/* SPDX-License-Identifier: ISC */
/* What the parts of svctool check go through, and locks of who changes it. */
#include <fcntl.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/test_time.h"
#include "svctool/check/check.h"
#include "svctool/wait.h"

void
check_names(struct check *check, check_list *list, struct strlist *names_out)
{
	struct error err;

	*names_out = (struct strlist){ .count = 0 };
	if (list(check->node, names_out, &err) == -1)
		check_reason(check, CHECK_ERROR, err.text,
		    "run this as its owner or root");
}

void
check_each(struct check *check, check_list *list,
    void (*look)(struct check *check, const char *name))
{
	AUTO(strlist_release) struct strlist names = { .count = 0 };

	check_names(check, list, &names);
	for (size_t i = 0; i < names.count; i++)
		look(check, names.items[i]);
}

enum { LOCK_WAIT_MS = 5000 };

bool
check_lock(const char *path, int *lock_out)
{
	int64_t deadline = clock_ms() +
	    test_time_ms("LOCK_WAIT_MS", LOCK_WAIT_MS);

	*lock_out = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	while (*lock_out != -1 && flock(*lock_out, LOCK_SH | LOCK_NB) == -1)
		if (!wait_more(deadline))
			return false;
	return true;
}

void
check_unlock(int lock)
{
	if (lock != -1)
		close(lock);
}
