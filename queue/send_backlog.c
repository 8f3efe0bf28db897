/* SPDX-License-Identifier: ISC */
/*
 * Messages that are not in memory: ids of todo/ in the order of their arrival,
 * and for each channel the times of the next tries.  The scanner finds what an
 * earlier process left.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "queue/scanner.h"
#include "queue/send.h"

enum {
	TRIGGER_S = 1500, /* todo/ is looked through at least so often */
	LATER_S = 600,
	FAILED_SCAN_S = 60,
	LOADS_A_TURN = 64
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
	struct scanner *scanner;
	bool wants_whole; /* a whole scan failed: the next one is whole */
	struct loop_source scan_source; /* an eventfd */
};

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

	if (scanner_is_running_whole(backlog->scanner))
		idmap_put(&backlog->scheduled[channel], id, NULL);
	schedule_add(&backlog->retries[channel], id, due);
}

/*
 * The file is a message's in memory, most likely.  But one that is over may
 * still be there because nobody has told us of its end: by then qmail-queue
 * alone can have got its inode for the next one.
 */
static void
add_found_todo(struct send *send, uint64_t id)
{
	struct message *message = idmap_get(&send->active_ids, id);

	if (message != NULL)
		message->is_in_todo_too = true; /* over() looks again */
	else
		backlog_add_todo(send, id);
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
	return !send->is_stopping && message_has_room(send);
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

	if (scanner_is_running_whole(backlog->scanner))
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
	int result;

	if (scanner_is_running(backlog->scanner))
		return; /* the trigger's byte waits, or next_scan comes */
	is_whole |= backlog->wants_whole;
	backlog->wants_whole = false;
	if (is_whole) {
		note_scheduled(backlog, ROUTE_LOCAL);
		note_scheduled(backlog, ROUTE_REMOTE);
	}
	result = scanner_start(backlog->scanner, is_whole);
	if (result == -1) {
		log_line("alert: cannot start the scanner; will try again");
		backlog->wants_whole = is_whole;
	}
	backlog->next_scan = time(NULL) + (result == 0 ? TRIGGER_S : 1);
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
			add_found_todo(send, id);
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
	bool is_whole = scanner_is_running_whole(backlog->scanner);
	struct ids found[FOUND_COUNT];
	uint64_t count;
	enum scan_end end;
	enum found what;

	(void)events;
	if (read(backlog->scan_source.fd, &count, sizeof(count)) == -1)
		return;
	end = scanner_take(backlog->scanner, found);
	for (what = 0; what < FOUND_COUNT; what++) {
		take_found(send, what, &found[what]);
		ids_release(&found[what]);
	}
	if (end == SCAN_RUNS)
		return;
	idmap_release(&backlog->scheduled[ROUTE_LOCAL]);
	idmap_release(&backlog->scheduled[ROUTE_REMOTE]);
	if (end == SCAN_FAILED) {
		log_line("alert: the queue could not be looked through; will "
			 "try again in %d seconds",
		    FAILED_SCAN_S);
		backlog->wants_whole |= is_whole;
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
	if (scanner_is_running(send->backlog->scanner))
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
	send->backlog = backlog;
	if (open_trigger(backlog, err) == -1)
		return -1;
	fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fd == -1)
		return error_sys(err, "cannot make an eventfd");
	backlog->scanner = scanner_new(send->dir, fd);
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

	if (backlog == NULL)
		return;
	scanner_free(&backlog->scanner);
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
	free(backlog);
	send->backlog = NULL;
}
