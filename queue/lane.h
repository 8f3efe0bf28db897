/* SPDX-License-Identifier: ISC */
/*
 * Lanes: what waits for a delivery waits in the lane of where it goes, so that
 * what one destination does holds up nobody else.
 *
 * A lane has two lines.  Parts are recipients of messages in memory that can be
 * given to a worker; tickets are kept messages on disk, an id and a time, one
 * for each channel of the message.  Both are served lane by lane in turn.  A
 * lane that backs off is passed over whole: it costs one timer, whatever waits
 * in it.
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

enum lane_kind {
	LANE_MIXED,   /* tickets only: kept ones that were not read yet, or are
		       * for several lanes of this channel */
	LANE_VIRTUAL, /* users of virtual domains */
	LANE_LOCAL,   /* the general local way */
	LANE_REMOTE,
	LANE_KIND_COUNT
};

struct lane_table;
struct lane;

/* Recipients of one message in one lane; part of the owner's struct. */
struct lane_part {
	struct lane *lane; /* set by lane_part_init() */
	void *message;     /* the owner's */
	/* the table's own */
	TAILQ_ENTRY(lane_part) in_line;
	bool is_in_line;
};

/* A kept message that waits to be read and tried; 24 bytes. */
struct lane_ticket {
	uint64_t id;
	uint32_t due_s;  /* Unix time */
	uint32_t lane;   /* lane_number() */
	uint32_t sender; /* lane_sender_hash() of its sender; 0 unknown */
	uint8_t channel; /* enum route_channel: of local/ID or remote/ID */
};

struct lane_table *lane_table_new(void);
void lane_table_free(struct lane_table **table);

/*
 * The lane of this key, made if there is none.  It stays while it has parts,
 * tickets, running deliveries, a back-off or holders; the caller is a holder
 * until lane_release().  "virtual", "virtual:example.test", "local", and a
 * remote destination's name in lower case are keys.
 */
struct lane *lane_hold(
    struct lane_table *table, enum lane_kind kind, const char *key);
void lane_release(struct lane_table *table, struct lane *lane);
/* The lane of this name, or NULL; not held. */
struct lane *lane_find(
    struct lane_table *table, enum lane_kind kind, const char *key);
struct lane *lane_of_number(const struct lane_table *table, uint32_t number);

const char *lane_key(const struct lane *lane);
enum lane_kind lane_get_kind(const struct lane *lane);
uint32_t lane_number(const struct lane *lane); /* not 0 */

/*
 * Limits.  Of a kind: deliveries of all its lanes together (none until it is
 * set), and whether it is held.  Of a lane: its own deliveries (0: none but the
 * kind's).
 */
void lane_set_limit(
    struct lane_table *table, enum lane_kind kind, unsigned limit);
void lane_set_held(struct lane_table *table, enum lane_kind kind, bool is_held);
void lane_limit(struct lane_table *table, struct lane *lane, unsigned limit);

/*
 * Nothing of the lane is started, or read from disk, before until_ms; the
 * reason is copied.  0 ends a back-off at once.
 */
void lane_back_off(struct lane_table *table, struct lane *lane,
    int64_t until_ms, const char *reason);
/* Ends what is over by now_ms.  When the next one will be; 0 for none. */
int64_t lane_run_timers(struct lane_table *table, int64_t now_ms);
/* When its back-off ends; 0: it has none. */
int64_t lane_backs_off_until_ms(const struct lane *lane);
/* Does it back off, or is its kind held? */
bool lane_is_resting(const struct lane_table *table, const struct lane *lane);

/* -- parts: the line to the workers */

void lane_part_init(
    struct lane_table *table, struct lane_part *part, struct lane *lane);
/* Gives up the lane; leaves the line first if it is in it. */
void lane_part_release(struct lane_table *table, struct lane_part *part);
/* To the end of its lane's line, if it is not in it. */
void lane_part_enter(struct lane_table *table, struct lane_part *part);
void lane_part_leave(struct lane_table *table, struct lane_part *part);

/*
 * The first part of the lane whose turn it is among those of this kind that
 * may start something (not held, not backing off, below their limit), taken out
 * of the line; NULL when there is none.  *room_out is how many deliveries may
 * be started, at least 1.  The lanes' turns go round.
 */
struct lane_part *lane_next(
    struct lane_table *table, enum lane_kind kind, unsigned *room_out);
/* Deliveries of a lane began, or ended. */
void lane_started(struct lane_table *table, struct lane *lane, unsigned count);
void lane_ended(struct lane_table *table, struct lane *lane, unsigned count);
unsigned lane_running(const struct lane_table *table, enum lane_kind kind);

/* -- tickets: the line on disk */

/*
 * At due a kept message may be read.  lane: that of all its recipients in the
 * channel, or a LANE_MIXED; it must be there.
 */
void lane_wait(struct lane_table *table, const struct lane_ticket *ticket);
/*
 * The next ticket that is due, of the lanes in turn, passing over lanes that
 * back off, are held, or of which share messages are in memory already
 * (lane_loaded()).  may_take is asked for a lane's kind and a ticket's channel
 * ("is there a worker"); NULL: always.  False when there is none.
 *
 * The caller holds the ticket's lane until lane_release(), so that the ticket
 * can go back to it.
 */
bool lane_take(struct lane_table *table, time_t now, size_t share,
    bool (*may_take)(enum lane_kind kind, unsigned channel, void *context),
    void *context, struct lane_ticket *ticket_out);
/* A message with parts in the lane came into memory (1), or left it (-1). */
void lane_loaded(struct lane_table *table, struct lane *lane, int change);
/*
 * After lane_take() has returned false: when time alone can give it something;
 * 0 for never.
 */
time_t lane_next_due(const struct lane_table *table);
/* All tickets are due now. */
void lane_all_now(struct lane_table *table);
/* Those that visit is true for are due now; how many. */
size_t lane_hurry(struct lane_table *table,
    bool (*visit)(const struct lane_ticket *ticket, void *context),
    void *context);
uint64_t lane_ticket_count(const struct lane_table *table);
/* Is there a ticket for this id and channel?  (Walks all of them.) */
bool lane_has_ticket(
    const struct lane_table *table, uint64_t id, unsigned channel);

/* Not 0; the same for addresses that differ in ASCII case only. */
uint32_t lane_sender_hash(const char *sender);

/* -- for people */

struct lane_info {
	enum lane_kind kind;
	const char *key;
	unsigned running, limit;
	size_t parts, tickets, loaded;
	int64_t backoff_until_ms; /* clock_ms(); 0: none */
	const char *reason;       /* of the back-off, or "" */
};
void lane_visit(const struct lane_table *table,
    void (*visit)(const struct lane_info *info, void *context), void *context);

#endif
