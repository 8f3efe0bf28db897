/* SPDX-License-Identifier: ISC */
/*
 * qmail-send's state, and what its parts call in each other: private to
 * queue/send_*.c and queue/main_send.c.
 *
 * All of it belongs to the thread of the event loop.  The committer and the
 * scanner are threads of their own that share nothing but their interfaces.
 *
 *   send_client   clients with new mail come and go, and their limits
 *   send_intake   what they say: new mail         -> message_new
 *   send_message  a message's life in memory      -> deliveries
 *   send_settle   what of it is remembered        -> committer
 *   send_deliver  workers, jobs and their results -> message_result
 *   send_backlog  messages not in memory: todo ids, retry schedules
 *   send_bounce   failure reports to the sender   -> committer
 */
#ifndef QUEUE_SEND_H
#define QUEUE_SEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/loop.h"
#include "control/assign.h"
#include "control/home.h"
#include "control/settings.h"
#include "queue/commit.h"
#include "queue/envelope.h"
#include "queue/health.h"
#include "queue/idmap.h"
#include "queue/job.h"
#include "queue/route.h"
#include "queue/schedule.h"
#include "queue/spare.h"

enum recipient_state {
	RECIPIENT_WAITING,
	RECIPIENT_RUNNING,
	RECIPIENT_DONE,    /* delivered, or failed for good */
	RECIPIENT_DEFERRED /* in this try */
};

struct recipient {
	const char *address; /* as rewritten; in the message's texts */
	uint64_t offset;     /* of its mark, once remembered */
	enum route_channel channel;
	enum recipient_state state;
};

/* A message that is being worked on. */
struct message {
	struct message *next, **link; /* in send.active */
	struct message *next_waiting[ROUTE_CHANNEL_COUNT];
	bool is_waiting[ROUTE_CHANNEL_COUNT]; /* in that channel's list */
	uint64_t id;
	time_t birth;
	uint64_t size_bytes;
	size_t memory_bytes; /* what its envelope takes up, about */
	struct spare spare;  /* open while it is cheap; or -1 */
	struct buf record;   /* todo's or info's; sender, header in it */
	struct buf texts;    /* the recipients' addresses */
	const char *sender;
	const char *header;
	struct recipient *recipients;
	size_t recipient_count;
	bool has_channel[ROUTE_CHANNEL_COUNT]; /* has its recipients loaded */
	/* recipients of a channel before this one are not waiting */
	size_t next_start[ROUTE_CHANNEL_COUNT];
	size_t waiting[ROUTE_CHANNEL_COUNT];
	size_t deferred[ROUTE_CHANNEL_COUNT];
	size_t running;
	/* done, but their marks are not on disk; with the notes of failures */
	struct recipient **unmarked;
	size_t unmarked_count, unmarked_size;
	size_t marking;    /* of these a job of the committer works on, or 0 */
	struct buf notes;  /* a NUL for each that there was no room for */
	size_t note_bytes; /* of these, and of those in bounce/ID */
	/* of these, what a checkpoint under way writes */
	size_t checkpoint_marks, checkpoint_notes;
	int64_t unmarked_since; /* clock_ms() */
	int64_t settle_after;   /* clock_ms(): a failed step is tried again */
	bool is_remembered;     /* S5 */
	bool has_leftovers;     /* S4 with files of an S5 that was begun */
	bool had_own_trouble;   /* in this try: the next one is soon */
	bool is_expired;        /* this try is the last */
	bool is_in_todo_too;    /* a scan found todo/ID: perhaps another's */
	bool is_settling;       /* the committer works on what comes next */
};

struct worker;
struct client;

struct send {
	struct home *home;
	struct settings *settings;
	struct route *route;
	struct cdbmap *assign;
	int64_t assign_checked_at;
	struct queue_dir *dir;
	struct spare_pool *spares;
	struct journal *journal; /* the committer's; or NULL */
	struct committer *committer;
	struct loop *loop;
	struct health_map *health_map;
	struct health health;
	bool is_stopping;
	bool is_retrying_all; /* ALRM: the times on disk do not count */
	/* send_message */
	struct message *active;
	struct idmap active_ids;
	size_t active_count, active_max;
	size_t active_bytes, active_bytes_max; /* of memory, by envelopes */
	struct message *waiting[ROUTE_CHANNEL_COUNT];
	struct message **waiting_end[ROUTE_CHANNEL_COUNT];
	size_t commits_running; /* jobs of messages and clients */
	/* send_deliver */
	struct worker *workers;
	struct loop_source workers_source;
	uid_t worker_uid; /* of vmail, who may connect */
	uid_t smtpd_uid;  /* of qmaild, a client that is trusted */
	struct idmap deliveries;
	uint32_t last_delivery;
	unsigned running[ROUTE_CHANNEL_COUNT];
	unsigned limit[ROUTE_CHANNEL_COUNT];
	bool is_held[ROUTE_CHANNEL_COUNT];
	/* send_client, send_intake */
	struct client *clients;
	struct loop_source intake_source;
	struct loop_source lease_timer; /* a timerfd */
	bool is_lease_timer_on;
	bool has_no_foreign_fds;   /* the kernel keeps them from us */
	unsigned files_max;        /* descriptors that the process may have */
	unsigned files_used;       /* since they were counted, no less */
	unsigned files_short;      /* so many were not left ... */
	int64_t files_short_until; /* ... and are not asked for; clock_ms() */
	/* send_backlog */
	struct backlog *backlog;
};

/* -- send_message.c */

/*
 * May one more be worked on?  One that is alone may always, however large it
 * is; else it would wait for ever.
 */
bool message_has_room(const struct send *send);

/*
 * Has a message that a client, or send_bounce, put into a spare queued, S4.
 * The job's done calls message_new() if that worked.
 */
void message_commit(struct send *send, struct commit_job *job);

/*
 * A freshly committed message; takes the record and the job's spare.
 * bounced_id is the message whose failure it reports, or 0.
 */
void message_new(struct send *send, struct commit_job *job, struct buf *record,
    uint64_t bounced_id);

/* Loads a message from disk and starts its try; from the backlog. */
void message_load_todo(struct send *send, uint64_t id);
void message_load_remembered(
    struct send *send, uint64_t id, enum route_channel channel);
/* One in S5 without local/ID and remote/ID: its end was interrupted. */
void message_load_ended(struct send *send, uint64_t id);

/* The end of one delivery, as a worker says. */
void message_result(struct send *send, struct message *message,
    struct recipient *recipient, enum job_outcome outcome, const char *text);
/* One that our own trouble ended: never the last try, and soon again. */
void message_trouble(
    struct send *send, struct message *message, struct recipient *recipient);

/* The next recipient of a channel to start; NULL when there is none. */
struct recipient *message_next(struct send *send, enum route_channel channel,
    struct message **message_out);
/* It could not be started after all: it waits again. */
void message_put_back(
    struct send *send, struct message *message, struct recipient *recipient);

/* Once a second, and on TERM: checkpoints, and steps that failed before. */
void message_tick(struct send *send);
void message_free(struct send *send, struct message *message);

/* -- send_settle.c: what is remembered, and what follows when a try is over */

/* Does what is next for a message with nothing running or to be started. */
void settle(struct send *send, struct message *message);
/* S4 -> S5 while deliveries go on. */
void settle_checkpoint(struct send *send, struct message *message);
/* S5 with nothing left in any channel: the report, then the end. */
void settle_ended(struct send *send, struct message *message);
/* S2 or S3, too old for anybody to be writing it: removed, if it still is. */
void settle_sweep(struct send *send, uint64_t id);
/* Has the message a file there?  1 yes, 0 no, -1 cannot tell. */
int settle_has_file(struct send *send, enum queue_folder folder, uint64_t id);
/* S5: writes the marks and notes that are only in memory. */
void settle_marks(struct send *send, struct message *message);

/* -- send_deliver.c */
int deliver_open(struct send *send, struct error *err);
void deliver_close(struct send *send);
/* Once a second: accepts again, and drops clients that do nothing. */
void deliver_tick(struct send *send);
/* Starts what may be started. */
void deliver_start(struct send *send);
void deliver_log_status(const struct send *send);
bool deliver_has_worker(const struct send *send, enum route_channel channel);

/* -- send_client.c */
int intake_open(struct send *send, struct error *err);
void intake_close(struct send *send);
/* Once a second: accepts again, and drops clients that do nothing. */
void intake_tick(struct send *send);

/* -- send_backlog.c */
int backlog_open(struct send *send, struct error *err);
void backlog_close(struct send *send);
/* A message in S4 that is not in memory: at its turn, or in ten minutes. */
void backlog_add_todo(struct send *send, uint64_t id);
void backlog_add_todo_later(struct send *send, uint64_t id);
void backlog_add_retry(
    struct send *send, uint64_t id, enum route_channel channel, time_t due);
/* Something that only a whole scan finds could not be read: soon again. */
void backlog_look_again(struct send *send);
/* Loads what is due while there is room. */
void backlog_run(struct send *send);
/* Milliseconds until there may be something to do; -1 for never. */
int backlog_timeout_ms(const struct send *send);
void backlog_all_now(struct send *send);
/* Looks into todo/ for messages that qmail-queue alone put there. */
void backlog_scan_todo(struct send *send);
uint64_t backlog_count(const struct send *send);
uint64_t backlog_todo_count(const struct send *send);

/* -- send_bounce.c */

/*
 * Injects the report of a message's failures, or says in the log that there is
 * nobody to report to.  Behind the text of notes is a NUL for each recipient
 * that it has no room for.  done is called once, perhaps at once: is_over is
 * true when the failures need not be remembered any more.
 */
void bounce_send(struct send *send, struct message *message,
    const struct buf *notes,
    void (*done)(struct send *send, struct message *message, bool is_over));

#endif
