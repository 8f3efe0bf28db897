/* SPDX-License-Identifier: ISC */
/*
 * A program with qmail-remote's interface that sends a message instead of us
 * (QMAILREMOTE): PROGRAM DOMAIN SENDER RECIPIENT..., the message on descriptor
 * 0, reports on descriptor 1 (qmail-remote(8), Report).
 */
#ifndef REMOTE_PROGRAM_H
#define REMOTE_PROGRAM_H

#include <stddef.h>

#include "base/uuid.h"
#include "remote/session.h"

struct remote_program {
	const char *path;
	const char *domain;
	const struct uuid *uuid; /* of the message */
	int timeout_ms;          /* then it is ended with all it started */
};

/*
 * Blocking: runs it for a message of at least one recipient.  results_out as of
 * session_send().  Whatever is wrong with the program or its reports is
 * temporary.
 */
void remote_program_send(const struct remote_program *program,
    const struct session_message *message, struct session_result *results_out);

/*
 * Makes the results of count recipients from the reports, length bytes.  path:
 * for texts.
 */
void remote_program_read(const char *path, const char *reports, size_t length,
    struct session_result *results_out, size_t count);

#endif
