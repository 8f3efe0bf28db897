/* SPDX-License-Identifier: ISC */
/* Delivers to a Maildir or an mbox that a line of a .qmail file names. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "delivery/local_private.h"
#include "delivery/trace.h"
#include "mailbox/maildir.h"
#include "mailbox/maildir_file.h"
#include "mailbox/maildir_name.h"

enum { CHUNK_BYTES = 64 * 1024, LOCK_WAIT_MS = 30 * 1000, LOCK_LOOK_MS = 100 };

/* A path made absolute, without "./" in front, "//" and a '/' at its end. */
static char *
make_absolute(const struct local_delivery *delivery, const char *path)
{
	OWN_TEXT whole = *path == '/'
	    ? xstrdup(path)
	    : xasprintf("%s/%s", delivery->home, path);
	char *out = xmalloc(strlen(whole) + 2), *end = out;
	char *rest = whole, *part;

	while ((part = strsep(&rest, "/")) != NULL) {
		size_t length = strlen(part);

		if (length == 0 || strcmp(part, ".") == 0)
			continue;
		*end++ = '/';
		memcpy(end, part, length);
		end += length;
	}
	if (end == out)
		*end++ = '/';
	*end = '\0';
	return out;
}

/*
 * Opens the folder that holds what path names; *name_out points into path.
 * Below root no symbolic link is followed.
 */
static int
open_parent(const struct local_delivery *delivery, char *path,
    const char **name_out, struct error *err)
{
	char *slash = strrchr(path, '/');
	size_t root = delivery->root != NULL ? strlen(delivery->root) : 0;
	int fd, root_fd;

	*name_out = slash + 1;
	if (root == 0) {
		*slash = '\0';
		fd = open(*path != '\0' ? path : "/",
		    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd == -1)
			return error_sys(err, "cannot open folder '%s'", path);
		return fd;
	}
	while (root > 1 && delivery->root[root - 1] == '/')
		root--;
	if (strncmp(path, delivery->root, root) != 0 || path[root] != '/')
		return error_set(
		    err, "'%s' is not below '%s'", path, delivery->root);
	root_fd = open(delivery->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root_fd == -1)
		return error_sys(
		    err, "cannot open folder '%s'", delivery->root);
	if (slash == path + root)
		return root_fd;
	*slash = '\0';
	fd = maildir_open_beneath(root_fd, path + root + 1);
	if (fd == -1)
		error_sys(err, "cannot open folder '%s'", path);
	close(root_fd);
	return fd;
}

static ssize_t
read_chunk(const struct local_delivery *delivery, char *chunk, uint64_t offset,
    struct error *err)
{
	uint64_t left = delivery->size_bytes - offset;
	size_t want = left < CHUNK_BYTES ? (size_t)left : CHUNK_BYTES;
	ssize_t n;

	do
		n = pread(delivery->fd, chunk, want, (off_t)offset);
	while (n == -1 && errno == EINTR);
	if (n == 0)
		return error_set(err, "the message is shorter than it was");
	if (n == -1)
		return error_sys(err, "cannot read the message");
	return n;
}

static void
put_front(const struct local_delivery *delivery, struct buf *front)
{
	trace_put_return_path(front, delivery->sender);
	trace_put_delivered_to(front, delivery->recipient);
}

/* -- Maildir */

static int
write_maildir_file(const struct local_delivery *delivery,
    struct maildir_file *file, struct error *err)
{
	AUTO(buf_release) struct buf front = BUF_INIT;
	AUTO(mem_free) char *chunk = xmalloc(CHUNK_BYTES);
	struct iovec part;

	put_front(delivery, &front);
	part = (struct iovec){ front.data, front.length };
	if (maildir_file_add(file, &part, 1, err) == -1)
		return -1;
	for (uint64_t offset = 0; offset < delivery->size_bytes;) {
		ssize_t n = read_chunk(delivery, chunk, offset, err);

		if (n == -1)
			return -1;
		part = (struct iovec){ chunk, (size_t)n };
		if (maildir_file_add(file, &part, 1, err) == -1)
			return -1;
		offset += (uint64_t)n;
	}
	return maildir_file_sync(file, err);
}

static int
deliver_to_maildir(const struct local_delivery *delivery,
    struct maildir *maildir, struct error *err)
{
	char name[MAILDIR_NAME_SIZE], host[MAILDIR_HOST_SIZE];
	struct maildir_file file;

	maildir_escape(delivery->file_host, host, sizeof(host));
	if (uuid_is_none(&delivery->uuid))
		maildir_make_name(name, host);
	else
		maildir_uuid_name(
		    name, &delivery->uuid, delivery->recipient, host);
	if (maildir_file_create(&file, maildir, name, err) == -1)
		return -1;
	if (write_maildir_file(delivery, &file, err) == -1 ||
	    maildir_file_publish(&file, err) == -1) {
		maildir_file_discard(&file);
		return -1;
	}
	if (fsync(maildir->new_fd) == -1)
		return error_sys(err, "cannot sync folder 'new'");
	return 0;
}

static bool
is_own(const struct local_delivery *delivery, const char *path)
{
	OWN_TEXT own = NULL;

	if (delivery->own_dir == NULL)
		return false;
	own = xasprintf("%s/Maildir", delivery->own_dir);
	return strcmp(own, path) == 0;
}

void
local_to_maildir(const struct local_delivery *delivery, const char *path,
    struct local_result *result)
{
	OWN_TEXT absolute = make_absolute(delivery, path);
	struct maildir maildir = MAILDIR_INIT;
	const char *name;
	struct error err;
	int parent_fd, done = -1;

	if (is_own(delivery, absolute)) {
		delivery->deliver_own(delivery->context, result);
		result->files += result->outcome == JOB_DELIVERED;
		return;
	}
	parent_fd = open_parent(delivery, absolute, &name, &err);
	if (parent_fd != -1 &&
	    maildir_open(parent_fd, name, &maildir, &err) == 0)
		done = deliver_to_maildir(delivery, &maildir, &err);
	maildir_release(&maildir);
	file_close(&parent_fd);
	if (done == 0)
		result->files++;
	else
		local_result_set(result, JOB_TEMPFAIL,
		    "Unable to deliver to maildir %.200s: %.400s. (#4.3.0)",
		    path, err.text);
}

/* -- mbox */

static int
lock_file(int fd, struct error *err)
{
	int64_t deadline_ms = clock_ms() + LOCK_WAIT_MS;

	while (flock(fd, LOCK_EX | LOCK_NB) == -1) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return error_sys(err, "cannot lock it");
		if (clock_ms() >= deadline_ms)
			return error_set(err, "another process has its lock");
		clock_sleep_ms(LOCK_LOOK_MS);
	}
	return 0;
}

/* "From " at the front of a line, behind any '>': one more '>' (mboxrd). */
static bool
is_from_line(const char *line, size_t length)
{
	while (length > 0 && *line == '>') {
		line++;
		length--;
	}
	return length >= 5 && memcmp(line, "From ", 5) == 0;
}

static void
quote_lines(struct buf *out, const char *data, size_t length)
{
	const char *end = data + length;

	while (data < end) {
		const char *newline = memchr(data, '\n', (size_t)(end - data));
		size_t n = (size_t)((newline == NULL ? end : newline + 1) -
		    data);

		if (is_from_line(data, n))
			buf_addc(out, '>');
		buf_add(out, data, n);
		data += n;
	}
}

/* An mbox is read as a whole anyway: so is what is put into it. */
enum { MBOX_MESSAGE_MAX = 256 * 1024 * 1024 };

static int
make_entry(
    const struct local_delivery *delivery, struct buf *entry, struct error *err)
{
	AUTO(vars_release) struct vars vars = VARS_INIT;
	AUTO(buf_release) struct buf message = BUF_INIT;

	if (delivery->size_bytes > MBOX_MESSAGE_MAX)
		return error_set(err,
		    "the message is too large for an mbox (%d bytes)",
		    MBOX_MESSAGE_MAX);
	local_set_variables(delivery, &vars);
	buf_adds(entry, vars_get(&vars, "UFLINE"));
	put_front(delivery, entry);
	while (message.length < delivery->size_bytes) {
		ssize_t n;

		buf_reserve(&message, CHUNK_BYTES);
		n = read_chunk(delivery, message.data + message.length,
		    message.length, err);
		if (n == -1)
			return -1;
		message.length += (size_t)n;
	}
	quote_lines(entry, message.data, message.length);
	if (entry->data[entry->length - 1] != '\n')
		buf_addc(entry, '\n');
	buf_addc(entry, '\n');
	return 0;
}

static int
append_entry(int fd, const struct buf *entry, struct error *err)
{
	struct stat st;

	if (lock_file(fd, err) == -1)
		return -1;
	if (fstat(fd, &st) == -1)
		return error_sys(err, "cannot stat it");
	if (file_write_all(fd, entry->data, entry->length) == 0 &&
	    fsync(fd) == 0)
		return 0;
	error_sys(err, "cannot write it");
	/* Half a message would be taken for one. */
	if (ftruncate(fd, st.st_size) == -1)
		return error_context(err, "cannot cut it again");
	return -1;
}

static int
deliver_to_mbox(const struct local_delivery *delivery, int parent_fd,
    const char *name, struct error *err)
{
	AUTO(buf_release) struct buf entry = BUF_INIT;
	AUTO(file_close)
	int fd = openat(parent_fd, name,
	    O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC,
	    0600);
	struct stat st;

	if (fd == -1)
		return error_sys(err, "cannot open it");
	if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode))
		return error_set(err, "it is no file");
	if (make_entry(delivery, &entry, err) == -1 ||
	    append_entry(fd, &entry, err) == -1)
		return -1;
	if (st.st_size == 0 && fsync(parent_fd) == -1)
		return error_sys(err, "cannot sync its folder");
	return 0;
}

void
local_to_mbox(const struct local_delivery *delivery, const char *path,
    struct local_result *result)
{
	OWN_TEXT absolute = make_absolute(delivery, path);
	const char *name;
	struct error err;
	int done = -1;
	AUTO(file_close)
	int parent_fd = open_parent(delivery, absolute, &name, &err);

	if (parent_fd != -1)
		done = deliver_to_mbox(delivery, parent_fd, name, &err);
	if (done == 0)
		result->files++;
	else
		local_result_set(result, JOB_TEMPFAIL,
		    "Unable to deliver to mbox %.200s: %.400s. (#4.3.0)", path,
		    err.text);
}
