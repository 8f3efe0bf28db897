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
#include "queue/keep.h"

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
	struct found_list found[FOUND_COUNT];
	bool is_done;
};

/* Numbers in a growing array. */
struct ids {
	uint64_t *at;
	size_t count, size;
};

/* What is in folders that say what a message's other files are; sorted. */
struct known {
	struct ids todo, pid;
	struct ids info; /* of the part that is looked at */
};

static void
ids_add(struct ids *ids, uint64_t id)
{
	if (ids->count == ids->size) {
		ids->size = ids->size * 2 + 64;
		ids->at = xrealloc(ids->at, ids->size * sizeof(*ids->at));
	}
	ids->at[ids->count++] = id;
}

static void
ids_release(struct ids *ids)
{
	free(ids->at);
	*ids = (struct ids){ .at = NULL };
}

void
found_list_add(struct found_list *list, struct found_item item)
{
	if (list->count == list->size) {
		list->size = list->size * 2 + 64;
		list->at = xrealloc(list->at, list->size * sizeof(*list->at));
	}
	list->at[list->count++] = item;
}

void
found_list_release(struct found_list *list)
{
	free(list->at);
	*list = (struct found_list){ .at = NULL };
}

static void
wake_for_found(const struct scanner *scanner)
{
	uint64_t one = 1;

	if (write(scanner->wake_fd, &one, sizeof(one)) == -1 && errno != EAGAIN)
		log_line("alert: cannot wake the event loop: %m");
}

/*
 * Hands one to the loop; waits when it is slower than we are.  It is woken for
 * many at once (wake_for_found()).
 */
static void
hand_over(struct scanner *scanner, enum found what, uint64_t id, time_t due)
{
	struct found_list *found = &scanner->found[what];

	pthread_mutex_lock(&scanner->lock);
	if (found->count >= HANDED_MAX)
		wake_for_found(scanner);
	while (
	    found->count >= HANDED_MAX && !atomic_load(&scanner->is_cancelled))
		pthread_cond_wait(&scanner->found_taken, &scanner->lock);
	found_list_add(found, (struct found_item){ .id = id, .due = due });
	pthread_mutex_unlock(&scanner->lock);
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

/* Perhaps S2 or S3 for 36 hours; the keeper looks again. */
static bool
may_be_garbage(const struct scanner *scanner, uint64_t id)
{
	const struct queue_dir *dir = scanner->dir;
	char name[QUEUE_NAME_SIZE];
	struct stat st;

	queue_name(name, id, "");
	return fstatat(queue_dir_fd(dir, QUEUE_MESS, id), name, &st,
		   AT_SYMLINK_NOFOLLOW) == 0 &&
	    st.st_mtime < time(NULL) - KEEP_GARBAGE_S;
}

/* When to try again, as the file says. */
static time_t
find_due(const struct scanner *scanner, enum queue_folder folder, uint64_t id)
{
	char name[QUEUE_NAME_SIZE];
	struct stat st;

	queue_name(name, id, "");
	return fstatat(queue_dir_fd(scanner->dir, folder, id), name, &st,
		   AT_SYMLINK_NOFOLLOW) == 0
	    ? st.st_mtime
	    : 0;
}

/* In the order of their numbers, which most likely is that on disk. */
static void
hand_over_remembered(
    struct scanner *scanner, uint64_t id, bool is_local, bool is_remote)
{
	if (is_local)
		hand_over(scanner, FOUND_LOCAL, id,
		    find_due(scanner, QUEUE_LOCAL, id));
	if (is_remote)
		hand_over(scanner, FOUND_REMOTE, id,
		    find_due(scanner, QUEUE_REMOTE, id));
	if (!is_local && !is_remote)
		hand_over(scanner, FOUND_ENDED, id, 0);
}

static bool
has_message_file(
    const struct scanner *scanner, enum queue_folder folder, uint64_t id)
{
	char name[QUEUE_NAME_SIZE];

	queue_name(name, id, "");
	return faccessat(queue_dir_fd(scanner->dir, folder, id), name, F_OK,
		   AT_SYMLINK_NOFOLLOW) == 0;
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
	size_t i;

	for (i = 0; i < list->count; i++)
		if (!has_id(&known->info, list->at[i]) &&
		    !has_id(&known->todo, list->at[i]) &&
		    !has_id(&known->pid, list->at[i]) &&
		    has_message_file(scanner, folder, list->at[i]))
			hand_over(scanner, FOUND_DAMAGED, list->at[i], 0);
}

/* S2 or S3: nothing says where it goes, and nothing did. */
static bool
is_found_garbage(const struct scanner *scanner, const struct known *known,
    const struct ids *local, const struct ids *remote, uint64_t id)
{
	return !has_id(&known->todo, id) && !has_id(&known->info, id) &&
	    (has_id(&known->pid, id) ||
		(!has_id(local, id) && !has_id(remote, id))) &&
	    may_be_garbage(scanner, id);
}

/* One part of the split folders: which messages are in S5, and in S2, S3. */
static void
scan_part(struct scanner *scanner, unsigned part, struct known *known)
{
	struct ids mess = { .at = NULL }, *info = &known->info;
	struct ids local = { .at = NULL }, remote = { .at = NULL };
	size_t i;

	info->count = 0;
	if (list_folder(scanner, QUEUE_LOCAL, part, &local) == 0 &&
	    list_folder(scanner, QUEUE_REMOTE, part, &remote) == 0 &&
	    list_folder(scanner, QUEUE_INFO, part, info) == 0 &&
	    list_folder(scanner, QUEUE_MESS, part, &mess) == 0) {
		sort_ids(&local);
		sort_ids(&remote);
		sort_ids(info);
		for (i = 0;
		     i < info->count && !atomic_load(&scanner->is_cancelled);
		     i++)
			if (!has_id(&known->todo, info->at[i])) /* S4 */
				hand_over_remembered(scanner, info->at[i],
				    has_id(&local, info->at[i]),
				    has_id(&remote, info->at[i]));
		hand_over_damaged(scanner, QUEUE_LOCAL, &local, known);
		hand_over_damaged(scanner, QUEUE_REMOTE, &remote, known);
		for (i = 0;
		     i < mess.count && !atomic_load(&scanner->is_cancelled);
		     i++)
			if (is_found_garbage(
				scanner, known, &local, &remote, mess.at[i]))
				hand_over(
				    scanner, FOUND_GARBAGE, mess.at[i], 0);
	} else {
		log_line("alert: messages in part %u of the queue wait until "
			 "its folders can be read",
		    part);
		scanner->has_failed = true;
	}
	wake_for_found(scanner);
	ids_release(&mess);
	ids_release(&local);
	ids_release(&remote);
}

/* Visits the files in pid/; what cannot be listed waits for the next time. */
static void
walk_pid(struct scanner *scanner, struct known *known,
    void (*visit)(struct scanner *scanner, struct known *known, int folder,
	const char *name))
{
	int folder = queue_dir_fd(scanner->dir, QUEUE_PID, 0);
	int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *stream = fd == -1 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (stream == NULL) {
		log_line("warning: cannot list pid/: %m");
		if (fd != -1)
			close(fd);
		return;
	}
	while ((entry = readdir(stream)) != NULL)
		if (entry->d_name[0] != '.')
			visit(scanner, known, folder, entry->d_name);
	closedir(stream);
}

static void
note_pid(
    struct scanner *scanner, struct known *known, int folder, const char *name)
{
	uint64_t id;

	(void)scanner;
	(void)folder;
	if (scan_u64(name, UINT64_MAX, &id))
		ids_add(&known->pid, id);
}

/*
 * A file on its way in of which nothing came: its writer is long gone.  A time
 * that a writer sets does not count.
 */
static void
sweep_pid(
    struct scanner *scanner, struct known *known, int folder, const char *name)
{
	struct stat st;
	uint64_t id;

	(void)known;
	if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == -1 ||
	    !S_ISREG(st.st_mode) || st.st_ctime >= time(NULL) - KEEP_GARBAGE_S)
		return;
	if (!scan_u64(name, UINT64_MAX, &id) || id == 0 ||
	    has_message_file(scanner, QUEUE_INFO, id) ||
	    has_message_file(scanner, QUEUE_TODO, id))
		unlinkat(folder, name, 0);
	else /* with what else there is of it */
		hand_over(scanner, FOUND_GARBAGE, id, 0);
}

static void
scan_whole(struct scanner *scanner, struct known *known)
{
	unsigned part;

	walk_pid(scanner, known, note_pid);
	sort_ids(&known->pid);
	/* A part that cannot be read must not keep the others waiting. */
	for (part = 0;
	     part < scanner->dir->split && !atomic_load(&scanner->is_cancelled);
	     part++)
		scan_part(scanner, part, known);
	walk_pid(scanner, known, sweep_pid);
}

static void *
scan(void *arg)
{
	struct scanner *scanner = arg;
	struct known known = { .todo = { .at = NULL } };
	struct ids *todo = &known.todo;
	bool has_todo = list_folder(scanner, QUEUE_TODO, 0, todo) == 0;
	size_t i;

	scanner->has_failed = !has_todo;
	sort_ids(todo);
	for (i = 0; i < todo->count && !atomic_load(&scanner->is_cancelled);
	     i++)
		hand_over(scanner, FOUND_TODO, todo->at[i], 0);
	wake_for_found(scanner);
	/* Without all of todo/, S4 cannot be told from S5. */
	if (scanner->is_whole && has_todo)
		scan_whole(scanner, &known);
	ids_release(&known.todo);
	ids_release(&known.pid);
	ids_release(&known.info);
	pthread_mutex_lock(&scanner->lock);
	scanner->is_done = true;
	pthread_mutex_unlock(&scanner->lock);
	wake_for_found(scanner);
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
		found_list_release(&scanner->found[what]);
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
scanner_take(struct scanner *scanner, struct found_list found_out[FOUND_COUNT])
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
