/* SPDX-License-Identifier: ISC */
/*
 * Messages of a Maildir on their way to another host (serialmail): the first
 * two lines, which delivery has put there, are the envelope.
 *
 *	Return-Path: <SENDER>
 *	Delivered-To: PREFIXrecipient
 */
#ifndef REMOTE_SERIAL_H
#define REMOTE_SERIAL_H

#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"
#include "remote/session.h"

struct serial_message {
	struct buf text; /* all of the file */
	size_t body_at;  /* behind those lines */
	char *sender;    /* as in an envelope */
	char *recipient; /* without the prefix */
};

/*
 * Reads one.  1; 0 when it does not begin so, or its prefix is another; -1 with
 * the reason when it cannot be read.  After 1 the caller releases it.
 */
int serial_message_read(struct serial_message *message, const char *path,
    const char *prefix, struct error *err);
void serial_message_release(struct serial_message *message);

/* Sends it; puts what was said, in one line without a LF, behind line. */
enum session_outcome serial_message_send(struct session *session,
    const struct serial_message *message, struct buf *line);

#endif
