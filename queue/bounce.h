/* SPDX-License-Identifier: ISC */
/*
 * The text of a report to the sender: multipart/report (RFC 6522, 3464) whose
 * first part is qmail's bounce format (QSBMF).
 */
#ifndef QUEUE_BOUNCE_H
#define QUEUE_BOUNCE_H

#include <stdbool.h>
#include <time.h>

#include "base/buf.h"

enum bounce_action {
	BOUNCE_FAILED,
	BOUNCE_DELIVERED,
	BOUNCE_RELAYED, /* to a host that does not tell the sender */
	BOUNCE_DELAYED
};

/* What became of one recipient.  Texts are borrowed. */
struct bounce_note {
	enum bounce_action action;
	const char *address; /* as in an envelope */
	const char *text;    /* a worker's, of lines */
	bool is_expired;     /* failed only since it was tried long enough */
	time_t at;           /* the last try */
	const char *orcpt;   /* as in dsn.h, or NULL */
	size_t orcpt_length;
};

/*
 * Puts a paragraph of bounce/ID:
 *
 *	"<" address ">:" LF text "DSN: " action " " time [" ORCPT=" orcpt] LF LF
 *
 * No line of the text is empty, so that none begins another paragraph.
 */
void bounce_put_note(struct buf *buf, const struct bounce_note *note);

/* Is there a failure in them, which is all that older releases have? */
bool bounce_has_failure(const char *notes);

/*
 * Calls tell for each failure: its address, with quotes where it needs them,
 * and its text.
 */
void bounce_walk_failures(const char *notes,
    void (*tell)(const char *address, const char *text, void *context),
    void *context);

/*
 * Texts are borrowed for the call.  Addresses are as in an envelope, without
 * quotes, but for those in notes, as mailbox_put_quoted() makes them.
 */
struct bounce {
	const char *host; /* control/me: who reports */
	const char *from; /* MAILER-DAEMON@host */
	const char *to;
	const char *subject;
	const char *boundary;    /* in no line of original */
	const char *notes;       /* as above */
	const char *explanation; /* for people, LF at its end; NULL: qmail's */
	size_t unnoted;          /* failures, at least, without a note; or 0 */
	const char *sender;      /* the original's, for a double bounce */
	bool is_double;
	const char *envid; /* xtext (dsn.h), or NULL */
	size_t envid_length;
	time_t expires_at; /* of delays: until when it is tried */
	time_t arrived_at, now;
	unsigned long qp;
	const char *original; /* the message that failed, or a part of it */
	size_t original_length;
	bool is_cut; /* original is not whole: only its header goes */
};

/* Puts the whole message, LF line ends, behind what buf holds. */
void bounce_format(struct buf *buf, const struct bounce *bounce);

#endif
