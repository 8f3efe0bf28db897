/* SPDX-License-Identifier: ISC */
/* Looks through the folders of a queue. */
#include "queue/scanner.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/scan.h"
#include "queue/commit.h"

enum { HANDED_MAX = 4096 /* ids that are handed over at once */ };

struct scanner {
	const struct queue_dir *dir;
	int wake_fd;
	pthread_t thread;
	bool is_running, is_whole;
	bool has_failed; /* the thread's, until it is joined */
	atomic_bool is_cancelled;
	pthread_mutex_t lock; /* for found and is_done */
	pthread_cond_t found_taken;
	struct ids found[FOUND_COUNT];
	bool is_done;
};

void
ids_add(struct ids *ids, uint64_t id)
{
	if (ids->count == ids->size) {
		ids->size = ids->size * 2 + 64;
		ids->at = xrealloc(ids->at, ids->size * sizeof(*ids->at));
	}
	ids->at[ids->count++] = id;
}

void
ids_release(struct ids *ids)
{
	free(ids->at);
	*ids = (struct ids){ .at = NULL };
}

/* Hands ids to the loop; waits when it is slower than we are. */
static void
hand_over(struct scanner *scanner, enum found what, const struct ids *ids)
{
	uint64_t one = 1;
	size_t done = 0;

	while (done < ids->count) {
		struct ids *found = &scanner->found[what];

		pthread_mutex_lock(&scanner->lock);
		while (found->count >= HANDED_MAX &&
		    !atomic_load(&scanner->is_cancelled))
			pthread_cond_wait(
			    &scanner->found_taken, &scanner->lock);
		do
			ids_add(found, ids->at[done++]);
		while (done < ids->count && found->count < HANDED_MAX);
		pthread_mutex_unlock(&scanner->lock);
		if (write(scanner->wake_fd, &one, sizeof(one)) == -1 &&
		    errno != EAGAIN)
			log_line("alert: cannot wake the event loop: %m");
	}
}

/* Lists the ids of one folder; a name that is no id is told and left alone. */
static int
list_folder(struct scanner *scanner, enum queue_folder folder, unsigned part,
    struct ids *ids)
{
	int fd = openat(queue_dir_fd(scanner->dir, folder, part), ".",
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *stream = fd == -1 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	int error = 0;

	if (stream == NULL) {
		log_line("alert: cannot list %s/%u: %m",
		    queue_folder_name(folder), part);
		if (fd != -1)
			close(fd);
		return -1;
	}
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

/* Perhaps S2 or S3 for 36 hours; the committer looks again. */
static bool
may_be_garbage(const struct scanner *scanner, uint64_t id)
{
	const struct queue_dir *dir = scanner->dir;
	char name[QUEUE_NAME_SIZE];
	struct stat st;

	queue_name(name, id, "");
	return fstatat(queue_dir_fd(dir, QUEUE_MESS, id), name, &st,
		   AT_SYMLINK_NOFOLLOW) == 0 &&
	    st.st_mtime < time(NULL) - COMMIT_GARBAGE_S;
}

/* One part of the split folders: which messages are in S5, and in S2, S3. */
static void
scan_part(struct scanner *scanner, unsigned part, const struct ids *todo)
{
	struct ids mess = { .at = NULL }, info = { .at = NULL };
	struct ids local = { .at = NULL }, remote = { .at = NULL };
	struct ids found[FOUND_COUNT] = { { .at = NULL } };
	enum found what;
	size_t i;

	if (list_folder(scanner, QUEUE_LOCAL, part, &local) == 0 &&
	    list_folder(scanner, QUEUE_REMOTE, part, &remote) == 0 &&
	    list_folder(scanner, QUEUE_INFO, part, &info) == 0 &&
	    list_folder(scanner, QUEUE_MESS, part, &mess) == 0) {
		sort_ids(&local);
		sort_ids(&remote);
		sort_ids(&info);
		for (i = 0; i < info.count; i++) {
			uint64_t id = info.at[i];
			bool is_local = has_id(&local, id);
			bool is_remote = has_id(&remote, id);

			if (has_id(todo, id))
				continue; /* S4: begun once more from todo/ */
			if (is_local)
				ids_add(&found[FOUND_LOCAL], id);
			if (is_remote)
				ids_add(&found[FOUND_REMOTE], id);
			if (!is_local && !is_remote)
				ids_add(&found[FOUND_ENDED], id);
		}
		for (i = 0; i < mess.count; i++)
			if (!has_id(todo, mess.at[i]) &&
			    !has_id(&info, mess.at[i]) &&
			    may_be_garbage(scanner, mess.at[i]))
				ids_add(&found[FOUND_GARBAGE], mess.at[i]);
	} else {
		log_line("alert: messages in part %u of the queue wait until "
			 "its folders can be read",
		    part);
		scanner->has_failed = true;
	}
	for (what = 0; what < FOUND_COUNT; what++) {
		hand_over(scanner, what, &found[what]);
		ids_release(&found[what]);
	}
	ids_release(&mess);
	ids_release(&info);
	ids_release(&local);
	ids_release(&remote);
}

static void *
scan(void *arg)
{
	struct scanner *scanner = arg;
	struct ids todo = { .at = NULL };
	bool has_todo = list_folder(scanner, QUEUE_TODO, 0, &todo) == 0;
	uint64_t one = 1;
	unsigned part;

	scanner->has_failed = !has_todo;
	hand_over(scanner, FOUND_TODO, &todo);
	sort_ids(&todo);
	/* Without all of todo/, S4 cannot be told from S5.  But a part that
	 * cannot be read must not keep the others waiting. */
	for (part = 0; scanner->is_whole && has_todo &&
	     part < scanner->dir->split && !atomic_load(&scanner->is_cancelled);
	     part++)
		scan_part(scanner, part, &todo);
	ids_release(&todo);
	pthread_mutex_lock(&scanner->lock);
	scanner->is_done = true;
	pthread_mutex_unlock(&scanner->lock);
	if (write(scanner->wake_fd, &one, sizeof(one)) == -1)
		log_line("alert: cannot wake the event loop: %m");
	return NULL;
}

struct scanner *
scanner_new(const struct queue_dir *dir, int wake_fd)
{
	struct scanner *scanner = xcalloc(1, sizeof(*scanner));

	scanner->dir = dir;
	scanner->wake_fd = wake_fd;
	pthread_mutex_init(&scanner->lock, NULL);
	pthread_cond_init(&scanner->found_taken, NULL);
	return scanner;
}

void
scanner_free(struct scanner **scanner_in)
{
	struct scanner *scanner = *scanner_in;
	enum found what;

	if (scanner == NULL)
		return;
	if (scanner->is_running) {
		atomic_store(&scanner->is_cancelled, true);
		pthread_mutex_lock(&scanner->lock);
		pthread_cond_broadcast(&scanner->found_taken);
		pthread_mutex_unlock(&scanner->lock);
		pthread_join(scanner->thread, NULL);
	}
	for (what = 0; what < FOUND_COUNT; what++)
		ids_release(&scanner->found[what]);
	pthread_mutex_destroy(&scanner->lock);
	pthread_cond_destroy(&scanner->found_taken);
	free(scanner);
	*scanner_in = NULL;
}

int
scanner_start(struct scanner *scanner, bool is_whole)
{
	sigset_t all, old;

	scanner->is_whole = is_whole;
	scanner->is_done = false;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old); /* signals are main's */
	scanner->is_running = pthread_create(
				  &scanner->thread, NULL, scan, scanner) == 0;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
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
scanner_take(struct scanner *scanner, struct ids found_out[FOUND_COUNT])
{
	bool is_done;

	pthread_mutex_lock(&scanner->lock);
	memcpy(found_out, scanner->found, sizeof(scanner->found));
	memset(scanner->found, 0, sizeof(scanner->found));
	is_done = scanner->is_done;
	pthread_cond_signal(&scanner->found_taken);
	pthread_mutex_unlock(&scanner->lock);
	if (!is_done || !scanner->is_running)
		return SCAN_RUNS;
	pthread_join(scanner->thread, NULL);
	scanner->is_running = false;
	return scanner->has_failed ? SCAN_FAILED : SCAN_OVER;
}
