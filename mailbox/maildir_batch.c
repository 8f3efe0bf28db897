/* SPDX-License-Identifier: ISC */
/* Durable deliveries into Maildirs, many at once. */
#include "mailbox/maildir_batch.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

enum { COPY_SIZE = 128 * 1024 };

enum slot_state {
	SLOT_IN_TMP,
	SLOT_IN_NEW, /* renamed; durable once the folder is synced */
	SLOT_FAILED  /* removed again */
};

struct slot {
	struct maildir *maildir;
	int fd;
	enum slot_state state;
	uint64_t size;
	char tmp_name[MAILDIR_NAME_SIZE];
	char new_name[MAILDIR_NAME_SIZE + 24];
	int error_number;
	struct error error;
};

struct maildir_batch {
	struct sync_pool *pool;
	char host[MAILDIR_HOST_SIZE];
	int count;
	struct slot slots[MAILDIR_BATCH_MAX];
	struct sync_job jobs[MAILDIR_BATCH_MAX];
	int folder_jobs[MAILDIR_BATCH_MAX]; /* of each slot: its folder's job */
	char copy[COPY_SIZE];
};

struct maildir_batch *
maildir_batch_new(struct sync_pool *pool)
{
	struct maildir_batch *batch = xcalloc(1, sizeof(*batch));

	batch->pool = pool;
	maildir_host(batch->host);
	return batch;
}

void
maildir_batch_free(struct maildir_batch **batch)
{
	if (*batch == NULL)
		return;
	assert((*batch)->count == 0);
	free(*batch);
	*batch = NULL;
}

void
maildir_batch_reset(struct maildir_batch *batch)
{
	batch->count = 0;
}

/* Writes all parts; a short write (a disk filling up) goes on until it fails.
 */
static int
write_parts(int fd, const struct maildir_message *message, uint64_t *size)
{
	struct iovec parts[MAILDIR_PARTS_MAX];
	struct iovec *part = parts;
	int left = message->part_count;

	assert(left <= MAILDIR_PARTS_MAX);
	memcpy(parts, message->parts, (size_t)left * sizeof(*parts));
	while (left > 0) {
		ssize_t n = writev(fd, part, left);

		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return -1;
		*size += (uint64_t)n;
		for (; left > 0 && (size_t)n >= part->iov_len; left--, part++)
			n -= (ssize_t)part->iov_len;
		if (left > 0) {
			part->iov_base = (char *)part->iov_base + n;
			part->iov_len -= (size_t)n;
		}
	}
	return 0;
}

/* Copies the rest of the message's file. */
static int
write_rest(struct maildir_batch *batch, int fd,
    const struct maildir_message *message, uint64_t *size, struct error *err)
{
	off_t offset = message->offset;

	while (message->fd != -1) {
		ssize_t n = pread(message->fd, batch->copy, COPY_SIZE, offset);

		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return error_sys(err, "cannot read the message");
		if (n == 0)
			break;
		if (file_write_all(fd, batch->copy, (size_t)n) == -1)
			return error_sys(err, "cannot write to 'tmp'");
		offset += n;
		*size += (uint64_t)n;
	}
	return 0;
}

int
maildir_batch_write(struct maildir_batch *batch, struct maildir *maildir,
    const struct maildir_message *message, struct error *err)
{
	struct slot *slot = &batch->slots[batch->count];
	int saved_errno;

	assert(batch->count < MAILDIR_BATCH_MAX);
	slot->maildir = maildir;
	slot->state = SLOT_IN_TMP;
	slot->size = 0;
	maildir_make_name(slot->tmp_name, batch->host);
	slot->fd = openat(maildir->tmp_fd, slot->tmp_name,
	    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (slot->fd == -1)
		return error_sys(err, "cannot create 'tmp/%s'", slot->tmp_name);
	if (write_parts(slot->fd, message, &slot->size) == -1)
		error_sys(err, "cannot write to 'tmp'");
	else if (write_rest(batch, slot->fd, message, &slot->size, err) == 0)
		return batch->count++;
	saved_errno = errno;
	close(slot->fd);
	unlinkat(maildir->tmp_fd, slot->tmp_name, 0);
	errno = saved_errno;
	return -1;
}

/* Gives up a slot for the reason in errno. */
static void
slot_fail(struct slot *slot, const char *what)
{
	slot->error_number = errno;
	error_sys(&slot->error, "%s", what);
	if (slot->state == SLOT_IN_NEW)
		unlinkat(slot->maildir->new_fd, slot->new_name, 0);
	else
		unlinkat(slot->maildir->tmp_fd, slot->tmp_name, 0);
	slot->state = SLOT_FAILED;
}

static void
sync_files(struct maildir_batch *batch)
{
	int i;

	for (i = 0; i < batch->count; i++)
		batch->jobs[i] = (struct sync_job){ .fd = batch->slots[i].fd };
	sync_pool_run(batch->pool, batch->jobs, (size_t)batch->count);
	for (i = 0; i < batch->count; i++) {
		close(batch->slots[i].fd);
		errno = batch->jobs[i].error;
		if (errno != 0)
			slot_fail(&batch->slots[i], "cannot sync 'tmp' file");
	}
}

/* The size in the name spares the quota a stat (Maildir++). */
static void
name_with_size(struct slot *slot)
{
	size_t length = strlen(slot->tmp_name);

	memcpy(slot->new_name, slot->tmp_name, length);
	snprintf(slot->new_name + length, sizeof(slot->new_name) - length,
	    ",S=%llu", (unsigned long long)slot->size);
}

/* Never over an existing file, where the filesystem can promise that. */
static int
rename_new(const struct slot *slot)
{
	const struct maildir *maildir = slot->maildir;

	if (renameat2(maildir->tmp_fd, slot->tmp_name, maildir->new_fd,
		slot->new_name, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -1;
	return renameat(
	    maildir->tmp_fd, slot->tmp_name, maildir->new_fd, slot->new_name);
}

static void
rename_files(struct maildir_batch *batch)
{
	int i;

	for (i = 0; i < batch->count; i++) {
		struct slot *slot = &batch->slots[i];

		if (slot->state != SLOT_IN_TMP)
			continue;
		name_with_size(slot);
		if (rename_new(slot) == -1)
			slot_fail(slot, "cannot rename from 'tmp' to 'new'");
		else
			slot->state = SLOT_IN_NEW;
	}
}

/* The job that syncs the folder of slot, or job_count: there is none yet. */
static int
find_job(const struct maildir_batch *batch, int job_count, int slot)
{
	int i;

	for (i = 0; i < job_count; i++)
		if (batch->jobs[i].fd == batch->slots[slot].maildir->new_fd)
			break;
	return i;
}

static void
sync_folders(struct maildir_batch *batch)
{
	int job_count = 0, i;

	for (i = 0; i < batch->count; i++) {
		if (batch->slots[i].state != SLOT_IN_NEW)
			continue;
		batch->folder_jobs[i] = find_job(batch, job_count, i);
		if (batch->folder_jobs[i] == job_count)
			batch->jobs[job_count++] = (struct sync_job){
				.fd = batch->slots[i].maildir->new_fd,
				.is_folder = true
			};
	}
	sync_pool_run(batch->pool, batch->jobs, (size_t)job_count);
	for (i = 0; i < batch->count; i++) {
		if (batch->slots[i].state != SLOT_IN_NEW)
			continue;
		errno = batch->jobs[batch->folder_jobs[i]].error;
		if (errno != 0)
			slot_fail(&batch->slots[i], "cannot sync folder 'new'");
	}
}

void
maildir_batch_commit(struct maildir_batch *batch)
{
	sync_files(batch);
	rename_files(batch);
	sync_folders(batch);
}

int
maildir_batch_result(
    const struct maildir_batch *batch, int slot, struct error *err)
{
	const struct slot *done = &batch->slots[slot];

	assert(slot >= 0 && slot < batch->count);
	assert(done->state != SLOT_IN_TMP);
	if (done->state == SLOT_IN_NEW)
		return 0;
	if (err != NULL)
		*err = done->error;
	errno = done->error_number;
	return -1;
}

uint64_t
maildir_batch_size(const struct maildir_batch *batch, int slot)
{
	assert(slot >= 0 && slot < batch->count);
	return batch->slots[slot].size;
}
