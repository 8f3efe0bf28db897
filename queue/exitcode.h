/* SPDX-License-Identifier: ISC */
/*
 * The exit codes of qmail-queue, which also are the results of a sink, and
 * the texts that SMTP clients see for them (reference 1.4).
 */
#ifndef QUEUE_EXITCODE_H
#define QUEUE_EXITCODE_H

#include <stdbool.h>

enum qq {
	QQ_OK = 0,
	QQ_ADDRESS_TOO_LONG = 11,
	QQ_REJECTED = 31,
	QQ_OUT_OF_MEMORY = 51,
	QQ_TIMEOUT = 52,
	QQ_WRITE_ERROR = 53, /* or the disk is full */
	QQ_READ_ERROR = 54,
	QQ_BAD_CONFIG = 55,
	QQ_NETWORK = 56,
	QQ_PIPE = 60,
	QQ_HOME = 61,
	QQ_MESS = 62,
	QQ_CHDIR = 63,
	QQ_SYNC = 64,
	QQ_INTD = 65,
	QQ_LINK_TODO = 66,
	QQ_LINK_MESS = 67,
	QQ_CREATE = 68,
	QQ_SYNC_FOLDER = 69,
	QQ_PID = 70,
	QQ_UNAVAILABLE = 71, /* no queue takes it now */
	QQ_TALK = 74,        /* the conversation with another host broke off */
	QQ_ENVELOPE = 79,
	QQ_BUG = 81,
	QQ_MISCONFIGURED = 87, /* who calls us does it wrongly */
	QQ_CUSTOM = 88,        /* the text came from the program */
	QQ_EXEC = 120,
	QQ_FORK = 121,
	QQ_WAIT = 122,
	QQ_CRASHED = 123
};

/* Permanent: 115 and 11..40; anything else but 0 is temporary. */
bool qq_is_permanent(int code);

/* "qq write error or disk full (#4.3.0)", for any code; never NULL. */
const char *qq_text(int code);

#endif
