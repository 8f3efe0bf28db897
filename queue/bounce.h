/* SPDX-License-Identifier: ISC */
/*
 * The text of a failure report: multipart/report (RFC 6522, 3464) whose first
 * part is qmail's bounce format (QSBMF).
 */
#ifndef QUEUE_BOUNCE_H
#define QUEUE_BOUNCE_H

#include <stdbool.h>
#include <time.h>

#include "base/buf.h"

/*
 * Texts are borrowed for the call.  Addresses are as in an envelope, without
 * quotes, but for those in notes, as mailbox_put_quoted() makes them.
 */
struct bounce {
	const char *host; /* control/me: who reports */
	const char *from; /* MAILER-DAEMON@host */
	const char *to;
	const char *subject;
	const char *boundary; /* in no line of original */
	const char *notes;    /* "<address>:\ntext\n\n" for each failure */
	size_t unnoted;       /* failures, at least, without a note; or 0 */
	const char *sender;   /* the original's, for a double bounce */
	bool is_double;
	time_t arrived_at, now;
	unsigned long qp;
	const char *original; /* the message that failed, or a part of it */
	size_t original_length;
	bool is_cut; /* original is not whole: only its header goes */
};

/* Puts the whole message, LF line ends, behind what buf holds. */
void bounce_format(struct buf *buf, const struct bounce *bounce);

#endif
