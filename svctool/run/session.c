/* SPDX-License-Identifier: ISC */
/* What svctool start has started. */
#include "svctool/run/session.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"

enum { RECORD_MAX = 512 };

struct record {
	pid_t pid; /* 0: there is none */
	uint64_t started;
	uid_t owner; /* whose word this is */
};

static char *
record_path(const struct node *node)
{
	return node_path(node, "%s/svscan", node->home->run);
}

/* The end of every record that is of now, and of this folder. */
static int
add_place(const struct node *node, struct buf *text, struct error *err)
{
	static const char path[] = "/proc/sys/kernel/random/boot_id";
	struct stat st;

	buf_adds(text, "boot ");
	if (file_read(path, RECORD_MAX, text, err) != 1)
		return error_set(err, "cannot read '%s'", path);
	if (stat(node->home->root, &st) == -1)
		return error_sys(err, "cannot look at '%s'", node->home->root);
	buf_addf(text, "folder %ju %ju\n", (uintmax_t)st.st_dev,
	    (uintmax_t)st.st_ino);
	return 0;
}

int
session_begin(const struct node *node, struct error *err)
{
	OWN_TEXT path = record_path(node);
	AUTO(buf_release) struct buf text = BUF_INIT;
	struct proc self;
	int result = -1;

	if (setsid() == -1)
		error_sys(err, "cannot begin a session");
	else if (!proc_read(getpid(), &self))
		error_set(err, "cannot read '/proc/self/stat'");
	else {
		buf_addf(&text, "pid %d\nstarted %" PRIu64 "\n", self.pid,
		    self.started);
		result = add_place(node, &text, err);
	}
	/* It keeps the owner of a file that is there, and this is our word. */
	unlink(path);
	if (result == 0)
		result = file_replace(path, text.data, text.length, 0644, err);
	return result;
}

/* The file, opened by no link: root may read it in a user's folder. */
static int
read_record_file(
    const char *path, struct buf *text, uid_t *owner_out, struct error *err)
{
	AUTO(file_close)
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	ssize_t n;

	if (fd == -1)
		return errno == ENOENT || errno == ENOTDIR
		    ? 0
		    : error_sys(err, "cannot open '%s'", path);
	buf_reserve(text, RECORD_MAX);
	n = fstat(fd, &st) == -1 ? -1 : read(fd, text->data, RECORD_MAX - 1);
	if (n == -1)
		return error_sys(err, "cannot read '%s'", path);
	text->data[n] = '\0';
	*owner_out = st.st_uid;
	return 1;
}

/*
 * 1; 0 there is none, or it is of another folder or boot, and the record is
 * zero; -1.
 */
static int
read_session(
    const struct node *node, struct record *record_out, struct error *err)
{
	OWN_TEXT path = record_path(node);
	AUTO(buf_release) struct buf text = BUF_INIT, place = BUF_INIT;
	struct record record;
	int result = read_record_file(path, &text, &record.owner, err);
	int length;

	*record_out = (struct record){ .pid = 0 };
	if (result == 1 &&
	    sscanf(text.data, "pid %d started %" SCNu64 " %n", &record.pid,
		&record.started, &length) != 2)
		result = error_set(err,
		    "'%s' is damaged, which says what 'svctool start' has "
		    "started: remove it, then svscan is found by the folder "
		    "that it works in",
		    path);
	if (result == 1 && add_place(node, &place, err) == -1)
		result = -1;
	if (result == 1 && strcmp(text.data + length, place.data) != 0)
		result = 0;
	if (result == 1)
		*record_out = record;
	buf_release(&place);
	return result;
}

static bool
is_recorded(const struct record *record, const struct proc *proc)
{
	return proc->pid == record->pid && proc->started == record->started;
}

/*
 * An svscan of the node by the folder that it works in: as the kernel says,
 * which marks a removed one.
 */
static bool
is_svscan_in(const struct proc *proc, const char *service, bool or_removed)
{
	char cwd[PATH_MAX], real[PATH_MAX];
	size_t length;

	if (realpath(service, real) == NULL)
		snprintf(real, sizeof(real), "%s", service);
	length = strlen(real);
	return strcmp(proc->name, "svscan") == 0 &&
	    proc_cwd(proc->pid, cwd, sizeof(cwd)) &&
	    strncmp(cwd, real, length) == 0 &&
	    (cwd[length] == '\0' ||
		(or_removed && strcmp(cwd + length, " (deleted)") == 0));
}

/* Root believes a user only as to that user's processes. */
static bool
may_name(uid_t owner, const struct proc *proc)
{
	return geteuid() != 0 || owner == 0 || owner == proc->uid;
}

/* leader: of its session; NULL: that has ended. */
static bool
is_member(const struct node *node, const struct record *record,
    const struct proc *leader, const struct proc *proc)
{
	uid_t owner = record->owner;

	if (leader == NULL) {
		if (proc->session != record->pid ||
		    !proc_works_in(proc->pid, node->home->root))
			return false;
	} else if (is_svscan_in(leader, node->home->service, true))
		owner = leader->uid;
	else if (!is_recorded(record, leader))
		return false;
	return may_name(owner, proc);
}

int
session_list(
    const struct node *node, struct proc_list *list_out, struct error *err)
{
	struct record record;
	AUTO(proc_list_release) struct proc_list all = { .count = 0 };
	int result;

	*list_out = (struct proc_list){ .count = 0 };
	if (read_session(node, &record, err) == -1)
		return -1;
	result = proc_list_all(&all, err);
	for (size_t i = 0; i < all.count; i++) {
		const struct proc *proc = &all.items[i];

		if (proc->session != 0 &&
		    is_member(node, &record,
			proc_list_find(&all, proc->session), proc))
			proc_list_add(list_out, proc);
	}
	return result;
}

static bool
is_beside(const struct proc_list *list, const struct proc *proc)
{
	for (size_t i = 0; i < list->count; i++)
		if (list->items[i].session == proc->session &&
		    may_name(list->items[i].uid, proc))
			return true;
	return false;
}

int
session_list_again(struct proc_list *list, struct error *err)
{
	struct proc_list all, now = { .count = 0 };
	int result = proc_list_all(&all, err);

	for (size_t i = 0; i < all.count; i++)
		if (is_beside(list, &all.items[i]))
			proc_list_add(&now, &all.items[i]);
	proc_list_release(&all);
	proc_list_release(list);
	*list = now;
	return result;
}

pid_t
session_svscan(const struct node *node)
{
	struct record record;
	AUTO(proc_list_release) struct proc_list all = { .count = 0 };
	pid_t found = 0;

	if (read_session(node, &record, NULL) != -1)
		proc_list_all(&all, NULL);
	for (size_t i = 0; i < all.count && found == 0; i++)
		if (is_recorded(&record, &all.items[i]) ||
		    is_svscan_in(&all.items[i], node->home->service, false))
			found = all.items[i].pid;
	return found;
}

void
session_forget(const struct node *node)
{
	OWN_TEXT path = record_path(node);

	unlink(path);
}
