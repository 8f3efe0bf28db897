/* SPDX-License-Identifier: ISC */
/*
 * The parts of which packages of QMTP and QMQP consist: netstrings with a
 * message, a sender and recipients, in this order.
 *
 * Every read returns false when the client has gone or sends what is no
 * package; that was logged, and the session is over.
 */
#ifndef SMTP_PACKAGE_H
#define SMTP_PACKAGE_H

#include "base/buf.h"
#include "smtp/session_private.h"

struct package {
	struct smtp_session *session;
	/* What the netstring around has left; UINT64_MAX: there is none. */
	uint64_t left_bytes;
	/* Why the message is not taken, as in smtp_session.answer; or "".
	 * Once set, what follows is read and not looked at. */
	char verdict[512];
};

/* The length of a netstring and its colon. */
bool package_read_length(
    struct package *package, uint64_t max, uint64_t *length_out);
/* The comma behind a netstring. */
bool package_end(struct package *package);

/*
 * Begins a transaction, and stores a message of length bytes.  has_crlf: its
 * lines end in CRLF.
 */
void package_begin(struct package *package);
bool package_read_message(
    struct package *package, uint64_t length, bool has_crlf);
bool package_read_byte(struct package *package, char *byte_out);
bool package_read_sender(struct package *package);
/* One recipient; session->answer is what became of it. */
bool package_read_recipient(struct package *package);

/* Keeps session->answer as verdict, if it is a refusal and there is none. */
void package_judge(struct package *package);

/* Commits, or not; the verdict is the answer then. */
void package_finish(struct package *package);

#endif
