/* SPDX-License-Identifier: ISC */
/* What queue/send_worker.c and queue/send_deliver.c have of each other. */
#ifndef QUEUE_SEND_WORKER_H
#define QUEUE_SEND_WORKER_H

#include "queue/send.h"

enum {
	TEXT_LOG_MAX = 2000, /* bytes of a result's text in the log */
	ADDRESS_LOG_MAX = 2100
};

struct worker {
	LIST_ENTRY(worker) in_workers;
	struct send *send;
	struct loop_source source;
	bool has_greeted;
	bool is_full;   /* its socket takes no more just now */
	bool is_remote; /* qmail-rspawn */
	enum lane_kind kind;
	struct job_take take;
	unsigned running; /* recipients */
	uint64_t bytes;   /* of messages in memory that it has in hand */
};

/* The one of that kind with the least in hand that takes more; or NULL. */
struct worker *worker_find(const struct send *send, enum lane_kind kind);

/* Ends the delivery, and logs it.  False when it is none of the worker's. */
bool deliver_result(struct worker *worker, const struct job_result *result);
/* It has gone: what it had in hand may or may not be delivered. */
void deliver_fail_all(struct worker *worker);

/* A text as one word: "/" for a line end, "_" for what is not printable. */
void deliver_put_text(char word[TEXT_LOG_MAX + 1], const char *text);

#endif
