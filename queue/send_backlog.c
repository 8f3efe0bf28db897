/* SPDX-License-Identifier: ISC */
/*
 * Messages that are not in memory: ids of todo/ in the order of their arrival,
 * and tickets in lanes with the times of the next tries.  The scanner finds
 * what an earlier process left.
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
#include "base/file.h"
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
	/* ids of todo/: those that wait for their turn have its number for a
	 * time, and so are long due; and the same as a set */
	struct schedule todo;
	struct idmap todo_ids;
	time_t last_turn;
	/* with tickets since the whole scan began, which finds them, too */
	struct idmap scheduled[ROUTE_CHANNEL_COUNT];
	/* messages with a ticket for each of their channels, or that are in
	 * memory by one of these: they count once */
	struct idmap split;
	int trigger_read, trigger_write;
	struct loop_source trigger_source;
	time_t next_scan;
	struct scanner *scanner;
	bool wants_whole; /* a whole scan failed: the next one is whole */
	bool has_seen_todo;
	struct loop_source scan_source; /* an eventfd */
};

static void
add_todo(struct send *send, uint64_t id, time_t due)
{
	if (idmap_put(&send->backlog->todo_ids, id, NULL))
		schedule_add(&send->backlog->todo, id, due);
}

void
backlog_add_todo(struct send *send, uint64_t id)
{
	add_todo(send, id, ++send->backlog->last_turn);
}

void
backlog_add_todo_later(struct send *send, uint64_t id)
{
	add_todo(send, id, time(NULL) + LATER_S);
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
    time_t due, struct lane *lane)
{
	struct backlog *backlog = send->backlog;

	if (scanner_is_running_whole(backlog->scanner))
		idmap_put(&backlog->scheduled[channel], id, NULL);
	if (lane == NULL)
		lane = lane_get(send->lanes,
		    channel == ROUTE_LOCAL ? LANE_MIXED_LOCAL
					   : LANE_MIXED_REMOTE,
		    "");
	lane_wait(send->lanes, lane, id, due);
}

void
backlog_set_split(struct send *send, uint64_t id, bool is_split)
{
	if (is_split)
		idmap_put(&send->backlog->split, id, NULL);
	else
		idmap_remove(&send->backlog->split, id);
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
	uint64_t lifetime = settings_number(
	    send->settings, SETTING_queuelifetime);
	uint64_t bounces = settings_number(
	    send->settings, SETTING_bouncelifetime);
	const struct strlist *lines = settings_list(
	    send->settings, SETTING_queuelifetimes);

	if (bounces > lifetime)
		lifetime = bounces;
	for (size_t i = 0; i < lines->count; i++) {
		uint64_t its = strtoul(
		    strchr(lines->items[i], ':') + 1, NULL, 10);

		if (its > lifetime)
			lifetime = its;
	}
	/* No schedule has longer steps than that of the oldest message. */
	return schedule_sane_due(now - (time_t)lifetime, due, now,
	    settle_retry_step(send, channel));
}

static void
add_found_kept(struct send *send, const struct found_item *item)
{
	struct backlog *backlog = send->backlog;
	const struct message *message = idmap_get(&send->active_ids, item->id);
	unsigned tickets = 0;
	bool is_new = false;

	if (message != NULL && message->is_settling)
		return;
	if (!item->has_channel[ROUTE_LOCAL] && !item->has_channel[ROUTE_REMOTE])
		load_ended(send, item->id);
	for (enum route_channel channel = 0; channel < ROUTE_CHANNEL_COUNT;
	     channel++) {
		if (!item->has_channel[channel] ||
		    (message != NULL && message->has_channel[channel]))
			continue;
		tickets++;
		if (idmap_has(&backlog->scheduled[channel], item->id))
			continue;
		is_new = true;
		backlog_add_retry(send, item->id, channel,
		    sane_due(send, channel, item->due[channel]), NULL);
	}
	/* One whose tickets were known may be over by now. */
	if (tickets == ROUTE_CHANNEL_COUNT && is_new)
		backlog_set_split(send, item->id, true);
}

/* What is in memory may be on its way to S5. */
static void
add_found_damaged(struct send *send, uint64_t id)
{
	if (idmap_has(&send->active_ids, id) || !load_is_new_damage(send, id))
		return;
	log_line("alert: message %" PRIu64 " has recipients, but info/%" PRIu64
		 " is missing; it stays until it is repaired (queue-fix -N %s)",
	    id, id, send->dir->path);
}

uint64_t
backlog_todo_count(const struct send *send)
{
	return send->backlog->todo.count;
}

uint64_t
backlog_count(const struct send *send)
{
	return backlog_todo_count(send) + lane_ticket_count(send->lanes) +
	    send->active_count - send->backlog->split.count;
}

static bool
has_load_room(const struct send *send)
{
	return !send->is_stopping && message_has_room(send) &&
	    work_pool_count(send->helpers) < LOADS_MAX;
}

/* Without a worker messages stay where they are. */
static bool
can_try(enum lane_kind kind, void *context)
{
	if (kind == LANE_MIXED_LOCAL)
		kind = LANE_VIRTUAL;
	else if (kind == LANE_MIXED_REMOTE)
		kind = LANE_REMOTE;
	return workers_has(context, kind);
}

void
backlog_run(struct send *send)
{
	struct backlog *backlog = send->backlog;
	time_t now = time(NULL);
	enum lane_kind kind;
	uint64_t id;

	operate_run(send);
	for (int turn = 0; turn < LOADS_A_TURN && has_load_room(send) &&
	     schedule_take(&backlog->todo, now, &id);
	     turn++) {
		idmap_remove(&backlog->todo_ids, id);
		if (operate_is_resting(send, id))
			backlog_add_todo_later(send, id);
		else
			load_todo(send, id);
	}
	for (int turn = 0; turn < LOADS_A_TURN && has_load_room(send) &&
	     lane_take(send->lanes, now, can_try, send, &id, &kind);
	     turn++)
		if (operate_is_resting(send, id))
			backlog_add_retry(
			    send, id, lane_channel(kind), now + LATER_S, NULL);
		else
			load_remembered(send, id, lane_channel(kind));
	if (now >= backlog->next_scan)
		backlog_scan_todo(send);
}

int
backlog_timeout_ms(const struct send *send)
{
	const struct schedule *todo = &send->backlog->todo;

	/* The tick comes every second anyway; only haste is told here. */
	return todo->count > 0 && schedule_next(todo) <= time(NULL) &&
		has_load_room(send)
	    ? 0
	    : -1;
}

void
backlog_judge(struct send *send,
    enum schedule_verdict (*judge_todo)(uint64_t id, void *context),
    enum schedule_verdict (*judge_ticket)(
	uint64_t id, enum lane_kind kind, void *context),
    void *context)
{
	schedule_judge(&send->backlog->todo, judge_todo, context);
	lane_judge_tickets(send->lanes, judge_ticket, context);
}

void
backlog_all_now(struct send *send)
{
	lane_all_now(send->lanes);
	schedule_all_now(&send->backlog->todo);
}

static void
note_ticket(uint64_t id, enum lane_kind kind, void *context)
{
	struct backlog *backlog = context;

	idmap_put(&backlog->scheduled[lane_channel(kind)], id, NULL);
}

static void
start_scan(struct backlog *backlog, bool is_whole)
{
	int result;

	/* The trigger's byte waits, or next_scan comes. */
	if (scanner_is_running(backlog->scanner))
		return;
	is_whole |= backlog->wants_whole;
	backlog->wants_whole = false;
	if (is_whole) /* what is known already need not be found */
		lane_visit_tickets(backlog->send->lanes, note_ticket, backlog);
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
use_found(struct send *send, const struct found_item *item)
{
	switch (item->what) {
	case FOUND_TODO:
		/* Our own is known by its commit, until that fails. */
		if (!uuid_is_none(&item->uuid) && item->id < send->first_id)
			recent_add(send->recent, &item->uuid, item->id);
		add_found_todo(send, item->id);
		break;
	case FOUND_TODO_END:
		send->backlog->has_seen_todo = true;
		intake_tick(send->intake); /* questions can be answered now */
		break;
	case FOUND_KEPT:
		add_found_kept(send, item);
		break;
	case FOUND_DAMAGED:
		add_found_damaged(send, item->id);
		break;
	case FOUND_GARBAGE:
		/*
		 * A large fresh message has its body there, and so has one on
		 * its way in, however old the file looks.
		 */
		if (item->id < send->first_id &&
		    !idmap_has(&send->active_ids, item->id))
			settle_sweep(send, item->id);
		break;
	}
}

bool
backlog_has_seen_todo(const struct send *send)
{
	return send->backlog->has_seen_todo;
}

/* -- what is kept while the journal has it, too */

void
backlog_hold(struct send *send, uint64_t id)
{
	if (!idmap_has(&send->held, id))
		idmap_put(&send->held, id, NULL);
}

void
backlog_let_go(struct send *send, uint64_t id)
{
	struct found_item *found = idmap_get(&send->held, id);

	idmap_remove(&send->held, id);
	/* At the end there is nobody left for what this may begin. */
	if (found != NULL && !send->is_stopping)
		use_found(send, found);
	free(found);
}

/* What was found of it waits until it is let go. */
static void
note_found(struct send *send, const struct found_item *item)
{
	struct found_item *found = idmap_get(&send->held, item->id);

	if (found == NULL)
		found = xmalloc(sizeof(*found));
	*found = *item;
	idmap_put(&send->held, item->id, found);
}

static void
release_held(struct send *send)
{
	for (size_t i = 0; i < send->held.size; i++)
		if (send->held.slots[i].id != 0)
			free(send->held.slots[i].value);
	idmap_release(&send->held);
}

/* -- scans */

static void
scan_ready(uint32_t events, void *context)
{
	struct send *send = context;
	struct backlog *backlog = send->backlog;
	bool is_whole = scanner_is_running_whole(backlog->scanner);
	struct found_list found;
	uint64_t count;
	enum scan_end end;

	(void)events;
	if (read(backlog->scan_source.fd, &count, sizeof(count)) == -1)
		return;
	end = scanner_take(backlog->scanner, &found);
	for (size_t i = 0; i < found.count; i++)
		if (idmap_has(&send->held, found.at[i].id))
			note_found(send, &found.at[i]);
		else
			use_found(send, &found.at[i]);
	found_list_release(&found);
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
	AUTO(mem_free)
	char *path = queue_lock_path(backlog->send->dir->path, "trigger");

	backlog->trigger_read = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	/* A writer of our own keeps the end of file away. */
	backlog->trigger_write = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	if (backlog->trigger_read == -1 || backlog->trigger_write == -1)
		return error_sys(err,
		    "cannot open '%s' (repair the queue "
		    "with queue-fix)",
		    path);
	return 0;
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
	/* A smaller record fits into a segment, with any body that is in it. */
	backlog->scanner = scanner_new(send->dir,
	    settings_number(send->settings, SETTING_journalsize) / 16, fd);
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

	if (backlog == NULL)
		return;
	scanner_free(&backlog->scanner);
	file_close(&backlog->scan_source.fd);
	file_close(&backlog->trigger_read);
	file_close(&backlog->trigger_write);
	schedule_release(&backlog->todo);
	idmap_release(&backlog->todo_ids);
	idmap_release(&backlog->split);
	release_held(send);
	idmap_release(&backlog->scheduled[ROUTE_LOCAL]);
	idmap_release(&backlog->scheduled[ROUTE_REMOTE]);
	free(backlog);
	send->backlog = NULL;
}
