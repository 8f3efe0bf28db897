/* SPDX-License-Identifier: ISC */
/* The single steps of a repair, each told in one line. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "queue/fix_private.h"

static const char fixing[] = "lock/" QUEUE_FIXING;

void
fix_say(struct fix *fix, const char *verb, const char *what)
{
	fix->changes++;
	printf("%s: %s%s %s\n", fix->path,
	    fix->options->is_test ? "would " : "", verb, what);
}

void
fix_tell(struct fix *fix, const char *text, const char *what)
{
	printf("%s: %s %s\n", fix->path, text, what);
}

int
fix_failed(struct fix *fix, const char *verb, const char *what)
{
	return error_sys(fix->err, "cannot %s '%s/%s'", verb, fix->path, what);
}

static int
sync_lock(struct fix *fix)
{
	int fd = openat(fix->root, "lock", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int result = fd == -1 ? -1 : fsync(fd);

	if (fd != -1)
		close(fd);
	return result == -1 ? fix_failed(fix, "sync", "lock") : 0;
}

int
fix_begin(struct fix *fix)
{
	int fd;

	if (fix->is_begun || fix->options->is_test)
		return 0;
	fd = openat(fix->root, fixing,
	    O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd == -1)
		return fix_failed(fix, "make", fixing);
	close(fd);
	fix->is_begun = true;
	return sync_lock(fix);
}

int
fix_end(struct fix *fix)
{
	bool is_there = faccessat(
			    fix->root, fixing, F_OK, AT_SYMLINK_NOFOLLOW) == 0;

	if (!fix->is_begun && is_there)
		fix_say(fix, "end the repair that was interrupted:", fixing);
	if (fix->options->is_test || !is_there)
		return 0;
	if (unlinkat(fix->root, fixing, 0) == -1)
		return fix_failed(fix, "remove", fixing);
	return sync_lock(fix);
}

int
fix_rename(struct fix *fix, const char *from, const char *to)
{
	if (fix->options->is_test)
		return 0;
	if (fix_begin(fix) == -1)
		return -1;
	if (renameat(fix->root, from, fix->root, to) == -1)
		return fix_failed(fix, "rename", from);
	return 0;
}

int
fix_unlink(struct fix *fix, const char *name, int flags)
{
	if (fix->options->is_test)
		return 0;
	if (fix_begin(fix) == -1)
		return -1;
	if (unlinkat(fix->root, name, flags) == -1)
		return fix_failed(fix, "remove", name);
	return 0;
}

/* fchmod() refuses a descriptor that is only a place. */
static int
change_mode(int fd, mode_t mode)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return fchmodat(AT_FDCWD, path, mode, 0);
}

static int
change_owner(struct fix *fix, int fd, const char *name, mode_t mode)
{
	const struct fix_options *options = fix->options;
	struct stat st;

	if (fstat(fd, &st) == -1)
		return fix_failed(fix, "stat", name);
	/* Root must not be led to a file elsewhere. */
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode) &&
	    !S_ISFIFO(st.st_mode)) {
		fix_tell(fix, "left alone, as no file of a queue:", name);
		return 0;
	}
	if (options->uid != (uid_t)-1 &&
	    (st.st_uid != options->uid || st.st_gid != options->gid)) {
		fix_say(fix, "change the owner of", name);
		if (!options->is_test &&
		    fchownat(fd, "", options->uid, options->gid,
			AT_EMPTY_PATH) == -1)
			return fix_failed(fix, "change the owner of", name);
	}
	if ((st.st_mode & 07777) == mode)
		return 0;
	fix_say(fix, "change the mode of", name);
	if (!options->is_test && change_mode(fd, mode) == -1)
		return fix_failed(fix, "change the mode of", name);
	return 0;
}

int
fix_owner(struct fix *fix, const char *name, mode_t mode)
{
	/* What is looked at is what is changed, whoever renames meanwhile. */
	int fd = openat(fix->root, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	int result;

	if (fd == -1)
		return fix->options->is_test ? 0
					     : fix_failed(fix, "open", name);
	result = change_owner(fix, fd, name, mode);
	close(fd);
	return result;
}
