/* SPDX-License-Identifier: ISC */
/*
 * A reply of an SMTP server (RFC 5321 4.2), and what it means to us.
 */
#ifndef REMOTE_REPLY_H
#define REMOTE_REPLY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/stream.h"

enum {
	REPLY_TEXT_SIZE = 2000, /* of a reply's text that is kept */
	REPLY_LINES_MAX = 200
};

struct reply {
	int code;        /* 200 to 599; 0: none, or none that can be read */
	char status[12]; /* "5.1.1" (RFC 3463) if it begins its text, or "" */
	/* all its lines with their codes, LF between; printable, one space for
	 * any other byte */
	char text[REPLY_TEXT_SIZE];
};

enum reply_result {
	REPLY_OK,      /* a reply, whatever it says */
	REPLY_GARBAGE, /* no reply: the session is of no use any more */
	REPLY_CLOSED,
	REPLY_TIMEOUT,
	REPLY_FAILED
};

/* What came of reading the peer's bytes: a line that is too long is garbage. */
enum reply_result reply_result_of(enum stream_result result);

/*
 * Reads one reply.  each is called for its lines (code and separator cut off),
 * or NULL: for EHLO.  Never more than some KB of memory.
 */
enum reply_result reply_read(struct stream *stream, struct reply *reply_out,
    void (*each)(const char *line, void *context), void *context);

/* What the peer's word is about: replies.tbl. */
enum reply_class {
	REPLY_CLASS_OTHER,
	REPLY_CLASS_MAILBOX_FULL,
	REPLY_CLASS_UNKNOWN_USER,
	REPLY_CLASS_POLICY,
	REPLY_CLASS_SPAM,
	REPLY_CLASS_RATE,
	REPLY_CLASS_DNS,
	REPLY_CLASS_TLS,
	REPLY_CLASS_COUNT
};

/* What to do at the destination for a while (docs/remote.md, Replies). */
enum reply_action {
	REPLY_ACTION_NONE,
	REPLY_ACTION_FEWER,  /* fewer connections */
	REPLY_ACTION_SLOWER, /* fewer messages a time */
	REPLY_ACTION_SUSPEND
};

struct reply_judgement {
	enum reply_class class;
	enum reply_action action;
	unsigned action_s;
};

/* By the table: the first row that fits. */
struct reply_judgement reply_judge(const struct reply *reply);
const char *reply_class_name(enum reply_class class);

#endif
