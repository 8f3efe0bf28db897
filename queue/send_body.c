/* SPDX-License-Identifier: ISC */
/* Large message bodies, written beside the event loop. */
#include "queue/send_body.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "queue/exitcode.h"

struct body_file *
body_file_new(const struct queue_dir *dir, struct work_pool *pool, uint64_t id)
{
	struct body_file *file = xcalloc(1, sizeof(*file));

	file->dir = dir;
	file->pool = pool;
	file->id = id;
	file->fd = file->folder_fd = -1;
	return file;
}

static void
close_body(struct body_file *file)
{
	file_close(&file->fd);
	file_close(&file->folder_fd);
}

void
body_file_free(struct body_file **file_in)
{
	struct body_file *file = *file_in;

	if (file == NULL)
		return;
	close_body(file);
	buf_release(&file->waiting);
	buf_release(&file->chunk);
	free(file);
	*file_in = NULL;
}

static void
fail_body(struct body_file *file, int code, const char *what)
{
	switch (errno) {
	case ENOSPC:
	case EDQUOT:
		code = QQ_WRITE_ERROR;
		break;
	case ENOMEM:
	case EMFILE:
	case ENFILE:
		code = QQ_OUT_OF_MEMORY;
		break;
	default:
		break;
	}
	error_sys(&file->err, "cannot %s mess/%llu", what,
	    (unsigned long long)file->id);
	file->result = code;
}

/*
 * The folder first: the kernel tells each open file of what failed since it was
 * opened, and of that each file once.  So nobody else's sync can take away the
 * word that this one's name is not durable.
 */
static bool
make_body(struct body_file *file)
{
	file->folder_fd = openat(queue_dir_fd(file->dir, QUEUE_MESS, file->id),
	    ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (file->folder_fd != -1)
		file->fd = queue_open_file(file->dir, QUEUE_MESS, file->id,
		    O_WRONLY | O_CREAT | O_EXCL);
	file->is_made = file->fd != -1;
	return file->is_made;
}

static void
write_chunk(struct body_file *file)
{
	if (file->fd == -1 && !make_body(file))
		fail_body(file, QQ_MESS, "make");
	else if (file_write_all(
		     file->fd, file->chunk.data, file->chunk.length) == -1)
		fail_body(file, QQ_WRITE_ERROR, "write");
}

static void
sync_body(struct body_file *file)
{
	if (fdatasync(file->fd) == -1)
		fail_body(file, QQ_SYNC, "sync");
	else if (fsync(file->folder_fd) == -1)
		fail_body(file, QQ_SYNC_FOLDER, "sync the folder of");
	else
		file->is_synced = true;
	close_body(file);
}

static void
do_body_work(struct body_file *file)
{
	write_chunk(file);
	buf_reset(&file->chunk);
	if (file->result == QQ_OK && file->is_last)
		sync_body(file);
}

/* Is there something to do?  It is in chunk then. */
static bool
take_chunk(struct body_file *file)
{
	struct buf empty = file->chunk;

	if (file->result != QQ_OK)
		buf_reset(&file->waiting); /* nobody wants it any more */
	if (file->result != QQ_OK || file->is_synced ||
	    (file->waiting.length == 0 && !file->is_whole))
		return false;
	file->chunk = file->waiting;
	file->waiting = empty;
	file->is_last = file->is_whole;
	return true;
}

void
body_file_run(struct body_file *file)
{
	if (take_chunk(file))
		do_body_work(file);
}

static void
run_removal(struct work *work)
{
	struct body_file *file = (struct body_file *)work;

	close_body(file);
	if (file->is_made)
		queue_unlink(file->dir, QUEUE_MESS, file->id);
}

static void
removal_done(struct work *work)
{
	struct body_file *file = (struct body_file *)work;

	body_file_free(&file);
}

static void
post_removal(struct body_file *file)
{
	work_pool_post(file->pool, &file->work, run_removal, removal_done);
}

static void
run_body_work(struct work *work)
{
	do_body_work((struct body_file *)work);
}

static void
body_work_done(struct work *work)
{
	struct body_file *file = (struct body_file *)work;

	file->is_running = false;
	if (file->is_unwanted) {
		post_removal(file);
		return;
	}
	body_file_post(file);
	if (file->changed != NULL)
		file->changed(file, file->context);
}

void
body_file_post(struct body_file *file)
{
	if (file->is_running || !take_chunk(file))
		return;
	file->is_running = true;
	work_pool_post(file->pool, &file->work, run_body_work, body_work_done);
}

void
body_file_remove(struct body_file **file_in)
{
	struct body_file *file = *file_in;

	*file_in = NULL;
	if (file == NULL)
		return;
	file->is_unwanted = true;
	file->changed = NULL;
	if (!file->is_running)
		post_removal(file);
}

void
body_file_discard(struct body_file **file)
{
	run_removal(&(*file)->work);
	body_file_free(file);
}
