/* SPDX-License-Identifier: ISC */
/* What the parts of a sink share: private to queue/sink*.c. */
#ifndef QUEUE_SINK_PRIVATE_H
#define QUEUE_SINK_PRIVATE_H

#include <sys/types.h>

#include "base/buf.h"
#include "queue/mux.h"
#include "queue/sink.h"
#include "queue/tls_wish.h"

enum sink_kind { SINK_INTAKE, SINK_PROGRAM, SINK_DISCARD };

struct sink {
	enum sink_kind kind;
	struct sink_pool *pool;
	const struct vars *vars;
	int result;          /* the first failure, or QQ_OK */
	struct error err;    /* its reason, for the log */
	struct uuid uuid;    /* as sent */
	struct uuid bound;   /* as it is in the queue */
	struct buf pending;  /* not yet written, or kept to be sent again */
	uint64_t size_bytes; /* handed to sink_write so far */
	struct tls_wish tls_wish;
	int timeout_ms, open_wait_ms;
	char *extra_recipient;
	uint64_t id; /* committed, as the queue says */
	/* intake: the queue in use, and those to try after it */
	const char *queues[MUX_QUEUES_MAX];
	unsigned queue_count, queue_at;
	struct collection *collection; /* held by us */
	struct mux *mux;               /* the collection's */
	bool is_smtpd;
	int connection;         /* or -1 */
	uint64_t dropped_bytes; /* of the body, no more in pending */
	uint64_t sent_bytes;    /* of the body, on this connection */
	int64_t give_up_at;     /* clock_ms(); 0: no queue was lost so far */
	struct buf reasons;     /* of the queues that do not answer */
	/* program */
	pid_t pid;
	int message_fd, envelope_fd, error_fd;
	bool is_unread; /* it did not read all that it was given */
};

/* Writes all to a program, as it reads. */
void sink_write_fd(struct sink *sink, int fd, const struct buf *data);

/* Sets the first failure. */
int sink_fail(struct sink *sink, int result);

/* The F and T part of the envelope (and H, e, r), as the intake wants it. */
void sink_format_envelope(const struct sink *sink,
    const struct sink_envelope *envelope, struct buf *buf);

/* Each kind's part of the calls of sink.h; results are enum qq. */
int sink_intake_open(struct sink *sink);
/* Sends of what is pending what is more than one packet takes. */
int sink_intake_write(struct sink *sink);
int sink_intake_commit(struct sink *sink, const struct sink_envelope *envelope);
void sink_intake_abort(struct sink *sink);

int sink_program_open(struct sink *sink, const char *program);
/* custom_out gets the program's own text (exit code 88), or stays "". */
int sink_program_commit(struct sink *sink, const struct sink_envelope *envelope,
    char *custom_out, size_t size);
void sink_program_abort(struct sink *sink);
/*
 * What an exit code and the text on ERROR_FD mean: enum qq.  custom_out gets
 * the text's first line, without its letter, when the code is 88.
 */
int sink_program_verdict(
    int code, const char *text, char *custom_out, size_t size);

/* A pause between two looks for a queue that is down. */
enum { SINK_PAUSE_MS = 75 };

/*
 * An idle connection to a queue.  -1 with *error_out 0 when there is none; with
 * an errno when that queue was found down so less than a pause ago: it is not
 * to be tried again, so that many that wait for it are no load.
 */
int sink_pool_get(
    struct sink_pool *pool, const char *queue_path, int *error_out);
/* Takes the descriptor. */
void sink_pool_put(
    struct sink_pool *pool, const char *queue_path, int connection);
/* A connection has failed with this errno; or, with 0, it has not. */
void sink_pool_tell(struct sink_pool *pool, const char *queue_path, int error);
/* Has each try of at least span_ms failed?  A span without any counts not. */
bool sink_pool_is_down(
    struct sink_pool *pool, const char *queue_path, int span_ms);

#endif
