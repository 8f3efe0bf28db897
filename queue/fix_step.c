/* SPDX-License-Identifier: ISC */
/* The single steps of a repair, each told in one line. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/log_text.h"
#include "base/mem.h"
#include "queue/fix_private.h"

static const char fixing[] = "lock/" QUEUE_FIXING;

/* In that file: messages keep their numbers.  Else they get their inodes'. */
static const char keeps_numbers[] = "numbers\n";

/* A name can be of anybody's making who may write there. */
static void
print_line(const struct fix *fix, const char *modal, const char *verb,
    const char *what)
{
	AUTO(buf_release) struct buf line = BUF_INIT;

	buf_addf(&line, "%s: %s%s %s", fix->path, modal, verb, what);
	line.length = log_clean(line.data, line.length);
	printf("%.*s\n", (int)line.length, line.data);
}

static void
say_change(struct fix *fix, const char *verb, const struct fix_fault *fault)
{
	const struct fix_options *options = fix->options;

	fix->changes++;
	if (options->see == NULL)
		print_line(
		    fix, options->is_test ? "would " : "", verb, fault->path);
	else
		options->see(fault, options->context);
}

void
fix_say(struct fix *fix, const char *verb, const char *what, const char *text)
{
	say_change(fix, verb, &(struct fix_fault){ what, text, FIX_CHANGE });
}

void
fix_say_orphan(struct fix *fix, const char *what, const char *text)
{
	say_change(fix, "remove, since it has no message:",
	    &(struct fix_fault){ what, text, FIX_ORPHAN });
}

void
fix_leave(struct fix *fix, const char *no_what, const char *what)
{
	char text[64];

	snprintf(text, sizeof(text),
	    fix->options->see == NULL ? "left alone, as %s:" : "it is %s",
	    no_what);
	if (fix->options->see == NULL)
		print_line(fix, "", text, what);
	else
		fix->options->see(&(struct fix_fault){ what, text, FIX_LEAVE },
		    fix->options->context);
}

void
fix_tell(struct fix *fix, const char *text, const char *what)
{
	if (fix->options->see == NULL)
		print_line(fix, "", text, what);
}

bool
fix_has_enough(const struct fix *fix, const char *folder, unsigned files)
{
	const struct fix_options *options = fix->options;
	unsigned parts = strchr(folder, '/') != NULL ? options->split : 1;

	return options->see != NULL && files >= options->files_max / parts;
}

int
fix_failed(struct fix *fix, const char *verb, const char *what)
{
	return error_sys(fix->err, "cannot %s '%s/%s'", verb, fix->path, what);
}

int
fix_open_folder(struct fix *fix, const char *name)
{
	int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW;
	int fd = openat(fix->root, ".", flags);

	while (fd != -1 && *name != '\0') {
		size_t length = strcspn(name, "/");
		char part[FIX_PATH_SIZE];
		int next;

		snprintf(part, sizeof(part), "%.*s", (int)length, name);
		next = openat(fd, part, flags);
		file_close(&fd);
		fd = next;
		name += length + (name[length] == '/');
	}
	return fd;
}

int
fix_list(struct fix *fix, const char *name, queue_visit *visit, void *context)
{
	return queue_list(fix_open_folder(fix, name), fix->path, name, visit,
	    context, fix->err);
}

static bool
is_switching(const struct fix *fix)
{
	return fix->caller_uid == 0 && fix->options->uid != (uid_t)-1 &&
	    !fix->options->is_test;
}

/* The caller's groups, to have them again. */
static int
remember_groups(struct fix *fix)
{
	if (fix->groups != NULL)
		return 0;
	fix->group_count = getgroups(0, NULL);
	if (fix->group_count == -1)
		return -1;
	fix->groups = xcalloc(
	    (size_t)fix->group_count + 1, sizeof(*fix->groups));
	return getgroups(fix->group_count, fix->groups);
}

int
fix_as_owner(struct fix *fix)
{
	if (is_switching(fix) &&
	    (remember_groups(fix) == -1 ||
		setgroups(1, &fix->options->gid) == -1 ||
		setegid(fix->options->gid) == -1 ||
		seteuid(fix->options->uid) == -1))
		return fix_failed(fix, "become the owner of", ".");
	return 0;
}

int
fix_as_caller(struct fix *fix)
{
	if (is_switching(fix) &&
	    (seteuid(fix->caller_uid) == -1 || setegid(fix->caller_gid) == -1 ||
		setgroups((size_t)fix->group_count, fix->groups) == -1))
		return fix_failed(fix, "become the caller again in", ".");
	return 0;
}

static int
sync_lock(struct fix *fix)
{
	AUTO(file_close) int fd = fix_open_folder(fix, "lock");

	return fd == -1 || fsync(fd) == -1 ? fix_failed(fix, "sync", "lock")
					   : 0;
}

int
fix_resume(struct fix *fix)
{
	char text[sizeof(keeps_numbers)] = "";
	AUTO(file_close)
	int fd = openat(fix->root, fixing, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	fix->is_by_inode = fix->options->is_by_inode;
	if (fd == -1)
		return errno == ENOENT ? 0 : fix_failed(fix, "read", fixing);
	/* Empty, of an older release, or one that was just begun. */
	if (read(fd, text, sizeof(text) - 1) != sizeof(text) - 1 ||
	    strcmp(text, keeps_numbers) != 0)
		fix->is_by_inode = true;
	return 0;
}

int
fix_begin(struct fix *fix)
{
	size_t length = fix->is_by_inode ? 0 : sizeof(keeps_numbers) - 1;
	AUTO(file_close) int fd = -1;

	if (fix->is_begun || fix->options->is_test)
		return 0;
	fd = openat(fix->root, fixing,
	    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd == -1)
		return fix_failed(fix, "make", fixing);
	if (write(fd, keeps_numbers, length) != (ssize_t)length ||
	    fsync(fd) == -1)
		return fix_failed(fix, "write", fixing);
	fix->is_begun = true;
	return sync_lock(fix);
}

int
fix_end(struct fix *fix)
{
	bool is_there = faccessat(
			    fix->root, fixing, F_OK, AT_SYMLINK_NOFOLLOW) == 0;

	if (!fix->is_begun && is_there)
		fix_say(fix, "end the repair that was interrupted:", fixing,
		    "a repair was interrupted");
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
	if (renameat2(fix->root, from, fix->root, to, RENAME_NOREPLACE) == -1)
		return error_sys(fix->err,
		    "cannot rename '%s/%s' to '%s'; move it away, and call "
		    "queue-fix again",
		    fix->path, from, to);
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

/* As root in another one's queue, folders alone: a file may be somebody's by
 * another name. */
static bool
may_have_mode(const struct fix *fix, const struct stat *st)
{
	bool is_root = is_switching(fix) && fix->options->uid != 0 &&
	    geteuid() == 0;

	return S_ISDIR(st->st_mode) ||
	    (!is_root && (S_ISREG(st->st_mode) || S_ISFIFO(st->st_mode)));
}

int
fix_mode(struct fix *fix, enum layout_id id, const char *name)
{
	struct layout_faults faults;
	/* What is looked at is what is changed, whoever renames meanwhile. */
	AUTO(file_close)
	int fd = openat(fix->root, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd == -1)
		return fix->options->is_test && errno == ENOENT
		    ? 0
		    : fix_failed(fix, "open", name);
	if (fstat(fd, &st) == -1)
		return fix_failed(fix, "stat", name);
	if (!may_have_mode(fix, &st))
		fix_leave(fix, "no file of a queue", name);
	else if (!layout_judge(id, &st, st.st_uid, &faults)) {
		fix_say(fix, "change the mode of", name,
		    *faults.mode != '\0' ? faults.mode : faults.kind);
		if (!fix->options->is_test &&
		    change_mode(fd, layout_rows[id].mode) == -1)
			return fix_failed(fix, "change the mode of", name);
	}
	return 0;
}
