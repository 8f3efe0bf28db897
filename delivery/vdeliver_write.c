/* SPDX-License-Identifier: ISC */
/* A message's bytes: where they come from, and into the Maildir. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "delivery/outcome.h"
#include "delivery/trace.h"
#include "delivery/vdeliver_private.h"

enum {
	CHUNK_SIZE = 64 * 1024,
	/* So much of a large message may wait to be written by the disk. */
	FLUSH_BYTES = 4 * 1024 * 1024
};

enum write_result {
	WRITTEN,
	WRITE_LOOPS,
	WRITE_UNREADABLE, /* with err */
	WRITE_FAILED      /* with err and error_number */
};

/*
 * Reads size bytes at offset, all of them: the committed length decides, not
 * what the file has.  False with the reason.
 */
static bool
read_body_bytes(int fd, char *data, size_t size, uint64_t offset,
    uint64_t size_of_all, struct error *err)
{
	size_t used = 0;

	while (used < size) {
		ssize_t n = pread(
		    fd, data + used, size - used, (off_t)(offset + used));

		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1) {
			error_sys(err, "at byte %" PRIu64, offset + used);
			return false;
		}
		if (n == 0) {
			error_set(err,
			    "it ends after %" PRIu64 " of %" PRIu64 " bytes",
			    offset + used, size_of_all);
			return false;
		}
		used += (size_t)n;
	}
	return true;
}

bool
message_read(struct vdeliver_message *message, struct error *err)
{
	struct job *job = &message->job;
	bool is_read;

	if (job->body != NULL)
		return true;
	if (message->fd == -1) {
		error_set(err, "it came without its bytes");
		return false;
	}
	if (vdeliver_is_large(message))
		return true;
	message->body = xmalloc(job->size_bytes + 1);
	is_read = read_body_bytes(message->fd, message->body, job->size_bytes,
	    0, job->size_bytes, err);
	close(message->fd);
	message->fd = -1;
	job->body = message->body;
	return is_read;
}

void
item_make_front(struct vdeliver_item *item)
{
	const struct job *job = &item->message->job;
	struct buf *front = &item->front;

	buf_reset(front);
	trace_put_return_path(front, job->sender);
	item->line_at = front->length;
	trace_put_delivered_to(front, item->to->recipient);
	item->line_length = front->length - item->line_at - 1;
	buf_adds(front, job->header);
	if (front->data[front->length - 1] != '\n')
		buf_addc(front, '\n');
	item->size = front->length + job->size_bytes;
}

static void
search_init(struct trace_search *search, const struct vdeliver_item *item)
{
	trace_search_init(
	    search, item->front.data + item->line_at, item->line_length);
}

/* Whether a message in memory has been here before. */
static bool
is_looping(const struct vdeliver_item *item)
{
	const struct job *job = &item->message->job;
	struct trace_search search;

	search_init(&search, item);
	trace_search_feed(&search, job->body, job->size_bytes);
	return trace_search_end(&search);
}

static bool
add_bytes(struct vdeliver_item *item, const char *data, size_t length)
{
	struct iovec part = { .iov_len = length };

	memcpy(&part.iov_base, &data, sizeof(data));
	return maildir_file_add(&item->file, &part, 1, &item->err) == 0;
}

static enum write_result
write_small(struct vdeliver_item *item)
{
	const struct job *job = &item->message->job;
	struct iovec parts[2] = { { item->front.data, item->front.length },
		{ NULL, job->size_bytes } };

	if (is_looping(item))
		return WRITE_LOOPS;
	memcpy(&parts[1].iov_base, &job->body, sizeof(job->body));
	if (maildir_file_add(&item->file, parts, 2, &item->err) == 0)
		return WRITTEN;
	item->error_number = errno;
	return WRITE_FAILED;
}

/*
 * In a thread.  It is synced here, since a group that it is in would wait for
 * it; and what it writes never waits for the disk in large amounts, since a
 * sync of the filesystem would wait for that.
 */
static enum write_result
write_large(struct vdeliver_item *item, char chunk[CHUNK_SIZE])
{
	const struct vdeliver_message *message = item->message;
	uint64_t size = message->job.size_bytes, offset = 0, flushed = 0;
	struct trace_search search;
	bool is_over = false;

	search_init(&search, item);
	if (!add_bytes(item, item->front.data, item->front.length))
		return WRITE_FAILED;
	while (offset < size) {
		size_t n = size - offset < CHUNK_SIZE ? size - offset
						      : CHUNK_SIZE;

		if (!read_body_bytes(
			message->fd, chunk, n, offset, size, &item->err))
			return WRITE_UNREADABLE;
		if (!is_over)
			is_over = trace_search_feed(&search, chunk, n);
		if (search.is_found)
			return WRITE_LOOPS;
		if (!add_bytes(item, chunk, n))
			return WRITE_FAILED;
		offset += n;
		if (offset - flushed < FLUSH_BYTES)
			continue;
		if (maildir_file_flush(&item->file, &item->err) == -1)
			return WRITE_FAILED;
		flushed = offset;
	}
	if (trace_search_end(&search))
		return WRITE_LOOPS;
	return maildir_file_sync(&item->file, &item->err) == 0 ? WRITTEN
							       : WRITE_FAILED;
}

static void
run_write(struct work *work)
{
	struct vdeliver_item *item = item_of_work(work);
	char chunk[CHUNK_SIZE];

	item->result = (int)write_large(item, chunk);
	item->error_number = errno;
}

static struct vdeliver_item *
item_of_file(const struct maildir_file *file)
{
	return (struct vdeliver_item *)((uintptr_t)file -
	    offsetof(struct vdeliver_item, file));
}

/* In a thread: whoever was paused since the lookup may have lost the store. */
static bool
may_publish(const struct maildir_file *file, struct error *err)
{
	return item_may_write(item_of_file(file), err);
}

/* It is durable in new, or gone. */
static void
end_file(struct maildir_file *file)
{
	struct vdeliver_item *item = item_of_file(file);

	if (file->error_number == 0)
		outcome_delivered(item);
	else {
		errno = file->error_number;
		maildir_context(item->maildir, &file->error);
		item_defer(item, &file->error);
		item->lacks_fds = false; /* it is over */
	}
	STAILQ_INSERT_TAIL(&item->message->vdeliver->finished, item, next);
}

static void
written(struct vdeliver_item *item, enum write_result result)
{
	switch (result) {
	case WRITTEN:
		item->file.done = end_file;
		item->file.may_publish = may_publish;
		maildir_batch_post(&item->file);
		return;
	case WRITE_LOOPS:
		outcome_looping(item);
		break;
	case WRITE_UNREADABLE:
		outcome_unreadable(item, &item->err);
		break;
	case WRITE_FAILED:
		errno = item->error_number;
		maildir_context(item->maildir, &item->err);
		item_defer(item, &item->err);
		break;
	}
	maildir_file_discard(&item->file);
	item_end(item);
}

static void
end_write(struct work *work)
{
	struct vdeliver_item *item = item_of_work(work);

	written(item, (enum write_result)item->result);
}

void
item_write(struct vdeliver_item *item)
{
	char name[MAILDIR_NAME_SIZE];
	struct error err;

	item_make_name(item, name);
	if (maildir_file_create(&item->file,
		item->folder != NULL ? item->folder : item->maildir, name,
		&err) == -1) {
		maildir_context(item->maildir, &err);
		item_defer(item, &err);
		item_end(item);
		return;
	}
	if (item->message->job.body != NULL) {
		written(item, write_small(item));
		return;
	}
	work_pool_post(
	    item->message->vdeliver->large, &item->work, run_write, end_write);
}
