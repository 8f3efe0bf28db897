/* SPDX-License-Identifier: ISC */
/*
 * qmail-send's state, and what its parts call in each other: private to
 * queue/send_*.c and queue/main_send.c.
 *
 * All of it belongs to the thread of the event loop, which does no disk I/O.
 * The committer, the keeper, the router, the scanner, the helpers and writers
 * of bodies (work_pool) and strangers' threads share nothing with it but their
 * interfaces.
 *
 *   send_intake   new mail from clients           -> intake_submit
 *   send_message  a message's life in memory      -> lanes
 *   send_load     kept messages come into memory  -> message_route
 *   send_settle   what of it is remembered        -> keeper, committer
 *   send_deliver  jobs and their results          -> message_result
 *   send_worker   workers: who takes jobs, and how many
 *   send_backlog  messages on disk: scans, times  -> load_*
 *   send_bounce   failure reports to the sender   -> message_submit
 *   send_operate  what operators want of messages -> message_end_waiting
 */
#ifndef QUEUE_SEND_H
#define QUEUE_SEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <time.h>

#include "base/loop.h"
#include "base/work_pool.h"
#include "control/home.h"
#include "control/settings.h"
#include "queue/commit.h"
#include "queue/dsn.h"
#include "queue/envelope.h"
#include "queue/health.h"
#include "queue/idmap.h"
#include "queue/job.h"
#include "queue/keep.h"
#include "queue/lane.h"
#include "queue/recent.h"
#include "queue/route.h"
#include "queue/router.h"
#include "queue/scanner.h"
#include "queue/send_intake.h"

enum recipient_state {
	RECIPIENT_WAITING,
	RECIPIENT_RUNNING,
	RECIPIENT_DONE,    /* delivered, or failed for good */
	RECIPIENT_DEFERRED /* in this try */
};

enum { NO_RECIPIENT = UINT32_MAX };

struct recipient {
	const char *address; /* as rewritten; in the message's texts */
	uint64_t offset;     /* of its mark, once remembered */
	uint32_t part;       /* in message.parts */
	uint32_t next;       /* that waits in the same part, or NO_RECIPIENT */
	enum route_channel channel;
	enum recipient_state state;
};

/* The recipients of a message that are in one lane. */
struct part {
	struct lane_part line;
	uint32_t first, last; /* of those that wait */
	size_t waiting;
};

/* Where a message is (docs/queue.md, States). */
enum message_form {
	MESSAGE_FRESH, /* F: in the journal */
	MESSAGE_TODO,  /* S4 */
	MESSAGE_KEPT   /* S5 */
};

/* A message in memory. */
struct message {
	struct send *send;
	TAILQ_ENTRY(message) in_active; /* in order of arrival */
	uint64_t id;
	struct uuid uuid;
	time_t birth;
	time_t hold_until; /* before it there is no first try; or 0 */
	unsigned attempt;  /* 1: the first */
	uint64_t size_bytes;
	bool is_unsized; /* another system's, in S5: as much as the file has */
	size_t memory_bytes; /* about */
	enum message_form form;
	int64_t arrived_ms; /* clock_ms() */
	uint64_t segment;   /* of the journal, while fresh */
	/* what it is */
	struct envelope envelope;     /* of record; recipients of a try */
	struct buf record;            /* todo's or info's; texts are in it */
	struct buf list;              /* local/ID or remote/ID */
	uint64_t *offsets;            /* in list, of the recipients' marks */
	enum route_channel *channels; /* of these; both NULL without list */
	struct buf body;  /* if it is in memory; data NULL: it is not */
	int mess_fd;      /* else; read-only, or -1 */
	bool has_file;    /* the body is in mess/ID */
	off_t attempt_at; /* of the digits in info/ID, or 0 */
	/* where it goes */
	struct router_request route;
	struct recipient *recipients;
	size_t recipient_count;
	struct part *parts;
	uint32_t part_count;
	bool has_channel[ROUTE_CHANNEL_COUNT]; /* has its recipients loaded */
	size_t waiting[ROUTE_CHANNEL_COUNT];
	size_t deferred[ROUTE_CHANNEL_COUNT];
	size_t running;
	/* done, but their marks are not on disk; with the notes of failures */
	uint32_t *unmarked;
	size_t unmarked_count;
	size_t marking;    /* of these a job of the keeper works on, or 0 */
	struct buf notes;  /* a NUL for each that there was no room for */
	size_t note_bytes; /* of these, and of those in bounce/ID */
	/* notes of this try's deferrals that the sender is to hear of; of what
	 * he has heard, and whether info/ID has a place for that */
	struct buf delays;
	time_t delays_until; /* the first of them is tried */
	bool has_delays[ROUTE_CHANNEL_COUNT], is_told[ROUTE_CHANNEL_COUNT];
	bool has_told;
	/* of these, what a step to S5 under way writes */
	size_t kept_marks, kept_notes;
	int64_t unmarked_since; /* clock_ms() */
	int64_t settle_after;   /* clock_ms(): a failed step is tried again */
	bool is_committing;     /* not durable yet */
	bool is_routing;        /* the router works on it */
	bool is_settling;       /* the keeper or committer works on its end */
	bool is_dead;           /* is freed when the router gives it back */
	bool has_leftovers;     /* files of a step to S5 that failed */
	bool is_unsure;         /* F: to be looked at again at settle_after */
	bool is_unreadable;   /* F: its envelope; it is kept as it is, in S4 */
	bool has_kept_files;  /* F: durable; its end is to be noted */
	bool is_todo_kept;    /* these are those of S4 (not routed yet) */
	bool had_own_trouble; /* in this try: the next one is soon */
	bool has_no_room;     /* S5: in memory, or in that of its lanes: waits
			       * on disk as soon as it can */
	time_t read_at;       /* from disk, for this try; 0: it was not */
	bool is_hurried;      /* what this try defers is due at once */
	bool is_held_back;    /* it is in no line until hold_until */
	bool is_retimed;      /* S5: hold_until is not what its file says */
	bool is_in_todo_too;  /* a scan found todo/ID: perhaps another's */
	bool is_last_attempt; /* at a stop: a step failed, is tried again */
	bool has_stopped;     /* that has failed, too: it stays as it is */
};
TAILQ_HEAD(message_list, message);

struct worker;
struct handed;
struct backlog;

struct send {
	struct home *home;
	struct settings *settings;
	struct route *route;           /* for reports; the router has another */
	struct bounce_way *bounce_way; /* the same: where they go */
	struct queue_dir *dir;
	struct journal *journal; /* the committer's */
	struct committer *committer;
	struct keeper *keeper;
	struct router *router;
	struct work_pool *helpers; /* read kept messages, make reports */
	struct work_pool *bodies;  /* write large bodies */
	struct lane_table *lanes;
	struct intake *intake;
	struct loop *loop;
	struct health_file *health_file;
	struct health health;
	bool is_stopping;
	uint64_t first_id, next_id; /* of this process, for new mail */
	size_t body_max_bytes; /* of the journal; a larger body has a file */
	struct recent *recent;
	/* in the journal, though they are kept, or perhaps are, or never were
	 * acknowledged (backlog_hold()); with what was found, or NULL */
	struct idmap held;
	struct idmap damaged_ids; /* that were told */
	/* send_message */
	struct message_list active;
	struct idmap active_ids; /* also of those that are being loaded */
	size_t active_count;
	/* of these, those in S4 and S5: the journal limits fresh ones */
	size_t kept_count, kept_max;
	size_t kept_bytes, kept_bytes_max;
	size_t jobs_running;  /* of keeper, committer, helpers, for messages */
	uint64_t wanted_seen; /* commit_wanted() */
	int64_t run_at_ms;    /* clock_ms(): message_run() looks again */
	/* send_worker, send_deliver */
	LIST_HEAD(, worker) workers;
	uid_t remote_uid; /* who may be qmail-rspawn */
	/* jobs whose bodies are to be opened, and those that wait for a worker
	 * then; how many are open, or about to be */
	STAILQ_HEAD(, handed) unopened, opened;
	unsigned openings;
	struct loop_source control_source; /* to qmail-start, or fd -1 */
	struct idmap deliveries;
	uint32_t last_delivery;
	unsigned running[ROUTE_CHANNEL_COUNT];
	unsigned limit[ROUTE_CHANNEL_COUNT];
	bool is_held[ROUTE_CHANNEL_COUNT];
	bool has_many_lanes;      /* of virtual users: virtuallanes */
	bool has_lanes_by_sender; /* remote ones, as qmail-rspawn says */
	bool has_new_status;      /* for the next line of the log */
	/* send_backlog */
	struct backlog *backlog;
	struct operations *operations; /* send_operate */
};

/* What of a message is remembered in which folder. */
enum queue_folder message_folder(enum route_channel channel);

/* -- send_message.c */

/* May one more in S4 or S5 be in memory?  One that is alone may always. */
bool message_has_room(const struct send *send);

/*
 * A message that our own process makes (a report) is queued: as
 * intake_submit().  bounced_id is the message whose failure it reports.
 */
void message_submit(
    struct send *send, struct intake_message *intake, uint64_t bounced_id);

/* What the journal has of an earlier process. */
void message_found(
    const struct journal_message *found, uint64_t segment, void *context);
void message_ended(uint64_t id, const struct uuid *uuid, void *context);

/*
 * Takes what its envelope says of earlier tries, in another queue; birth is its
 * own if that does not say.
 */
void message_take_history(struct message *message, time_t birth);

/* A new message in memory, of the caller's making. */
struct message *message_create(
    struct send *send, uint64_t id, enum message_form form);
/* A fresh one has come to S4 or S5. */
void message_set_kept(
    struct send *send, struct message *message, enum message_form form);
/*
 * Its envelope is there: asks where its recipients go, and then the try begins.
 * channels: of recipients that were rewritten already, or NULL.
 */
void message_route(struct send *send, struct message *message,
    const enum route_channel *channels);
void message_free(struct send *send, struct message *message);

/* Its lines in the log, as qmail's: new msg, info msg. */
void message_log_new(const struct message *message);

/* The end of one delivery, as a worker says. */
void message_result(struct send *send, struct message *message,
    struct recipient *recipient, const struct job_result *result);
/* One that our own trouble ended: never the last try, and soon again. */
void message_trouble(
    struct send *send, struct message *message, struct recipient *recipient);

/*
 * All recipients that wait or were deferred are done: failed, for this reason,
 * or without a word (NULL).  The caller settles it.
 */
void message_end_waiting(
    struct send *send, struct message *message, const char *reason);
/* It leaves the lines to the workers, or enters them. */
void message_rest(struct send *send, struct message *message);
void message_enter_lines(struct send *send, struct message *message);

/* It is in memory, and held back: begins its try if that is over. */
void message_look_at_hold(struct send *send, struct message *message);

/* When its first try was due; of one that was released early, its birth. */
time_t message_released_at(const struct message *message, time_t now);

/* Until when recipients of a lane are tried; then there is one more try. */
time_t message_expiry(const struct message *message, const struct lane *lane);
/* Is this try their last? */
bool message_is_expired(const struct message *message, const struct lane *lane);

/* The next of a part that waits, now running; NULL when there is none. */
struct recipient *message_next(struct message *message, struct part *part);
/* It could not be started after all: it waits again, in the line. */
void message_put_back(
    struct send *send, struct message *message, struct recipient *recipient);

/* Recipients of a channel, or any at all, that wait or were deferred. */
size_t message_left(const struct message *message, enum route_channel channel);
bool message_has_left(const struct message *message);

/* Is there anything that a worker, now or soon, will take? */
bool message_can_start(const struct send *send, const struct message *message);

/* Often: fresh messages whose place is wanted, or that have stayed too long. */
void message_run(struct send *send);
/* Once a second, and on TERM: checkpoints, and steps that failed before. */
void message_tick(struct send *send);

/* -- send_load.c: kept messages from disk; helpers read their files */

/*
 * A message that the journal has from an earlier process, before the loop
 * begins: its try begins; or it is freed, and held until its end is noted, as
 * it is kept, was never acknowledged, or has ended; or that cannot be told now:
 * then it is_unsure and held, and load_look_again() will tell.
 */
void load_found(struct send *send, struct message *message);
void load_look_again(struct send *send, struct message *message);

/* A damaged message: counts it, and true, when it was not told before. */
bool load_is_new_damage(struct send *send, uint64_t id);

/*
 * Notes the ends of those that are over, and then lets them go.  0, or -1 with
 * the reason.
 */
int load_end_found(struct send *send, struct error *err);

void load_todo(struct send *send, uint64_t id);
void load_remembered(
    struct send *send, uint64_t id, enum route_channel channel);
/* One in S5 without local/ID and remote/ID: its end was interrupted. */
void load_ended(struct send *send, uint64_t id);

/* -- send_settle.c: what is remembered, and what follows when a try is over */

/* Does what is next for a message with nothing running or to be started. */
void settle(struct send *send, struct message *message);
/* A fresh message becomes kept while deliveries go on. */
void settle_keep(struct send *send, struct message *message);
/* S5 with nothing left in any channel: the report, then the end. */
void settle_ended(struct message *message);
/* Removes the text of a large message that was not queued. */
void settle_forget(struct send *send, uint64_t id);
/* S2 or S3, too old for anybody to be writing it: removed, if it still is. */
void settle_sweep(struct send *send, uint64_t id);
/* Of the quadratic schedule: the largest step that a channel may have. */
unsigned settle_retry_step(const struct send *send, enum route_channel channel);
/* S5: writes the marks and notes that are only in memory. */
void settle_marks(struct message *message);

/* -- send_deliver.c */

/* Starts what may be started. */
void deliver_start(struct send *send);
/* One line for all that has changed since the last one. */
void deliver_log_status(struct send *send);
/* The last try of one: what waits in a lane that backs off ends. */
void deliver_give_up(struct send *send, struct message *message);

/* -- send_worker.c */

/* control_fd: where qmail-start sends workers' connections; or -1. */
int workers_open(struct send *send, int control_fd, struct error *err);
void workers_close(struct send *send);
/* Once a second: finds the node's qmail-rspawn, if there is none. */
void workers_tick(struct send *send);
/* How many there may be, after the settings or the workers have changed. */
void workers_set_limits(struct send *send);
/* Is there one for this kind, busy or not? */
bool workers_has(const struct send *send, enum lane_kind kind);

/* -- send_backlog.c */

int backlog_open(struct send *send, struct error *err);
void backlog_close(struct send *send);
/* A message in S4 that is not in memory: at its turn, or in ten minutes. */
void backlog_add_todo(struct send *send, uint64_t id);
void backlog_add_todo_later(struct send *send, uint64_t id);
/* One in S5; lane: that of all that is left, or NULL, if it is not known. */
void backlog_add_retry(struct send *send, uint64_t id,
    enum route_channel channel, time_t due, struct lane *lane);
/* Are both of its channels still to be tried, each by itself? */
void backlog_set_split(struct send *send, uint64_t id, bool is_split);
/*
 * Until it is let go nothing happens to what scans find of a message: that the
 * journal does not count it any more must be durable first.
 */
void backlog_hold(struct send *send, uint64_t id);
void backlog_let_go(struct send *send, uint64_t id);
/* Something that only a whole scan finds could not be read: soon again. */
void backlog_look_again(struct send *send);
/* Loads what is due while there is room. */
void backlog_run(struct send *send);
/* Milliseconds until there may be something to do; -1 for never. */
int backlog_timeout_ms(const struct send *send);
void backlog_all_now(struct send *send);
/* Looks into todo/ for messages that qmail-queue alone put there. */
void backlog_scan_todo(struct send *send);
/* Once a second: the trigger may be pulled again. */
void backlog_tick(struct send *send);
/* Messages, in memory and on disk. */
uint64_t backlog_count(const struct send *send);
/* Can a message in S4 that is not known be there no more? */
bool backlog_has_seen_todo(const struct send *send);
uint64_t backlog_todo_count(const struct send *send);

/* What of the backlog is judged: todo/, and tickets (schedule_judge()). */
void backlog_judge(struct send *send,
    enum schedule_verdict (*judge_todo)(uint64_t id, void *context),
    enum schedule_verdict (*judge_ticket)(
	uint64_t id, enum lane_kind kind, void *context),
    void *context);

/* -- send_operate.c */

/* Reads what is held from before.  0, or -1 with the reason. */
int operate_open(struct send *send, struct error *err);
void operate_close(struct send *send);
/* Often: finds messages on disk that operations are for. */
void operate_run(struct send *send);
/* Is an operator's hold on it, and nothing else to be done? */
bool operate_is_resting(const struct send *send, uint64_t id);
/* Is it to be tried, whatever its sender has said? */
bool operate_is_released(const struct send *send, uint64_t id);
/* Is it to end by an operator's will?  _silently: nobody is told anything. */
bool operate_is_ending(const struct send *send, uint64_t id);
bool operate_is_ending_silently(const struct send *send, uint64_t id);
/* Ends what waits of a message that is to end; else nothing. */
void operate_end_waiting(struct send *send, struct message *message);
/* It is over; or it has left memory, and is on disk; or nothing of it can be
 * used. */
void operate_over(struct send *send, uint64_t id);
void operate_left(struct send *send, uint64_t id);
void operate_lost(struct send *send, uint64_t id);

/* -- send_bounce.c */

/*
 * Where reports go, as the settings say: shared with the helpers that make
 * them.  NULL with the reason.
 */
struct bounce_way *bounce_way_new(const struct settings *settings,
    const struct home *home, struct error *err);
void bounce_way_release(struct bounce_way **way);

/*
 * Injects the report of a message's failures, or says in the log that there is
 * nobody to report to.  notes is the text of bounce/ID, NULL to have it read
 * from there; behind it is a NUL for each recipient that it has no room for.
 * done is called once, perhaps at once: is_over is true when the failures need
 * not be remembered any more.
 */
void bounce_send(struct message *message, const struct buf *notes,
    void (*done)(struct message *message, bool is_over));
/* The same for its delays: they are forgotten when done is called. */
void bounce_send_delays(struct message *message,
    void (*done)(struct message *message, bool is_over));

#endif
