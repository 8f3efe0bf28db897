/* SPDX-License-Identifier: ISC */
/* What the parts of a sink share: private to queue/sink*.c. */
#ifndef QUEUE_SINK_PRIVATE_H
#define QUEUE_SINK_PRIVATE_H

#include <sys/types.h>

#include "base/buf.h"
#include "queue/mux.h"
#include "queue/sink.h"

enum sink_kind { SINK_INTAKE, SINK_PROGRAM, SINK_DISCARD };

struct sink {
	enum sink_kind kind;
	struct sink_pool *pool;
	const struct vars *vars;
	int result;          /* the first failure, or QQ_OK */
	struct error err;    /* its reason, for the log */
	struct buf pending;  /* not yet written */
	uint64_t size_bytes; /* handed to sink_write so far */
	int message_fd;      /* where it is written, or -1 */
	int timeout_ms;
	bool has_many;
	char *extra_recipient;
	/* intake: the queue in use, and those to try after it */
	const char *queues[MUX_QUEUES_MAX];
	unsigned queue_count, queue_at;
	struct collection *collection; /* held by us; NULL with QUEUEDIR */
	struct mux *mux;               /* the collection's */
	char *queue_dir;               /* QUEUEDIR */
	int connection;
	bool is_reused; /* the connection was idle: may have gone */
	/* program */
	pid_t pid;
	int envelope_fd, error_fd;
	bool is_unread; /* it did not read all that it was given */
};

/* Writes all: to a file at once, to a program as it reads. */
void sink_write_fd(struct sink *sink, int fd, const struct buf *data);

/* Sets the first failure. */
int sink_fail(struct sink *sink, int result);

/* The F and T part of the envelope (and H), as the intake wants it. */
void sink_format_envelope(const struct sink *sink,
    const struct sink_envelope *envelope, struct buf *buf);

/* Each kind's part of the calls of sink.h; results are enum qq. */
int sink_intake_open(struct sink *sink);
int sink_intake_begin(struct sink *sink);
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

/* An idle connection to a queue, and the next message's file or -1. */
struct sink_idle {
	int connection;
	int message_fd;
};

/* False when there is none. */
bool sink_pool_get(
    struct sink_pool *pool, const char *queue_path, struct sink_idle *idle_out);
/* Takes both descriptors. */
void sink_pool_put(
    struct sink_pool *pool, const char *queue_path, struct sink_idle idle);

#endif
