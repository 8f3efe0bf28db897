/* SPDX-License-Identifier: ISC */
/* What programs that were killed left of files that they wrote. */
#include "base/file_sweep.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "base/scan.h"

static bool
is_left(const char *name)
{
	const char *suffix = strstr(name, ".tmp.");
	uint64_t pid;

	return suffix != NULL && scan_u64(suffix + 5, INT_MAX, &pid) &&
	    pid > 0 && kill((pid_t)pid, 0) == -1 && errno == ESRCH;
}

int
file_sweep(const char *folder, struct error *err)
{
	DIR *dir = opendir(folder);
	const struct dirent *entry;
	int count = 0;

	if (dir == NULL)
		return error_sys(err, "cannot read folder '%s'", folder);
	while (count != -1 && (entry = readdir(dir)) != NULL) {
		if (!is_left(entry->d_name))
			continue;
		if (unlinkat(dirfd(dir), entry->d_name, 0) == 0)
			count++;
		else if (errno != ENOENT)
			count = error_sys(err, "cannot remove '%s/%s'", folder,
			    entry->d_name);
	}
	closedir(dir);
	return count;
}
