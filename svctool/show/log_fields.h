/* SPDX-License-Identifier: ISC */
/* Which message, queue and delivery a log line is about. */
#ifndef SVCTOOL_SHOW_LOG_FIELDS_H
#define SVCTOOL_SHOW_LOG_FIELDS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/uuid.h"

enum { LOG_QUEUE_SIZE = 64 };

enum log_kind {
	LOG_KIND_OTHER,
	LOG_KIND_NEW,     /* new msg N */
	LOG_KIND_INFO,    /* info msg N: ... from <s> ... uuid U */
	LOG_KIND_START,   /* starting delivery D: msg N to local address */
	LOG_KIND_RESULT,  /* delivery D: success: text */
	LOG_KIND_END,     /* end msg N */
	LOG_KIND_RUNNING, /* running: deliveries count from 1 again */
	LOG_KIND_REFUSED, /* qmail-rspawn: refused U by ... */
	LOG_KIND_SESSION  /* qmail-smtpd: ... id U queue Q msg N */
};

struct log_fields {
	enum log_kind kind;
	uint64_t message;           /* its number; 0: the line has none */
	uint64_t delivery;          /* 0: none */
	struct uuid uuid;           /* none: uuid_is_none() */
	char queue[LOG_QUEUE_SIZE]; /* that the line names, or "" */
};

/*
 * Reads the fields by their places, as what a peer says can be anywhere else.
 * service is whose log it is: that of a queue's own lines.
 */
void log_fields_read(
    const char *service, const char *text, struct log_fields *fields_out);

/* Does a line of qmail-send, of whatever form, name the message's number? */
bool log_fields_has_number(const char *text, uint64_t number);

/*
 * Is the address a field <address> of the line, or a delivery's recipient, as
 * it is or with the prefix of its virtual domain?  In any case of letters.
 */
bool log_fields_has_address(
    const char *text, enum log_kind kind, const char *address);

#endif
