/* SPDX-License-Identifier: ISC */
/* One change at a time. */
#include "adminsrv/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

int
lock_take(const char *path, struct error *err)
{
	for (;;) {
		struct stat held, named;
		int fd = open(
		    path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

		if (fd == -1)
			return error_sys(
			    err, "cannot open the lock '%s'", path);
		while (flock(fd, LOCK_EX) == -1) {
			if (errno == EINTR)
				continue;
			error_sys(err, "cannot lock '%s'", path);
			close(fd);
			return -1;
		}
		/* While we waited its folder may have been removed. */
		if (fstat(fd, &held) == 0 && stat(path, &named) == 0 &&
		    held.st_ino == named.st_ino && held.st_dev == named.st_dev)
			return fd;
		close(fd);
	}
}
