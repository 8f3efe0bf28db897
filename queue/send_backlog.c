/* SPDX-License-Identifier: ISC */
/*
 * Messages that are not in memory: ids of todo/ in the order of their arrival,
 * and tickets in lanes with the times of the next tries.  The scanner finds what
 * an earlier process left.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "queue/scanner.h"
#include "queue/schedule.h"
#include "queue/send.h"

enum {
	TRIGGER_S = 1500, /* todo/ is looked through at least so often */
	LATER_S = 600,
	FAILED_SCAN_S = 60,
	LOADS_A_TURN = 64,
	LOADS_MAX = 256, /* under way */
	TRIGGER_BYTES = 4096
};

struct backlog {
	struct send *send;
	/* todo ids, a ring; and the same as a set */
	struct found_list todo;
	size_t todo_first;
	struct idmap todo_ids;
	struct schedule todo_later;
	/* those with tickets since the whole scan began, which finds them too */
	struct idmap scheduled[ROUTE_CHANNEL_COUNT];
	struct lane *mixed; /* of tickets whose lanes are not known */
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
	struct found_list *todo = &backlog->todo;

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
	found_list_add(todo, (struct found_item){ .id = id });
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
backlog_add_retry(struct send *send, uint64_t id, enum route_channel channel,
    time_t due, struct lane *lane, const char *sender)
{
	struct backlog *backlog = send->backlog;
	struct lane_ticket ticket = { .id = id,
		.due_s = due < 0 ? 0 : (uint32_t)due,
		.lane = lane_number(lane == NULL ? backlog->mixed : lane),
		.sender = sender == NULL ? 0 : lane_sender_hash(sender),
		.channel = (uint8_t)channel };

	if (scanner_is_running_whole(backlog->scanner))
		idmap_put(&backlog->scheduled[channel], id, NULL);
	lane_wait(send->lanes, &ticket);
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

/* What the file's time says, unless a clock that was ahead has made it. */
static time_t
sane_due(const struct send *send, enum route_channel channel, time_t due)
{
	time_t now = time(NULL);
	/* No schedule has longer steps than that of the oldest message. */
	time_t birth = now -
	    (time_t)settings_number(send->settings, SETTING_queuelifetime);

	return schedule_sane_due(
	    birth, due, now, settle_retry_step(channel));
}

static void
add_found_retry(struct send *send, const struct found_item *file,
    enum route_channel channel)
{
	const struct message *message = idmap_get(
	    &send->active_ids, file->id);

	if (message != NULL &&
	    (message->has_channel[channel] || message->is_settling))
		return;
	if (!idmap_has(&send->backlog->scheduled[channel], file->id))
		backlog_add_retry(send, file->id, channel,
		    sane_due(send, channel, file->due), NULL, NULL);
}

/* What is in memory may be on its way to S5. */
static void
add_found_damaged(struct send *send, uint64_t id)
{
	if (idmap_has(&send->active_ids, id) || !load_is_new_damage(send, id))
		return;
	log_line("alert: message %" PRIu64
		 " has recipients, but info/%" PRIu64
		 " is missing; it stays until it is repaired (queue-fix -N %s)",
	    id, id, send->dir->path);
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
	return backlog_todo_count(send) + lane_ticket_count(send->lanes);
}

static bool
has_room(const struct send *send)
{
	return !send->is_stopping && message_has_room(send) &&
	    work_pool_count(send->helpers) < LOADS_MAX;
}

/* Without a worker messages stay where they are. */
static bool
can_try(enum lane_kind kind, unsigned channel, void *context)
{
	const struct send *send = context;

	if (send->is_held[channel])
		return false;
	if (kind == LANE_MIXED)
		kind = channel == ROUTE_LOCAL ? LANE_VIRTUAL : LANE_REMOTE;
	return deliver_has_worker(send, kind);
}

void
backlog_run(struct send *send)
{
	struct backlog *backlog = send->backlog;
	struct found_list *todo = &backlog->todo;
	/* A lane gets a part of the room, so that others find some. */
	size_t share = send->kept_max / 4;
	struct lane_ticket ticket;
	time_t now = time(NULL);
	uint64_t id;
	int turn;

	while (schedule_take(&backlog->todo_later, now, &id))
		backlog_add_todo(send, id);
	for (turn = 0; turn < LOADS_A_TURN && has_room(send) &&
	     backlog->todo_first < todo->count;
	     turn++) {
		id = todo->at[backlog->todo_first++].id;
		idmap_remove(&backlog->todo_ids, id);
		load_todo(send, id);
	}
	for (turn = 0; turn < LOADS_A_TURN && has_room(send) &&
	     lane_take(send->lanes, now, share, can_try, send, &ticket);
	     turn++) {
		load_remembered(
		    send, ticket.id, (enum route_channel)ticket.channel);
		lane_release(send->lanes,
		    lane_of_number(send->lanes, ticket.lane));
	}
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
	lane_all_now(send->lanes);
	schedule_all_now(&send->backlog->todo_later);
}

static bool
note_ticket(const struct lane_ticket *ticket, void *context)
{
	struct backlog *backlog = context;

	idmap_put(&backlog->scheduled[ticket->channel], ticket->id, NULL);
	return false; /* its time stays */
}

static void
start_scan(struct backlog *backlog, bool is_whole)
{
	int result;

	/* The trigger's byte waits, or next_scan comes; or the first one. */
	if (scanner_is_running(backlog->scanner) ||
	    backlog->send->ends_awaited > 0)
		return;
	is_whole |= backlog->wants_whole;
	backlog->wants_whole = false;
	if (is_whole) /* what is known already need not be found */
		lane_hurry(backlog->send->lanes, note_ticket, backlog);
	result = scanner_start(backlog->scanner, is_whole);
	if (result == -1) {
		log_line("alert: cannot start the scanner; will try again");
		backlog->wants_whole = is_whole;
	}
	backlog->next_scan = time(NULL) + (result == 0 ? TRIGGER_S : 1);
}

void
backlog_begin(struct send *send)
{
	start_scan(send->backlog, true);
}

void
backlog_scan_todo(struct send *send)
{
	start_scan(send->backlog, false);
}

static void
take_found(struct send *send, enum found what, const struct found_list *files)
{
	size_t i;

	for (i = 0; i < files->count; i++) {
		const struct found_item *file = &files->at[i];

		switch (what) {
		case FOUND_TODO:
			add_found_todo(send, file->id);
			break;
		case FOUND_LOCAL:
			add_found_retry(send, file, ROUTE_LOCAL);
			break;
		case FOUND_REMOTE:
			add_found_retry(send, file, ROUTE_REMOTE);
			break;
		case FOUND_ENDED:
			load_ended(send, file->id);
			break;
		case FOUND_DAMAGED:
			add_found_damaged(send, file->id);
			break;
		case FOUND_GARBAGE:
			/*
			 * A large fresh message has its body there, and so
			 * has one on its way in, however old the file looks.
			 */
			if (file->id < send->first_id &&
			    !idmap_has(&send->active_ids, file->id))
				settle_sweep(send, file->id);
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
	struct found_list found[FOUND_COUNT];
	uint64_t count;
	enum scan_end end;
	enum found what;

	(void)events;
	if (read(backlog->scan_source.fd, &count, sizeof(count)) == -1)
		return;
	end = scanner_take(backlog->scanner, found);
	for (what = 0; what < FOUND_COUNT; what++) {
		take_found(send, what, &found[what]);
		found_list_release(&found[what]);
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

/*
 * qmail-queue, without us, put something into todo/.  Anybody may say so: a
 * writer who never ends gets no more than a look each second.
 */
static void
trigger_ready(uint32_t events, void *context)
{
	struct send *send = context;
	struct backlog *backlog = send->backlog;
	char bytes[TRIGGER_BYTES];

	(void)events;
	if (read(backlog->trigger_read, bytes, sizeof(bytes)) <= 0)
		return;
	loop_change(send->loop, &backlog->trigger_source, 0);
	if (scanner_is_running(backlog->scanner))
		backlog->next_scan = time(NULL) + 1;
	else
		backlog_scan_todo(send);
}

void
backlog_tick(struct send *send)
{
	loop_change(send->loop, &send->backlog->trigger_source, EPOLLIN);
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
	backlog->mixed = lane_hold(send->lanes, LANE_MIXED, "");
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
	backlog_begin(send);
	return 0;
}

void
backlog_close(struct send *send)
{
	struct backlog *backlog = send->backlog;

	if (backlog == NULL)
		return;
	scanner_free(&backlog->scanner);
	if (backlog->scan_source.fd != -1)
		close(backlog->scan_source.fd);
	if (backlog->trigger_read != -1)
		close(backlog->trigger_read);
	if (backlog->trigger_write != -1)
		close(backlog->trigger_write);
	found_list_release(&backlog->todo);
	idmap_release(&backlog->todo_ids);
	schedule_release(&backlog->todo_later);
	idmap_release(&backlog->scheduled[ROUTE_LOCAL]);
	idmap_release(&backlog->scheduled[ROUTE_REMOTE]);
	lane_release(send->lanes, backlog->mixed);
	free(backlog);
	send->backlog = NULL;
}
