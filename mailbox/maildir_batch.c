/* SPDX-License-Identifier: ISC */
/* Makes deliveries into Maildirs durable, many at once. */
#include "mailbox/maildir_batch.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statfs.h>
#include <sys/utsname.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/signals.h"
#include "base/sync_pool.h"
#include "mailbox/sync_choice.h"

enum {
	GROUP_MAX = 256,
	GROUP_BYTES_MAX = 32 * 1024 * 1024 /* not yet synced ones */
};

STAILQ_HEAD(file_list, maildir_file);

/* The way of files on one filesystem. */
struct maildir_line {
	struct maildir_batch *batch;
	SLIST_ENTRY(maildir_line) next; /* the owner's */
	dev_t dev;
	pthread_t thread;

	pthread_mutex_t lock; /* for what follows */
	pthread_cond_t work_waits;
	struct file_list gathering;
	bool is_started; /* what gathers need not wait */
	bool is_ending;

	/* the thread's own */
	struct file_list renamed; /* the last group: not durable in new yet */
	int fs_fd;                /* for syncfs(); -1: not here */
	struct sync_pool *pool;
	struct sync_choice files, folders; /* how groups, or renames alone */
	uint64_t sync_number;
	size_t group_count; /* files of the group */
	struct sync_job jobs[2 * GROUP_MAX];
	size_t job_count;
};

struct maildir_batch {
	/* the owner's */
	unsigned sync_threads;
	int wake_fd;
	bool can_syncfs;
	SLIST_HEAD(, maildir_line) lines;

	pthread_mutex_t lock; /* for what follows */
	struct file_list finished;
};

/* The first one, taken off the list; NULL: there is none. */
static struct maildir_file *
take_file(struct file_list *list)
{
	struct maildir_file *file = STAILQ_FIRST(list);

	if (file != NULL)
		STAILQ_REMOVE_HEAD(list, next);
	return file;
}

/* -- the thread */

/* To the owner; from is empty then. */
static void
hand_over_files(struct maildir_batch *batch, struct file_list *from)
{
	bool is_first;

	if (STAILQ_EMPTY(from))
		return;
	pthread_mutex_lock(&batch->lock);
	is_first = STAILQ_EMPTY(&batch->finished);
	STAILQ_CONCAT(&batch->finished, from);
	pthread_mutex_unlock(&batch->lock);
	if (is_first)
		eventfd_write(batch->wake_fd, 1);
}

/* Gives the file up for the reason in errno. */
static void
fail_file(struct maildir_file *file, const char *what)
{
	file->error_number = errno;
	error_sys(&file->error, "%s", what);
	maildir_file_discard(file);
}

/* The job that syncs the file's folder, made when there is none yet. */
static size_t
folder_job(struct maildir_line *line, const struct maildir_file *file)
{
	struct maildir *maildir = file->maildir;

	if (maildir->sync_number != line->sync_number) {
		maildir->sync_number = line->sync_number;
		maildir->sync_job = line->job_count;
		line->jobs[line->job_count++] = (struct sync_job){
			.fd = maildir->new_fd, .is_folder = true
		};
	}
	return maildir->sync_job;
}

/* Lists what is to be synced: the group's files, the renamed ones' folders. */
static void
list_jobs(struct maildir_line *line, const struct file_list *group)
{
	struct maildir_file *file;

	line->job_count = 0;
	line->sync_number++;
	STAILQ_FOREACH(file, &line->renamed, next)
		file->sync_job = folder_job(line, file);
	STAILQ_FOREACH(file, group, next) {
		if (file->is_synced)
			continue;
		file->sync_job = line->job_count;
		line->jobs[line->job_count++] = (struct sync_job){
			.fd = file->fd
		};
	}
}

/*
 * syncfs() tells a write that failed once to each open descriptor, from Linux
 * 5.8 on: so there is one for each filesystem, opened before anything was
 * written and used here alone.
 */
static void
sync_filesystem(struct maildir_line *line)
{
	int error_number = syncfs(line->fs_fd) == -1 ? errno : 0;

	for (size_t i = 0; i < line->job_count; i++)
		line->jobs[i].error = error_number;
}

/* Syncs the group's content and the renames of the last one. */
static void
sync_group(struct maildir_line *line, const struct file_list *group)
{
	bool has_files = line->group_count > 0;
	struct sync_choice *choice = has_files ? &line->files : &line->folders;
	enum sync_way way = SYNC_EACH;
	size_t count;
	int64_t start_us;

	list_jobs(line, group);
	count = has_files ? line->group_count : line->job_count;
	if (line->job_count == 0)
		return;
	if (line->fs_fd != -1)
		way = sync_choice_pick(choice, count);
	start_us = clock_us();
	if (way == SYNC_ALL)
		sync_filesystem(line);
	else
		sync_pool_run(line->pool, line->jobs, line->job_count);
	if (line->fs_fd != -1)
		sync_choice_learn(choice, count, way, clock_us() - start_us);
}

/* Ends the last group: its renames are durable, or not. */
static void
end_renamed(struct maildir_line *line)
{
	struct maildir_file *file;

	STAILQ_FOREACH(file, &line->renamed, next) {
		errno = line->jobs[file->sync_job].error;
		if (errno != 0)
			fail_file(file, "cannot sync folder 'new'");
	}
	hand_over_files(line->batch, &line->renamed);
}

/* Renames the group, whose content is durable. */
static void
rename_group(struct maildir_line *line, struct file_list *group)
{
	struct maildir_file *file;
	struct file_list failed = STAILQ_HEAD_INITIALIZER(failed);

	while ((file = take_file(group)) != NULL) {
		errno = file->is_synced ? 0 : line->jobs[file->sync_job].error;
		if (errno != 0)
			fail_file(file, "cannot sync 'tmp' file");
		else if (file->may_publish != NULL &&
		    !file->may_publish(file, &file->error)) {
			file->error_number = ESTALE;
			maildir_file_discard(file);
		} else if (maildir_file_publish(file, &file->error) == -1) {
			file->error_number = errno;
			maildir_file_discard(file);
		}
		STAILQ_INSERT_TAIL(
		    file->error_number == 0 ? &line->renamed : &failed, file,
		    next);
	}
	hand_over_files(line->batch, &failed);
}

/* Takes what has gathered, as far as one group goes.  The lock is held. */
static void
take_group(struct maildir_line *line, struct file_list *group)
{
	uint64_t bytes = 0;

	STAILQ_INIT(group);
	line->group_count = 0;
	if (!line->is_started && STAILQ_EMPTY(&line->renamed))
		return;
	while (!STAILQ_EMPTY(&line->gathering) &&
	    line->group_count < GROUP_MAX && bytes < GROUP_BYTES_MAX) {
		struct maildir_file *file = take_file(&line->gathering);

		if (!file->is_synced)
			bytes += file->size_bytes;
		STAILQ_INSERT_TAIL(group, file, next);
		line->group_count++;
	}
	if (STAILQ_EMPTY(&line->gathering))
		line->is_started = false;
}

static void *
serve_line(void *arg)
{
	struct maildir_line *line = arg;

	pthread_mutex_lock(&line->lock);
	for (;;) {
		struct file_list group;

		take_group(line, &group);
		if (line->group_count == 0 && STAILQ_EMPTY(&line->renamed)) {
			if (line->is_ending)
				break;
			pthread_cond_wait(&line->work_waits, &line->lock);
			continue;
		}
		pthread_mutex_unlock(&line->lock);
		sync_group(line, &group);
		end_renamed(line);
		rename_group(line, &group);
		pthread_mutex_lock(&line->lock);
	}
	pthread_mutex_unlock(&line->lock);
	return NULL;
}

/* -- the owner's side */

/* Whether syncfs() tells what went wrong: since Linux 5.8. */
static bool
kernel_can_syncfs(void)
{
	struct utsname name;
	int major, minor;

	return uname(&name) == 0 &&
	    sscanf(name.release, "%d.%d", &major, &minor) == 2 &&
	    (major > 5 || (major == 5 && minor >= 8));
}

/* Of the others it is not known what syncfs() means there. */
static bool
filesystem_can_syncfs(int fd)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) == -1)
		return false;
	switch ((unsigned long)fs.f_type) {
	case EXT4_SUPER_MAGIC: /* and ext2, ext3 */
	case XFS_SUPER_MAGIC:
	case BTRFS_SUPER_MAGIC:
	case F2FS_SUPER_MAGIC:
	case TMPFS_MAGIC:
		return true;
	}
	return false;
}

struct maildir_batch *
maildir_batch_new(unsigned sync_threads, int wake_fd)
{
	struct maildir_batch *batch = xcalloc(1, sizeof(*batch));

	batch->sync_threads = sync_threads;
	batch->wake_fd = wake_fd;
	batch->can_syncfs = kernel_can_syncfs();
	pthread_mutex_init(&batch->lock, NULL);
	STAILQ_INIT(&batch->finished);
	return batch;
}

static void
free_line(struct maildir_line *line)
{
	sync_pool_free(&line->pool);
	if (line->fs_fd != -1)
		close(line->fs_fd);
	pthread_cond_destroy(&line->work_waits);
	pthread_mutex_destroy(&line->lock);
	free(line);
}

void
maildir_batch_free(struct maildir_batch **batch_in)
{
	struct maildir_batch *batch = *batch_in;
	struct maildir_line *line;

	if (batch == NULL)
		return;
	while ((line = SLIST_FIRST(&batch->lines)) != NULL) {
		SLIST_REMOVE_HEAD(&batch->lines, next);
		pthread_mutex_lock(&line->lock);
		line->is_started = line->is_ending = true;
		pthread_cond_signal(&line->work_waits);
		pthread_mutex_unlock(&line->lock);
		pthread_join(line->thread, NULL);
		free_line(line);
	}
	maildir_batch_reap(batch);
	pthread_mutex_destroy(&batch->lock);
	free(batch);
	*batch_in = NULL;
}

static struct maildir_line *
new_line(struct maildir_batch *batch, const struct maildir *maildir,
    struct error *err)
{
	struct maildir_line *line;
	int fs_fd = -1;

	if (batch->can_syncfs && filesystem_can_syncfs(maildir->dir_fd)) {
		fs_fd = openat(
		    maildir->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fs_fd == -1) {
			error_sys(err, "cannot open the Maildir");
			return NULL;
		}
	}
	line = xcalloc(1, sizeof(*line));
	line->batch = batch;
	line->dev = maildir->dev;
	line->fs_fd = fs_fd;
	pthread_mutex_init(&line->lock, NULL);
	pthread_cond_init(&line->work_waits, NULL);
	STAILQ_INIT(&line->gathering);
	STAILQ_INIT(&line->renamed);
	line->pool = sync_pool_new(batch->sync_threads);
	if (thread_start(&line->thread, serve_line, line) == -1) {
		error_sys(err, "cannot start a thread");
		free_line(line);
		return NULL;
	}
	SLIST_INSERT_HEAD(&batch->lines, line, next);
	return line;
}

int
maildir_batch_prepare(
    struct maildir_batch *batch, struct maildir *maildir, struct error *err)
{
	struct maildir_line *line;

	if (maildir->line != NULL)
		return 0;
	SLIST_FOREACH(line, &batch->lines, next)
		if (line->dev == maildir->dev)
			break;
	if (line == NULL)
		line = new_line(batch, maildir, err);
	maildir->line = line;
	return line == NULL ? -1 : 0;
}

void
maildir_batch_post(struct maildir_file *file)
{
	struct maildir_line *line = file->maildir->line;

	file->error_number = 0;
	pthread_mutex_lock(&line->lock);
	STAILQ_INSERT_TAIL(&line->gathering, file, next);
	pthread_mutex_unlock(&line->lock);
}

void
maildir_batch_start(struct maildir_batch *batch)
{
	struct maildir_line *line;

	SLIST_FOREACH(line, &batch->lines, next) {
		pthread_mutex_lock(&line->lock);
		if (!STAILQ_EMPTY(&line->gathering) && !line->is_started) {
			line->is_started = true;
			pthread_cond_signal(&line->work_waits);
		}
		pthread_mutex_unlock(&line->lock);
	}
}

void
maildir_batch_reap(struct maildir_batch *batch)
{
	struct maildir_file *file;
	struct file_list done = STAILQ_HEAD_INITIALIZER(done);

	pthread_mutex_lock(&batch->lock);
	STAILQ_CONCAT(&done, &batch->finished);
	pthread_mutex_unlock(&batch->lock);
	while ((file = take_file(&done)) != NULL)
		file->done(file);
}
