/* SPDX-License-Identifier: ISC */
/* An exchange of SASL over a connection, in the lines of SMTP (RFC 4954) or POP3
 * (RFC 5034), which differ in what stands before a challenge. */
#ifndef AUTH_SASL_TALK_H
#define AUTH_SASL_TALK_H

#include <stddef.h>

#include "auth/sasl.h"
#include "base/stream.h"

enum sasl_talk {
	SASL_TALK_PASSWORD,  /* as SASL_PASSWORD */
	SASL_TALK_FINISHED,  /* as SASL_FINISHED */
	SASL_TALK_MALFORMED, /* an answer is none of the mechanism */
	SASL_TALK_TOO_LONG,  /* a line is longer than SASL_LINE_MAX */
	SASL_TALK_CANCELLED, /* the client said "*" */
	SASL_TALK_LOST       /* the connection, as *lost_out says */
};

/*
 * Says challenges, each behind prompt, and steps with the answers until it is
 * over.  initial is the client's initial response, "=" an empty one, or NULL.
 */
enum sasl_talk sasl_talk(struct sasl *sasl, struct stream *stream,
    const char *prompt, const char *initial, size_t initial_length,
    enum stream_result *lost_out);

#endif
