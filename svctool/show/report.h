/* SPDX-License-Identifier: ISC */
/* What a node is doing now: collected once, shown as text or JSON. */
#ifndef SVCTOOL_SHOW_REPORT_H
#define SVCTOOL_SHOW_REPORT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/strlist.h"
#include "queue/health.h"
#include "queue/look.h"
#include "svctool/node.h"
#include "svctool/run/supervise.h"
#include "svctool/show/log_look.h"

struct report_service {
	char *name;
	struct supervise_state state, log_state;
	bool is_off;        /* a file "down" says that it is not to run */
	bool is_ready;      /* does its work, see run/ready.h */
	bool is_restarting; /* ends again and again */
	bool is_hung;       /* runs, and answers nobody, see run/ready.h */
	bool is_fine;
	enum log_look log;
	char *listen;      /* "127.0.0.1:25", or "" */
	char *problem;     /* why it is not fine, or "" */
	char *log_problem; /* what is wrong with its log, or "" */
};

struct report_queue {
	char *name;
	/* zero and down when it has never run; when it is down its backlog is
	 * what was counted on disk */
	struct health health;
	struct look_damage damage; /* messages that cannot be delivered */
	uint64_t min_free_bytes;   /* wanted for new mail */
	bool is_full;              /* runs, but has less, so it takes none */
	bool is_hung; /* runs, and answers nobody, see run/ready.h */
	/* by operators; none when this may not be read */
	struct strlist held_lanes;
	char *problem; /* what is wrong, or why it is not known, or "" */
	bool is_fine;
};

struct report {
	char *home;
	pid_t svscan; /* 0: none */
	/* Nobody would start again a supervise that ends. */
	bool has_lost_svscan;
	bool is_fine; /* everything that should be up is */
	struct report_service *services;
	size_t service_count;
	struct report_queue *queues;
	size_t queue_count;
	json_t *lookup; /* lookupd's figures; NULL: none */
};

/*
 * 0, or -1 with the reason.  Release it in both cases.  A service that has just
 * been started again is looked at for up to three seconds, to see whether that
 * lasts.
 */
int report_collect(
    const struct node *node, struct report *report_out, struct error *err);
void report_release(struct report *report);

/*
 * In one word, for people and programs: "up", "starting" (runs, but is not
 * ready), "restarting", "hung", "down"; and a queue's: those of health.h,
 * "hung" or "full".
 */
const char *report_service_state(const struct report_service *service);
const char *report_queue_state(const struct report_queue *queue);

/*
 * Which queues take no new mail now, in one line; "" when all do.  The caller
 * frees.
 */
char *report_queue_summary(const struct report *report);

/*
 * Asks lookupd, of which a node may have none; its service is not fine while
 * the database is away.
 */
void report_lookup(const struct node *node, struct report *report);
/*
 * Asks clusterd, of which a node may have none: its service is not fine when the
 * node is refused.  The other nodes are the matter of svctool cluster status.
 */
void report_cluster(const struct node *node, struct report *report);
/*
 * All that it says, with "nodes" an array; the caller's.  NULL with the reason.
 */
json_t *report_ask_cluster(const struct node *node, struct error *err);
/* lookupd's figures in a line; there are some. */
void report_print_lookup(const struct report *report);

void report_print_text(const struct report *report);
/* The fields are in svctool(8). */
void report_print_json(const struct report *report);

/*
 * Was it started again a moment ago, while its log runs for longer?  Such a
 * service looks up at any moment: supervise starts it once a second.
 */
bool report_is_young(const struct report_service *service, time_t now);

/*
 * Looks again at the services that are young, until each has either ended, or
 * lived for longer than a moment.  Sets is_restarting.
 */
void report_find_restarting(const struct node *node, struct report *report);

#endif
