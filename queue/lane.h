/* SPDX-License-Identifier: ISC */
/*
 * Lanes: what waits for a delivery waits in the lane of where it goes, so that
 * what one destination does holds up nobody else.
 *
 * A lane has two lines.  Parts are recipients of messages in memory that can be
 * given to a worker; tickets are kept messages on disk, an id and a time, one
 * for each channel of the message.  Both are served lane by lane in turn, and
 * no lane takes up all deliveries or all memory.  A lane that backs off is
 * passed over whole: it costs one timer, whatever waits in it.
 *
 * Used by one thread (qmail-send's event loop).  Times are arguments: now is
 * Unix time in seconds, now_ms is clock_ms().
 */
#ifndef QUEUE_LANE_H
#define QUEUE_LANE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <time.h>

#include "queue/job.h"
#include "queue/route.h"
#include "queue/schedule.h"

enum lane_kind {
	/* Tickets only: of kept messages that were not read yet, or that are
	 * for several lanes of their channel. */
	LANE_MIXED_LOCAL,
	LANE_MIXED_REMOTE,
	LANE_VIRTUAL, /* users of virtual domains */
	LANE_LOCAL,   /* the general local way */
	LANE_REMOTE,
	/* Users of virtual domains whom another node of the cluster serves:
	 * remote deliveries of recipients that are in local/ID, as where they
	 * go is asked anew with each try. */
	LANE_NODE,
	LANE_KIND_COUNT
};

/* Of the recipients in it. */
enum route_channel lane_channel(enum lane_kind kind);
/* Of its deliveries, and of the worker that has them. */
enum route_channel lane_way(enum lane_kind kind);
/* Of the lane that a worker names, whose kind else is this one. */
enum lane_kind lane_kind_of_key(enum lane_kind kind, const char *key);

struct lane_table;
struct lane;

/* Recipients of one message in one lane; part of the owner's struct. */
struct lane_part {
	struct lane *lane; /* set by lane_part_init() */
	void *message;     /* the owner's */
	/* the table's own */
	TAILQ_ENTRY(lane_part) in_line;
	bool is_in_line, is_from_disk;
};

/*
 * A lane reads no message more from disk while it has share of those that it
 * has read in memory.  New mail does not count: it would keep old mail back.
 */
struct lane_table *lane_table_new(size_t share);
/* Of a lifetime: mail for who does not answer is looked at again. */
enum { LANE_PATIENCE_SHARE = 32 };
/*
 * A ticket in a lane that backs off is read all the same when it is due for
 * that part of its mail's lifetime: its message may have to be given up.  At
 * first never.  lifetimes: lines of remote domains (control/domain_lines.h),
 * which stay the caller's, until the next ones.  In a node's lane it is read when
 * it is due for LANE_NODE_PATIENCE_S: another node may serve the user by now.
 */
enum { LANE_NODE_PATIENCE_S = 300 };
void lane_set_lifetimes(struct lane_table *table, time_t lifetime_s,
    const struct strlist *lifetimes);
void lane_table_free(struct lane_table **table);

/*
 * The lane of this key, made if there is none, and the caller gives it
 * something next: it is there while it has parts, tickets, running deliveries,
 * room or a back-off.  "virtual", "virtual:example.test", "local", "@node2", and
 * a remote destination's name in lower case are keys; of a remote one a blank and
 * JOB_LANE_WITHOUT_TLS_POLICY, and a blank and the sender, can follow.
 */
struct lane *lane_get(
    struct lane_table *table, enum lane_kind kind, const char *key);
/* The lane of this name, or NULL. */
struct lane *lane_find(
    struct lane_table *table, enum lane_kind kind, const char *key);

const char *lane_key(const struct lane *lane);
/* Its own; or of a remote one, its domain's: also for those of its senders. */
bool lane_has_key(const struct lane *lane, const char *key);
enum lane_kind lane_get_kind(const struct lane *lane);
uint64_t lane_number(const struct lane *lane); /* not 0, never another's */

/*
 * Deliveries of all lanes of a kind together; without it there is no limit.
 * is_shared: a lane begins none while it has three times as many as are still
 * free, so that some are free for others however long its own take.
 */
void lane_set_limit(struct lane_table *table, enum lane_kind kind,
    unsigned limit, bool is_shared);
/*
 * The same for the lanes of a key (of a remote domain: also for those of its
 * senders), whether there are any now or not.  False when that is so already.
 */
bool lane_hold(struct lane_table *table, const char *key, bool is_held);
/* The keys that are held; NULL behind the last one, or at once. */
const char *lane_held_key(const struct lane_table *table, size_t i);
/*
 * Ends the back-offs of the lanes of a key, and all tickets there are due; they
 * ask with JOB_WISH_ANYWAY, once, within a minute.  How many lanes there are.
 */
unsigned lane_retry_key(struct lane_table *table, const char *key);
/* Ends the back-offs of the remote lanes of a domain or node, or (NULL) of all. */
void lane_wake_remote(struct lane_table *table, const char *domain);

/* Nothing of this kind is started, or read from disk. */
void lane_set_held(struct lane_table *table, enum lane_kind kind, bool is_held);

/*
 * Nothing of the lane is started, or read from disk, before until_ms.  0 ends a
 * back-off at once.  reason: why, for lane_reason().
 */
void lane_back_off(struct lane_table *table, struct lane *lane,
    int64_t until_ms, const char *reason);
/* Of its back-off; "" without one. */
const char *lane_reason(const struct lane *lane);
/* Ends what is over by now_ms. */
void lane_run_timers(struct lane_table *table, int64_t now_ms);
/* When its back-off ends; 0: it has none. */
int64_t lane_backs_off_until_ms(const struct lane *lane);
/* How many back off. */
uint32_t lane_count_backing_off(const struct lane_table *table);
/* Does it back off, or is it, or its kind, held? */
bool lane_is_held(const struct lane *lane);
bool lane_is_resting(const struct lane_table *table, const struct lane *lane);

/* -- room: a remote lane has none before its worker has given it some */

/* So many jobs of the lane at once, from now on; 0 lets it ask again. */
void lane_set_room(struct lane_table *table, struct lane *lane, uint32_t jobs);
/* There is no worker any more: no remote lane has room. */
void lane_take_rooms(struct lane_table *table);
/*
 * One that has something to be started and no room; once.  NULL: none.
 * *wish_out: not NONE when lane_all_now() (NOW) or lane_retry_key() was called
 * since it asked last.
 */
struct lane *lane_next_to_ask(
    struct lane_table *table, enum job_wish *wish_out);
/* A remote one that has none: who knows when its host answers? */
bool lane_is_roomless(const struct lane *lane);
/* A job of the lane was given out, or has ended. */
void lane_job_began(struct lane_table *table, struct lane *lane);
void lane_job_ended(struct lane_table *table, struct lane *lane);

/* -- parts: the line to the workers */

/* It is not in the line yet. */
void lane_part_init(
    struct lane_part *part, struct lane *lane, bool is_from_disk);
/* Gives up the lane; leaves the line first if it is in it. */
void lane_part_release(struct lane_table *table, struct lane_part *part);
/* To the end of its lane's line, if it is not in it. */
void lane_part_enter(struct lane_table *table, struct lane_part *part);
void lane_part_leave(struct lane_table *table, struct lane_part *part);

/*
 * The first part of the lane whose turn it is among those of this kind that
 * may start something, taken out of the line; NULL when there is none.
 * *room_out is how many deliveries it may start, at least 1.
 */
struct lane_part *lane_next(
    struct lane_table *table, enum lane_kind kind, unsigned *room_out);
/* A delivery of a lane began, or ended. */
void lane_started(struct lane_table *table, struct lane *lane);
void lane_ended(struct lane_table *table, struct lane *lane);

/* -- tickets: the line on disk */

/* At due a kept message may be read; the lane is that of all that is left. */
void lane_wait(
    struct lane_table *table, struct lane *lane, uint64_t id, time_t due);
/*
 * The next ticket that is due, and the kind of its lane; lanes take turns, but
 * those that back off, are held, or have their share of what was read in
 * memory. may_take is asked for a lane's kind ("is there a worker"); NULL:
 * always. False when there is none.
 */
bool lane_take(struct lane_table *table, time_t now,
    bool (*may_take)(enum lane_kind kind, void *context), void *context,
    uint64_t *id_out, enum lane_kind *kind_out);
/* Are more that were read, with parts in it, in memory than its share? */
bool lane_is_over_share(
    const struct lane_table *table, const struct lane *lane);
/* All tickets are due now, and no lane backs off. */
void lane_all_now(struct lane_table *table);
/*
 * Asks for each ticket what becomes of it (schedule_judge()); a lane with one
 * that is due now does not back off any more.
 */
void lane_judge_tickets(struct lane_table *table,
    enum schedule_verdict (*judge)(
	uint64_t id, enum lane_kind kind, void *context),
    void *context);
void lane_visit_tickets(const struct lane_table *table,
    void (*visit)(uint64_t id, enum lane_kind kind, void *context),
    void *context);
uint64_t lane_ticket_count(const struct lane_table *table);

#endif
