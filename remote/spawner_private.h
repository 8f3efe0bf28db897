/* SPDX-License-Identifier: ISC */
/*
 * What qmail-rspawn's files share: spawner.c (queues, their lanes and jobs),
 * spawner_domain.c (names), spawner_destination.c (sessions), spawner_operate.c
 * (operators).
 *
 * All belongs to the loop's thread, but a struct with a work in it while that
 * work is posted.
 */
#ifndef REMOTE_SPAWNER_PRIVATE_H
#define REMOTE_SPAWNER_PRIVATE_H

#include <sys/queue.h>

#include "base/outbox.h"
#include "base/strlist.h"
#include "base/work_pool.h"
#include "control/cluster_nodes.h"
#include "control/domain_lines.h"
#include "control/suspensions.h"
#include "queue/job.h"
#include "remote/pace.h"
#include "remote/spawner.h"

/* A job in hand. */
struct task {
	TAILQ_ENTRY(task) in_lane; /* while it waits for a session */
	struct lane_hand *lane;
	struct job job;
	struct job_recipient *recipients;
	struct session_recipient *to;
	struct session_result *results; /* recipient_count of each */
	char *storage;
	int fd; /* of its body, or -1 */
	unsigned tries;
};
TAILQ_HEAD(task_list, task);

/*
 * A lane of one queue.  It is placed, with its domain (that is being resolved,
 * or takes no mail) or at a destination; or it is loose, because it rests or
 * has nothing to do, and only there until its last task is over.
 */
struct lane_hand {
	struct queue_hand *queue; /* NULL: it has gone */
	LIST_ENTRY(lane_hand) in_queue;
	TAILQ_ENTRY(lane_hand) in_place;
	struct domain *domain;
	bool is_at_domain;
	enum job_wish wish;              /* until it was placed */
	struct destination *destination; /* NULL: it is not at one */
	struct task_list tasks;          /* that wait */
	unsigned in_hand; /* tasks, those that are being sent too */
	unsigned room;    /* as told */
};
TAILQ_HEAD(lane_list, lane_hand);

/* A queue's connection, or an operator's. */
struct queue_hand {
	LIST_ENTRY(queue_hand) in_spawner;
	struct spawner *spawner;
	struct loop_source source;
	struct outbox outbox;
	LIST_HEAD(, lane_hand) lanes;
	void *lanes_by_name; /* of search.h */
	uid_t uid;           /* who is there */
	bool is_operator;    /* it has no mail */
	bool is_gone;        /* it is freed at the end of the loop's turn */
};

/* The rules that count now, or did when something began. */
struct rules_in_use {
	unsigned users;
	struct rules *rules;
};

/* What its domain and a destination share. */
struct shared_plan {
	unsigned users;
	struct rules_in_use *rules; /* it was made by */
	struct plan plan;
};

/*
 * What is known of a recipient domain; or of it with a sender, a recipient, or
 * both, where rules ask for them.
 */
struct domain {
	struct work work; /* while is_resolving */
	struct spawner *spawner;
	struct shared_plan *plan; /* NULL: it was not asked for yet */
	bool is_resolving;
	bool is_forgotten; /* what is being resolved is too old already */
	int64_t expires_ms;
	struct breaker breaker; /* UNKNOWN, again and again */
	struct lane_list placed;
	unsigned lanes;                 /* loose ones, too */
	/* its mail goes without the TLS that it publishes that it wants */
	bool ignores_tls_policy;
	const char *sender, *recipient; /* behind the name; or NULL */
	char name[];
};

/* A connection. */
struct line {
	struct work work; /* while it is opened, sends or is closed */
	TAILQ_ENTRY(line) in_destination;
	struct destination *destination;
	size_t address;
	struct way way;
	struct session *session;
	struct session_result failure; /* of opening */
	struct task *task;             /* that is being sent */
	bool has_sent;                 /* one, whatever came of it */
	enum { LINE_OPENING, LINE_IDLE, LINE_BUSY, LINE_CLOSING } state;
	bool has_failed; /* after a message: of no use any more */
	int64_t idle_since_ms;
};
TAILQ_HEAD(line_list, line);

struct destination {
	TAILQ_ENTRY(destination) in_spawner;
	TAILQ_ENTRY(destination) in_wanting; /* is_wanting: for a slot */
	bool is_wanting;
	bool is_retired; /* it is not in the table any more */
	bool is_meant;   /* by the operator's word that is looked at */
	struct spawner *spawner;
	struct shared_plan *plan;
	const struct exchange *exchange; /* plan's */
	struct breaker *breakers;        /* of its addresses */
	struct window window;
	struct bucket bucket;
	/* the operator's: the smallest of its domains' */
	struct destination_limit limit;
	int64_t waits_until_ms; /* for the bucket; 0: it does not */
	int64_t rests_until_ms;
	bool has_greeted;
	char *last_text; /* of the last failure */
	/* for operators; each may be NULL before the first */
	char *last_reply, *last_tls;
	struct strlist names; /* of its domains, the first ones */
	bool has_more_names;
	int64_t known_since_ms;
	struct {
		uint64_t messages, delivered, deferred, failed;
	} counts;
	struct line_list lines;
	unsigned line_count, opening_count, busy_count;
	struct lane_list lanes;
	unsigned lane_count, waiting_count; /* tasks of all lanes */
	int64_t idle_since_ms;
	char key[];
};
TAILQ_HEAD(destination_list, destination);

struct spawner {
	struct spawner_config config;
	struct loop_source listen_source;
	LIST_HEAD(, queue_hand) queues;
	void *domains; /* of search.h, by name */
	void *destinations_by_key;
	struct destination_list destinations, wanting;
	struct work_pool *names, *openers, *senders;
	unsigned slots;        /* lines in all */
	unsigned openings_max; /* of these, waiting for greetings */
	int64_t idle_ms;
	unsigned line_count, opening_count;
	unsigned underway; /* works that are posted */
	bool is_stopping;
	struct rules_in_use *rules;
	struct suspensions suspensions;
	struct cluster_nodes *nodes;
	SLIST_HEAD(, seen_node) seen_nodes;
	int64_t ticked_ms, swept_ms;
};

/* -- spawner.c: lanes and jobs */

void rules_drop(struct rules_in_use *rules);
/* Takes them: they count for what is looked up from now on. */
void spawner_set_rules(struct spawner *spawner, struct rules *rules);

bool lane_is_placed(const struct lane_hand *lane);
/* Why lanes of this domain, or ("") of all, rest counts no more. */
void queues_wake(struct spawner *spawner, const char *domain);

/*
 * So many jobs of the lane may be in hand.  0: it becomes loose, and asks again
 * when it has mail; it may be freed.
 */
void lane_give_room(struct lane_hand *lane, unsigned room);
/*
 * The lane becomes loose; its waiting jobs go back, deferred, and it asks again
 * then.  It may be freed.
 */
void lane_rest(struct lane_hand *lane, int64_t rest_ms, const char *reason);
/* The results go to the queue, and all of it is freed; perhaps the lane, too.
 */
void task_done(struct task *task);
/* The same, when all recipients have this outcome. */
void task_done_all(
    struct task *task, enum session_outcome outcome, const char *text);

/* What is sent of it; its texts are the task's. */
struct session_message task_message(const struct task *task);

/* -- spawner_program.c */

/* The program of the rules sends the task, which then is done. */
void program_run_task(struct task *task);

/* -- spawner_node.c: lanes of other nodes of the cluster */

/* There is such a lane, "@NODE": nodes_tick() watches what is said of it. */
void nodes_watch(struct spawner *spawner, const char *lane);
/* Often: nodes of which something else is said now are looked up anew, and
 * their lanes woken. */
void nodes_tick(struct spawner *spawner);

/* -- spawner_domain.c */

/*
 * The domain of a queue's lane, "DOMAIN[ JOB_LANE_WITHOUT_TLS_POLICY][ SENDER]",
 * with a recipient or NULL;
 * made if there is none.
 */
struct domain *domain_get(
    struct spawner *spawner, const char *lane, const char *recipient);
/* Does the lane's name have one? */
bool domain_lane_has_sender(const char *lane);
/* A loose lane: where is its mail for?  Places it there, perhaps later. */
void domain_place_lane(struct lane_hand *lane);
/* Takes it from where it is; it is loose then. */
void domain_take_lane(struct lane_hand *lane);
/* A placed lane has new tasks. */
void domain_run_lane(struct lane_hand *lane);
/* Is what is known of its domain too old?  Then it is placed again. */
bool domain_is_old(const struct domain *domain, int64_t now_ms);
/* What is known of it, or of all, is too old. */
void domain_forget(struct domain *domain);
void domains_forget(struct spawner *spawner);
/* Once a minute: forgets what is too old. */
void domains_sweep(struct spawner *spawner, int64_t now_ms);
void shared_plan_drop(struct shared_plan *plan);

/* -- spawner_destination.c */

/* By its domain's exchange. */
void destination_add_lane(struct lane_hand *lane);
void destination_remove_lane(struct lane_hand *lane);
/* One that waits is in a lane of the destination's. */
void destination_count_task(struct destination *destination);
/* Does what there is to be done: assigns, opens, gives room. */
void destination_run(struct destination *destination);
/* Often: what is idle too long, buckets that have filled, lanes whose domain is
 * to be asked for again. */
void destinations_tick(struct spawner *spawner, int64_t now_ms);
/* A slot may be there: those that want one look again. */
void destinations_run_wanting(struct spawner *spawner);
/* Closes what is idle. */
void destinations_close(struct spawner *spawner);
/*
 * After what is known of their domains was forgotten: one, or all that there
 * are, lose their lanes for good, and their lines end after their message.
 */
void destination_retire(struct destination *destination);
void destinations_retire(struct spawner *spawner);
/* That of a plan that was FOUND, or NULL. */
struct destination *destination_find(
    struct spawner *spawner, const struct shared_plan *plan);
/* What was learned of its hosts is forgotten, also in run/tcpto. */
void destination_reset(struct destination *destination);

/* -- spawner_operate.c */

/* A packet of an operator's; false when it is none. */
bool operate_take(struct queue_hand *queue, const char *packet, size_t length);
/*
 * What is known of the domain and its destinations is too old; their lines end
 * with their message, and lanes that rest because of it are woken.
 */
void operate_look_anew(struct spawner *spawner, const char *name);
/* A loose lane: rests if its domain is suspended, and may be freed; or false.
 */
bool operate_suspends(struct lane_hand *lane);
/* From now on these count; the lines are those of the setting. */
void operate_use_suspensions(
    struct spawner *spawner, const struct strlist *lines);

#endif
