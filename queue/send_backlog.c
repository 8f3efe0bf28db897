/* SPDX-License-Identifier: ISC */
/*
 * Messages that are not in memory: ids of todo/ in the order of their arrival,
 * and for each channel the times of the next tries.  A scanner thread finds
 * what an earlier process left, while new mail is taken already.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/scan.h"
#include "queue/send.h"

enum {
	TRIGGER_S = 1500, /* todo/ is looked through at least so often */
	LATER_S = 600,
	FAILED_SCAN_S = 60,
	HANDED_MAX = 4096, /* ids that the scanner hands over at once */
	LOADS_A_TURN = 64
};

/* Numbers in a growing array. */
struct ids {
	uint64_t *at;
	size_t count, size;
};

enum found {
	FOUND_TODO,
	FOUND_LOCAL,
	FOUND_REMOTE,
	FOUND_ENDED,
	FOUND_GARBAGE,
	FOUND_COUNT
};

struct backlog {
	struct send *send;
	/* todo ids, a ring; and the same as a set */
	struct ids todo;
	size_t todo_first;
	struct idmap todo_ids;
	struct schedule todo_later;
	struct schedule retries[ROUTE_CHANNEL_COUNT];
	/* those put there during the whole scan, which finds them too */
	struct idmap scheduled[ROUTE_CHANNEL_COUNT];
	int trigger_read, trigger_write;
	struct loop_source trigger_source;
	time_t next_scan;
	/* the scanner */
	pthread_t thread;
	bool is_thread_running, is_whole_scan;
	bool has_failed;  /* the thread's, until it is joined */
	bool wants_whole; /* a whole scan failed: the next one is whole */
	atomic_bool is_cancelled;
	struct loop_source scan_source; /* an eventfd */
	pthread_mutex_t lock;           /* for found and is_scan_done */
	pthread_cond_t found_taken;
	struct ids found[FOUND_COUNT];
	bool is_scan_done;
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
backlog_add_todo(struct send *send, uint64_t id)
{
	struct backlog *backlog = send->backlog;
	struct ids *todo = &backlog->todo;

	if (!idmap_put(&backlog->todo_ids, id, NULL))
		return; /* is there already */
	/* The front that was taken is closed up now and then. */
	if (backlog->todo_first > 1024 &&
	    backlog->todo_first > todo->count / 2) {
		todo->count -= backlog->todo_first;
		memmove(todo->at, todo->at + backlog->todo_first,
		    todo->count * sizeof(*todo->at));
		backlog->todo_first = 0;
	}
	ids_add(todo, id);
}

void
backlog_add_todo_later(struct send *send, uint64_t id)
{
	schedule_add(&send->backlog->todo_later, id, time(NULL) + LATER_S);
}

void
backlog_look_again(struct send *send)
{
	struct backlog *backlog = send->backlog;
	time_t soon = time(NULL) + FAILED_SCAN_S;

	backlog->wants_whole = true;
	if (backlog->next_scan > soon)
		backlog->next_scan = soon;
}

void
backlog_add_retry(
    struct send *send, uint64_t id, enum route_channel channel, time_t due)
{
	struct backlog *backlog = send->backlog;

	if (backlog->is_thread_running && backlog->is_whole_scan)
		idmap_put(&backlog->scheduled[channel], id, NULL);
	schedule_add(&backlog->retries[channel], id, due);
}

static void
add_found_retry(struct send *send, uint64_t id, enum route_channel channel)
{
	const struct message *message = idmap_get(&send->active_ids, id);

	if (message != NULL && message->has_channel[channel])
		return;
	if (!idmap_has(&send->backlog->scheduled[channel], id))
		schedule_add(&send->backlog->retries[channel], id, 0);
}

uint64_t
backlog_todo_count(const struct send *send)
{
	const struct backlog *backlog = send->backlog;

	return backlog->todo.count - backlog->todo_first +
	    backlog->todo_later.count;
}

uint64_t
backlog_count(const struct send *send)
{
	const struct backlog *backlog = send->backlog;

	return backlog_todo_count(send) + backlog->retries[ROUTE_LOCAL].count +
	    backlog->retries[ROUTE_REMOTE].count;
}

static bool
has_room(const struct send *send)
{
	return !send->is_stopping && send->active_count < send->active_max;
}

/* Without a worker, or held, messages stay where they are. */
static bool
can_try(const struct send *send, enum route_channel channel)
{
	return !send->is_held[channel] && deliver_has_worker(send, channel);
}

static void
run_retries(struct send *send, enum route_channel channel, time_t now)
{
	struct schedule *retries = &send->backlog->retries[channel];
	uint64_t id;
	int turn;

	if (!can_try(send, channel))
		return;
	for (turn = 0; turn < LOADS_A_TURN && has_room(send); turn++) {
		if (!schedule_take(retries, now, &id))
			return;
		message_load_remembered(send, id, channel);
	}
}

/*
 * Has everything that ALRM made due been taken up?  What still is being found,
 * or waits for a worker, has not.
 */
static bool
all_tried(const struct send *send, time_t now)
{
	const struct backlog *backlog = send->backlog;
	enum route_channel channel;

	if (backlog->is_thread_running && backlog->is_whole_scan)
		return false;
	for (channel = 0; channel < ROUTE_CHANNEL_COUNT; channel++)
		if (backlog->retries[channel].count > 0 &&
		    schedule_next(&backlog->retries[channel]) <= now)
			return false;
	return true;
}

void
backlog_run(struct send *send)
{
	struct backlog *backlog = send->backlog;
	struct ids *todo = &backlog->todo;
	enum route_channel channel;
	time_t now = time(NULL);
	uint64_t id;
	int turn;

	while (schedule_take(&backlog->todo_later, now, &id))
		backlog_add_todo(send, id);
	for (turn = 0; turn < LOADS_A_TURN && has_room(send) &&
	     backlog->todo_first < todo->count;
	     turn++) {
		id = todo->at[backlog->todo_first++];
		idmap_remove(&backlog->todo_ids, id);
		message_load_todo(send, id);
	}
	for (channel = 0; channel < ROUTE_CHANNEL_COUNT; channel++)
		run_retries(send, channel, now);
	if (send->is_retrying_all && all_tried(send, now))
		send->is_retrying_all = false;
	if (now >= backlog->next_scan)
		backlog_scan_todo(send);
}

int
backlog_timeout_ms(const struct send *send)
{
	const struct backlog *backlog = send->backlog;

	/* The tick comes every second anyway; only haste is told here. */
	if (has_room(send) && backlog->todo_first < backlog->todo.count)
		return 0;
	return -1;
}

void
backlog_all_now(struct send *send)
{
	enum route_channel channel;

	send->is_retrying_all = true;
	for (channel = 0; channel < ROUTE_CHANNEL_COUNT; channel++)
		schedule_all_now(&send->backlog->retries[channel]);
	schedule_all_now(&send->backlog->todo_later);
}

/* -- the scanner's thread */

/* Hands ids to the loop; waits when it is slower than we are. */
static void
hand_over(struct backlog *backlog, enum found what, const struct ids *ids)
{
	uint64_t one = 1;
	size_t done = 0;

	while (done < ids->count) {
		struct ids *found = &backlog->found[what];

		pthread_mutex_lock(&backlog->lock);
		while (found->count >= HANDED_MAX &&
		    !atomic_load(&backlog->is_cancelled))
			pthread_cond_wait(
			    &backlog->found_taken, &backlog->lock);
		do
			ids_add(found, ids->at[done++]);
		while (done < ids->count && found->count < HANDED_MAX);
		pthread_mutex_unlock(&backlog->lock);
		if (write(backlog->scan_source.fd, &one, sizeof(one)) == -1 &&
		    errno != EAGAIN)
			log_line("alert: cannot wake the event loop: %m");
	}
}

/* Lists the ids of one folder; a name that is no id is told and left alone. */
static int
list_folder(struct backlog *backlog, enum queue_folder folder, unsigned part,
    struct ids *ids)
{
	int fd = openat(queue_dir_fd(backlog->send->dir, folder, part), ".",
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
	while (!atomic_load(&backlog->is_cancelled)) {
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
may_be_garbage(const struct backlog *backlog, uint64_t id)
{
	const struct queue_dir *dir = backlog->send->dir;
	char name[QUEUE_NAME_SIZE];
	struct stat st;

	queue_name(name, id, "");
	return fstatat(queue_dir_fd(dir, QUEUE_MESS, id), name, &st,
		   AT_SYMLINK_NOFOLLOW) == 0 &&
	    st.st_mtime < time(NULL) - COMMIT_GARBAGE_S;
}

/* One part of the split folders: which messages are in S5, and in S2, S3. */
static void
scan_part(struct backlog *backlog, unsigned part, const struct ids *todo)
{
	struct ids mess = { .at = NULL }, info = { .at = NULL };
	struct ids local = { .at = NULL }, remote = { .at = NULL };
	struct ids found[FOUND_COUNT] = { { .at = NULL } };
	enum found what;
	size_t i;

	if (list_folder(backlog, QUEUE_LOCAL, part, &local) == 0 &&
	    list_folder(backlog, QUEUE_REMOTE, part, &remote) == 0 &&
	    list_folder(backlog, QUEUE_INFO, part, &info) == 0 &&
	    list_folder(backlog, QUEUE_MESS, part, &mess) == 0) {
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
			    may_be_garbage(backlog, mess.at[i]))
				ids_add(&found[FOUND_GARBAGE], mess.at[i]);
	} else
		backlog->has_failed = true;
	for (what = 0; what < FOUND_COUNT; what++) {
		hand_over(backlog, what, &found[what]);
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
	struct backlog *backlog = arg;
	struct ids todo = { .at = NULL };
	uint64_t one = 1;
	unsigned part;

	backlog->has_failed = list_folder(backlog, QUEUE_TODO, 0, &todo) == -1;
	hand_over(backlog, FOUND_TODO, &todo);
	sort_ids(&todo);
	/* Without all of todo/, S4 cannot be told from S5. */
	for (part = 0; backlog->is_whole_scan && !backlog->has_failed &&
	     part < backlog->send->dir->split &&
	     !atomic_load(&backlog->is_cancelled);
	     part++)
		scan_part(backlog, part, &todo);
	ids_release(&todo);
	pthread_mutex_lock(&backlog->lock);
	backlog->is_scan_done = true;
	pthread_mutex_unlock(&backlog->lock);
	if (write(backlog->scan_source.fd, &one, sizeof(one)) == -1)
		log_line("alert: cannot wake the event loop: %m");
	return NULL;
}

/* -- the loop's side of it */

/* What is known already need not be found. */
static void
note_scheduled(struct backlog *backlog, enum route_channel channel)
{
	const struct schedule *retries = &backlog->retries[channel];
	size_t i;

	for (i = 0; i < retries->count; i++)
		idmap_put(
		    &backlog->scheduled[channel], retries->entries[i].id, NULL);
}

static void
start_scan(struct backlog *backlog, bool is_whole)
{
	sigset_t all, old;

	if (backlog->is_thread_running)
		return; /* the trigger's byte waits, or next_scan comes */
	backlog->is_whole_scan = is_whole || backlog->wants_whole;
	backlog->wants_whole = false;
	backlog->is_scan_done = false;
	if (backlog->is_whole_scan) {
		note_scheduled(backlog, ROUTE_LOCAL);
		note_scheduled(backlog, ROUTE_REMOTE);
	}
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	if (pthread_create(&backlog->thread, NULL, scan, backlog) == 0)
		backlog->is_thread_running = true;
	else
		log_line("alert: cannot start the scanner; will try again");
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	backlog->next_scan = time(NULL) +
	    (backlog->is_thread_running ? TRIGGER_S : 1);
}

void
backlog_scan_todo(struct send *send)
{
	start_scan(send->backlog, false);
}

static void
take_found(struct send *send, enum found what, const struct ids *ids)
{
	size_t i;

	for (i = 0; i < ids->count; i++) {
		uint64_t id = ids->at[i];

		switch (what) {
		case FOUND_TODO:
			if (!idmap_has(&send->active_ids, id))
				backlog_add_todo(send, id);
			break;
		case FOUND_LOCAL:
			add_found_retry(send, id, ROUTE_LOCAL);
			break;
		case FOUND_REMOTE:
			add_found_retry(send, id, ROUTE_REMOTE);
			break;
		case FOUND_ENDED:
			message_load_ended(send, id);
			break;
		case FOUND_GARBAGE:
			settle_sweep(send, id);
			break;
		case FOUND_COUNT:
			break;
		}
	}
}

static void
scan_ready(uint32_t events, void *context)
{
	struct send *send = context;
	struct backlog *backlog = send->backlog;
	struct ids found[FOUND_COUNT];
	uint64_t count;
	bool is_done;
	enum found what;

	(void)events;
	if (read(backlog->scan_source.fd, &count, sizeof(count)) == -1)
		return;
	pthread_mutex_lock(&backlog->lock);
	memcpy(found, backlog->found, sizeof(found));
	memset(backlog->found, 0, sizeof(backlog->found));
	is_done = backlog->is_scan_done;
	pthread_cond_signal(&backlog->found_taken);
	pthread_mutex_unlock(&backlog->lock);
	for (what = 0; what < FOUND_COUNT; what++) {
		take_found(send, what, &found[what]);
		ids_release(&found[what]);
	}
	if (!is_done || !backlog->is_thread_running)
		return;
	pthread_join(backlog->thread, NULL);
	backlog->is_thread_running = false;
	idmap_release(&backlog->scheduled[ROUTE_LOCAL]);
	idmap_release(&backlog->scheduled[ROUTE_REMOTE]);
	if (backlog->has_failed) {
		log_line("alert: the queue could not be looked through; will "
			 "try again in %d seconds",
		    FAILED_SCAN_S);
		backlog->wants_whole = backlog->is_whole_scan;
		backlog->next_scan = time(NULL) + FAILED_SCAN_S;
	}
	if (send->health.state == HEALTH_STARTING)
		send->health.state = HEALTH_UP;
}

/* qmail-queue, without us, put something into todo/. */
static void
trigger_ready(uint32_t events, void *context)
{
	struct send *send = context;
	char bytes[256];

	(void)events;
	while (read(send->backlog->trigger_read, bytes, sizeof(bytes)) > 0)
		continue;
	if (send->backlog->is_thread_running)
		send->backlog->next_scan = time(NULL) + 1;
	else
		backlog_scan_todo(send);
}

static int
open_trigger(struct backlog *backlog, struct error *err)
{
	char *path = queue_lock_path(backlog->send->dir->path, "trigger");
	int result = 0;

	backlog->trigger_read = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	/* A writer of our own keeps the end of file away. */
	backlog->trigger_write = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	if (backlog->trigger_read == -1 || backlog->trigger_write == -1)
		result = error_sys(err,
		    "cannot open '%s' (repair the queue "
		    "with queue-fix)",
		    path);
	free(path);
	return result;
}

int
backlog_open(struct send *send, struct error *err)
{
	struct backlog *backlog = xcalloc(1, sizeof(*backlog));
	int fd;

	backlog->send = send;
	backlog->trigger_read = backlog->trigger_write = -1;
	backlog->scan_source.fd = -1;
	pthread_mutex_init(&backlog->lock, NULL);
	pthread_cond_init(&backlog->found_taken, NULL);
	send->backlog = backlog;
	if (open_trigger(backlog, err) == -1)
		return -1;
	fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fd == -1)
		return error_sys(err, "cannot make an eventfd");
	backlog->scan_source = (struct loop_source){
		.fd = fd, .ready = scan_ready, .context = send
	};
	backlog->trigger_source = (struct loop_source){
		.fd = backlog->trigger_read,
		.ready = trigger_ready,
		.context = send
	};
	if (loop_add(send->loop, &backlog->scan_source, EPOLLIN, err) == -1 ||
	    loop_add(send->loop, &backlog->trigger_source, EPOLLIN, err) == -1)
		return -1;
	start_scan(backlog, true);
	return 0;
}

void
backlog_close(struct send *send)
{
	struct backlog *backlog = send->backlog;
	enum route_channel channel;
	enum found what;

	if (backlog == NULL)
		return;
	if (backlog->is_thread_running) {
		atomic_store(&backlog->is_cancelled, true);
		pthread_mutex_lock(&backlog->lock);
		pthread_cond_broadcast(&backlog->found_taken);
		pthread_mutex_unlock(&backlog->lock);
		pthread_join(backlog->thread, NULL);
	}
	for (what = 0; what < FOUND_COUNT; what++)
		ids_release(&backlog->found[what]);
	if (backlog->scan_source.fd != -1)
		close(backlog->scan_source.fd);
	if (backlog->trigger_read != -1)
		close(backlog->trigger_read);
	if (backlog->trigger_write != -1)
		close(backlog->trigger_write);
	ids_release(&backlog->todo);
	idmap_release(&backlog->todo_ids);
	schedule_release(&backlog->todo_later);
	for (channel = 0; channel < ROUTE_CHANNEL_COUNT; channel++) {
		schedule_release(&backlog->retries[channel]);
		idmap_release(&backlog->scheduled[channel]);
	}
	pthread_mutex_destroy(&backlog->lock);
	pthread_cond_destroy(&backlog->found_taken);
	free(backlog);
	send->backlog = NULL;
}
