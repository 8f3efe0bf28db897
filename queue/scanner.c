/* SPDX-License-Identifier: ISC */
/* Looks through the folders of a queue. */
#include "queue/scanner.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/signals.h"
#include "base/scan.h"
#include "queue/envelope.h"
#include "queue/keep.h"

enum { HANDED_MAX = 4096 /* ids that are handed over at once */ };

struct scanner {
	const struct queue_dir *dir;
	uint64_t record_bytes;
	int wake_fd;
	pthread_t thread;
	bool is_running, is_whole;
	bool has_failed; /* the thread's, until it is joined */
	atomic_bool is_cancelled;
	pthread_mutex_t lock; /* for found and is_done */
	pthread_cond_t found_taken;
	struct found_list found;
	bool is_done;
};

/* Numbers in a growing array. */
struct ids {
	uint64_t *at;
	size_t count;
};

/* What is in folders that say what a message's other files are; sorted. */
struct known {
	struct ids todo, pid;
	struct ids info; /* of the part that is looked at */
};

static void
ids_add(struct ids *ids, uint64_t id)
{
	ids->at = mem_room(ids->at, ids->count, sizeof(*ids->at));
	ids->at[ids->count++] = id;
}

static void
ids_release(struct ids *ids)
{
	free(ids->at);
	*ids = (struct ids){ .at = NULL };
}

void
found_list_add(struct found_list *list, const struct found_item *item)
{
	list->at = mem_room(list->at, list->count, sizeof(*list->at));
	list->at[list->count++] = *item;
}

void
found_list_release(struct found_list *list)
{
	free(list->at);
	*list = (struct found_list){ .at = NULL };
}

/*
 * Hands one to the loop; waits when it is slower than we are.  It is woken for
 * many at once.
 */
static void
hand_over_found(struct scanner *scanner, const struct found_item *item)
{
	struct found_list *found = &scanner->found;

	pthread_mutex_lock(&scanner->lock);
	if (found->count >= HANDED_MAX)
		eventfd_write(scanner->wake_fd, 1);
	while (
	    found->count >= HANDED_MAX && !atomic_load(&scanner->is_cancelled))
		pthread_cond_wait(&scanner->found_taken, &scanner->lock);
	found_list_add(found, item);
	pthread_mutex_unlock(&scanner->lock);
}

static void
hand_over_id(struct scanner *scanner, enum found what, uint64_t id)
{
	hand_over_found(
	    scanner, &(struct found_item){ .what = what, .id = id });
}

static DIR *
open_listed(
    const struct scanner *scanner, enum queue_folder folder, unsigned part)
{
	int fd = openat(queue_dir_fd(scanner->dir, folder, part), ".",
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *stream = fd == -1 ? NULL : fdopendir(fd);

	if (stream == NULL) {
		log_line("alert: cannot list %s/%u: %m",
		    queue_folder_name(folder), part);
		if (fd != -1)
			close(fd);
	}
	return stream;
}

/* Lists the ids of one folder; a name that is no id is told and left alone. */
static int
list_folder(struct scanner *scanner, enum queue_folder folder, unsigned part,
    struct ids *ids)
{
	DIR *stream = open_listed(scanner, folder, part);
	const struct dirent *entry;
	int error = 0;

	if (stream == NULL)
		return -1;
	while (!atomic_load(&scanner->is_cancelled)) {
		uint64_t id;

		errno = 0;
		entry = readdir(stream);
		error = errno;
		if (entry == NULL)
			break;
		if (entry->d_name[0] == '.')
			continue;
		if (scan_u64(entry->d_name, UINT64_MAX, &id) && id != 0)
			ids_add(ids, id);
		else
			log_line("warning: '%s' in %s/ is not a message; left "
				 "alone",
			    entry->d_name, queue_folder_name(folder));
	}
	closedir(stream);
	if (error == 0)
		return 0;
	errno = error;
	log_line(
	    "alert: cannot list %s/%u: %m", queue_folder_name(folder), part);
	return -1;
}

static int
compare_ids(const void *a, const void *b)
{
	const uint64_t *first = a, *second = b;

	return *first < *second ? -1 : *first > *second;
}

static bool
has_id(const struct ids *ids, uint64_t id)
{
	return ids->count > 0 &&
	    bsearch(&id, ids->at, ids->count, sizeof(id), compare_ids) != NULL;
}

static void
sort_ids(struct ids *ids)
{
	if (ids->count > 0)
		qsort(ids->at, ids->count, sizeof(*ids->at), compare_ids);
}

/* A file's mtime; 0 when it cannot be told. */
static time_t
find_mtime(const struct scanner *scanner, enum queue_folder folder, uint64_t id)
{
	struct stat st;

	return queue_stat(scanner->dir, folder, id, &st) == 1 ? st.st_mtime : 0;
}

/*
 * Recipients without the record that says whose they are.  One in pid/ is being
 * kept, or that was interrupted; one that has ended since the folders were
 * listed is gone.
 */
static void
hand_over_damaged(struct scanner *scanner, enum queue_folder folder,
    const struct ids *list, const struct known *known)
{
	for (size_t i = 0; i < list->count; i++)
		if (!has_id(&known->info, list->at[i]) &&
		    !has_id(&known->todo, list->at[i]) &&
		    !has_id(&known->pid, list->at[i]) &&
		    queue_has_file(scanner->dir, folder, list->at[i]) == 1)
			hand_over_id(scanner, FOUND_DAMAGED, list->at[i]);
}

/*
 * S2 or S3 for 36 hours, perhaps: nothing says where it goes, and nothing did.
 * The keeper looks again.
 */
static bool
may_be_garbage(const struct scanner *scanner, const struct known *known,
    const struct ids *local, const struct ids *remote, uint64_t id)
{
	time_t mtime;

	if (has_id(&known->todo, id) || has_id(&known->info, id) ||
	    (!has_id(&known->pid, id) &&
		(has_id(local, id) || has_id(remote, id))))
		return false;
	mtime = find_mtime(scanner, QUEUE_MESS, id);
	return mtime != 0 && mtime < time(NULL) - KEEP_GARBAGE_S;
}

/* What is in S5, as far as the folder of the channel says. */
static void
find_channel(const struct scanner *scanner, const struct ids *list,
    enum queue_folder folder, enum route_channel channel,
    struct found_item *item)
{
	item->has_channel[channel] = has_id(list, item->id);
	if (item->has_channel[channel])
		item->due[channel] = find_mtime(scanner, folder, item->id);
}

/* One part of the split folders: which messages are in S5, and in S2, S3. */
static void
scan_part(struct scanner *scanner, unsigned part, struct known *known)
{
	struct ids mess = { .at = NULL }, *info = &known->info;
	struct ids local = { .at = NULL }, remote = { .at = NULL };

	info->count = 0;
	if (list_folder(scanner, QUEUE_LOCAL, part, &local) == -1 ||
	    list_folder(scanner, QUEUE_REMOTE, part, &remote) == -1 ||
	    list_folder(scanner, QUEUE_INFO, part, info) == -1 ||
	    list_folder(scanner, QUEUE_MESS, part, &mess) == -1) {
		log_line("alert: messages in part %u of the queue wait until "
			 "its folders can be read",
		    part);
		scanner->has_failed = true;
		goto out;
	}
	sort_ids(&local);
	sort_ids(&remote);
	/* In the order of their numbers, which most likely is that on disk. */
	sort_ids(info);
	for (size_t i = 0;
	     i < info->count && !atomic_load(&scanner->is_cancelled); i++) {
		struct found_item item = { .what = FOUND_KEPT,
			.id = info->at[i] };

		if (has_id(&known->todo, item.id))
			continue; /* S4 */
		find_channel(scanner, &local, QUEUE_LOCAL, ROUTE_LOCAL, &item);
		find_channel(
		    scanner, &remote, QUEUE_REMOTE, ROUTE_REMOTE, &item);
		hand_over_found(scanner, &item);
	}
	hand_over_damaged(scanner, QUEUE_LOCAL, &local, known);
	hand_over_damaged(scanner, QUEUE_REMOTE, &remote, known);
	for (size_t i = 0;
	     i < mess.count && !atomic_load(&scanner->is_cancelled); i++)
		if (may_be_garbage(scanner, known, &local, &remote, mess.at[i]))
			hand_over_id(scanner, FOUND_GARBAGE, mess.at[i]);
out:
	eventfd_write(scanner->wake_fd, 1);
	ids_release(&mess);
	ids_release(&local);
	ids_release(&remote);
}

/*
 * A file on its way in of which nothing came: its writer is long gone.  A time
 * that a writer sets does not count.
 */
static void
sweep_pid(struct scanner *scanner, const char *name, uint64_t id)
{
	int folder = queue_dir_fd(scanner->dir, QUEUE_PID, 0);
	struct stat st;

	if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == -1 ||
	    !S_ISREG(st.st_mode) || st.st_ctime >= time(NULL) - KEEP_GARBAGE_S)
		return;
	if (id == 0 || queue_has_file(scanner->dir, QUEUE_INFO, id) == 1 ||
	    queue_has_file(scanner->dir, QUEUE_TODO, id) == 1)
		unlinkat(folder, name, 0);
	else /* with what else there is of it */
		hand_over_id(scanner, FOUND_GARBAGE, id);
}

/* Which messages are on their way; what cannot be listed waits. */
static void
scan_pid(struct scanner *scanner, struct ids *pid)
{
	DIR *stream = open_listed(scanner, QUEUE_PID, 0);
	const struct dirent *entry;

	if (stream == NULL)
		return;
	while ((entry = readdir(stream)) != NULL) {
		uint64_t id;

		if (entry->d_name[0] == '.')
			continue;
		if (scan_u64(entry->d_name, UINT64_MAX, &id) && id != 0)
			ids_add(pid, id);
		else
			id = 0; /* a qmail-queue's */
		sweep_pid(scanner, entry->d_name, id);
	}
	closedir(stream);
	sort_ids(pid);
}

static void
scan_whole(struct scanner *scanner, struct known *known)
{
	scan_pid(scanner, &known->pid);
	/* A part that cannot be read must not keep the others waiting. */
	for (unsigned part = 0;
	     part < scanner->dir->split && !atomic_load(&scanner->is_cancelled);
	     part++)
		scan_part(scanner, part, known);
}

/* May it never have been in the journal?  Then its envelope is in *record: 1;
 * 0; -1 when that cannot be told. */
static int
read_large_todo(const struct scanner *scanner, uint64_t id, struct buf *record)
{
	const struct queue_dir *dir = scanner->dir;
	struct stat st;
	int result = queue_stat(dir, QUEUE_TODO, id, &st);
	AUTO(file_close) int fd = -1;

	if (result != 1 || (uint64_t)st.st_size <= scanner->record_bytes)
		return result == -1 ? -1 : 0;
	/* Without its message it was never acknowledged. */
	result = queue_has_file(dir, QUEUE_MESS, id);
	if (result != 1)
		return result;
	/* Who gave the names may have been killed before he did that. */
	if (fsync(queue_dir_fd(dir, QUEUE_MESS, id)) == -1 ||
	    fsync(queue_dir_fd(dir, QUEUE_TODO, id)) == -1)
		return -1;
	fd = queue_open_file(dir, QUEUE_TODO, id, O_RDONLY);
	if (fd == -1)
		return errno == ENOENT ? 0 : -1;
	return queue_read(fd, record) == -1 ? -1 : 1;
}

static void
find_uuid(struct scanner *scanner, uint64_t id, struct uuid *uuid_out)
{
	AUTO(buf_release) struct buf record = BUF_INIT;
	struct envelope envelope;

	switch (read_large_todo(scanner, id, &record)) {
	case 1:
		if (envelope_parse(record.data, record.length, ENVELOPE_TODO,
			&envelope, NULL) == -1)
			break; /* nobody can deliver it */
		*uuid_out = envelope.uuid;
		envelope_release(&envelope);
		break;
	case -1:
		log_line("alert: cannot read todo/%" PRIu64 ": %m", id);
		scanner->has_failed = true;
		break;
	}
}

/* All of todo/, or false. */
static bool
scan_todo(struct scanner *scanner, struct ids *todo)
{
	bool is_listed = list_folder(scanner, QUEUE_TODO, 0, todo) == 0;

	scanner->has_failed = !is_listed;
	sort_ids(todo);
	for (size_t i = 0;
	     i < todo->count && !atomic_load(&scanner->is_cancelled); i++) {
		struct found_item item = { .what = FOUND_TODO,
			.id = todo->at[i] };

		if (scanner->is_whole)
			find_uuid(scanner, item.id, &item.uuid);
		hand_over_found(scanner, &item);
	}
	if (!scanner->has_failed)
		hand_over_id(scanner, FOUND_TODO_END, 0);
	eventfd_write(scanner->wake_fd, 1);
	return is_listed;
}

static void *
scan(void *arg)
{
	struct scanner *scanner = arg;
	struct known known = { .todo = { .at = NULL } };

	/* Without all of todo/, S4 cannot be told from S5. */
	if (scan_todo(scanner, &known.todo) && scanner->is_whole)
		scan_whole(scanner, &known);
	ids_release(&known.todo);
	ids_release(&known.pid);
	ids_release(&known.info);
	pthread_mutex_lock(&scanner->lock);
	scanner->is_done = true;
	pthread_mutex_unlock(&scanner->lock);
	eventfd_write(scanner->wake_fd, 1);
	return NULL;
}

struct scanner *
scanner_new(const struct queue_dir *dir, uint64_t record_bytes, int wake_fd)
{
	struct scanner *scanner = xcalloc(1, sizeof(*scanner));

	scanner->dir = dir;
	scanner->record_bytes = record_bytes;
	scanner->wake_fd = wake_fd;
	pthread_mutex_init(&scanner->lock, NULL);
	pthread_cond_init(&scanner->found_taken, NULL);
	return scanner;
}

void
scanner_free(struct scanner **scanner_in)
{
	struct scanner *scanner = *scanner_in;

	if (scanner == NULL)
		return;
	if (scanner->is_running) {
		atomic_store(&scanner->is_cancelled, true);
		pthread_mutex_lock(&scanner->lock);
		pthread_cond_broadcast(&scanner->found_taken);
		pthread_mutex_unlock(&scanner->lock);
		pthread_join(scanner->thread, NULL);
	}
	found_list_release(&scanner->found);
	pthread_mutex_destroy(&scanner->lock);
	pthread_cond_destroy(&scanner->found_taken);
	free(scanner);
	*scanner_in = NULL;
}

int
scanner_start(struct scanner *scanner, bool is_whole)
{
	scanner->is_whole = is_whole;
	scanner->is_done = false;
	scanner->is_running = thread_start(&scanner->thread, scan, scanner) ==
	    0;
	return scanner->is_running ? 0 : -1;
}

bool
scanner_is_running(const struct scanner *scanner)
{
	return scanner->is_running;
}

bool
scanner_is_running_whole(const struct scanner *scanner)
{
	return scanner->is_running && scanner->is_whole;
}

enum scan_end
scanner_take(struct scanner *scanner, struct found_list *found_out)
{
	bool is_done;

	pthread_mutex_lock(&scanner->lock);
	*found_out = scanner->found;
	scanner->found = (struct found_list){ .at = NULL };
	is_done = scanner->is_done;
	pthread_cond_signal(&scanner->found_taken);
	pthread_mutex_unlock(&scanner->lock);
	if (!is_done || !scanner->is_running)
		return SCAN_RUNS;
	pthread_join(scanner->thread, NULL);
	scanner->is_running = false;
	return scanner->has_failed ? SCAN_FAILED : SCAN_OVER;
}
