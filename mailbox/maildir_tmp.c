/* SPDX-License-Identifier: ISC */
/* What killed deliveries leave in a Maildir's tmp. */
#include "mailbox/maildir_tmp.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * A file may be given an old date while it is still being written (IMAP's
 * APPEND): the time of its status cannot be set.
 */
static bool
is_old(const struct stat *st, time_t now)
{
	time_t oldest = now - MAILDIR_TMP_AGE_S;

	return st->st_atime < oldest && st->st_mtime < oldest &&
	    st->st_ctime < oldest;
}

void
maildir_tmp_clean(int tmp_fd, time_t now)
{
	int fd = openat(tmp_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd == -1 ? NULL : fdopendir(fd);
	struct dirent *entry;
	struct stat st;
	int names = 0;

	if (dir == NULL) {
		if (fd != -1)
			close(fd);
		return;
	}
	while (
	    names < MAILDIR_TMP_NAMES_MAX && (entry = readdir(dir)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 ||
		    strcmp(entry->d_name, "..") == 0)
			continue;
		names++;
		if (fstatat(tmp_fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) ==
			0 &&
		    S_ISREG(st.st_mode) && is_old(&st, now))
			unlinkat(tmp_fd, entry->d_name, 0);
	}
	closedir(dir);
}
