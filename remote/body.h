/* SPDX-License-Identifier: ISC */
/*
 * A message's bytes, from those in the queue (LF at line ends) to those that a
 * peer gets: CRLF at line ends, a last line that has one, and no CR elsewhere
 * (RFC 5321 2.3.8): one before an LF belongs to the line end, another becomes a
 * space, so that no host takes it for one.
 */
#ifndef REMOTE_BODY_H
#define REMOTE_BODY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "remote/session.h"

struct body_facts {
	uint64_t sent_bytes; /* with CRLFs, as SIZE counts; at most */
	bool is_8bit;
	bool has_cr;
};

/*
 * Calls take for pieces of the message as it is, header first.  0, or -1 when
 * it cannot be read to its committed size.
 */
int body_read(const struct session_message *message,
    void (*take)(void *context, const char *data, size_t length),
    void *context);

/* 0, or -1 as above. */
int body_examine(
    const struct session_message *message, struct body_facts *facts_out);

/*
 * How often the message has gone from node to node, as the Received field says
 * that it begins with, which is ours; its header does not count.
 */
unsigned body_cluster_hops(const struct session_message *message);

struct body_writer {
	bool is_dotted; /* dots at the beginning of lines are doubled */
	bool has_cr;    /* there are CRs to look for */
	bool is_in_line, has_pending_cr;
	struct buf *out;
};

/* Puts the bytes behind what out holds. */
void body_put(struct body_writer *writer, const char *data, size_t length);
void body_finish(struct body_writer *writer);

#endif
