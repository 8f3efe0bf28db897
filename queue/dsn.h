/* SPDX-License-Identifier: ISC */
/*
 * What a sender wants to be told (RFC 3461), REQUIRETLS (RFC 8689), and until
 * when his message is to be held (RFC 4865).
 *
 * Everywhere behind SMTP it is a text as MAIL and RCPT have it, each parameter
 * with a blank in front, "" when there is none:
 *
 *	message   = [" RET=" ("FULL" / "HDRS")] [" ENVID=" xtext]
 *	            [" REQUIRETLS"] [" TLS-REQUIRED=NO"] [" HOLD=" time ["/" seconds]]
 *	recipient = [" NOTIFY=" ("NEVER" / 1#("SUCCESS" / "FAILURE" / "DELAY"))]
 *	            [" ORCPT=" atom ";" xtext]
 *
 * so that it can be handed on by SMTP as it is, but for the last three: nothing
 * else is in a text that the functions below have taken.  TLS-REQUIRED is what
 * the message's header says (RFC 8689 5; queue/tls_wish.h).  HOLD has a Unix time,
 * and when he has said for how long (HOLDFOR), not until when, that, too.
 */
#ifndef QUEUE_DSN_H
#define QUEUE_DSN_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "base/buf.h"

enum {
	DSN_ENVID_MAX = 100, /* RFC 3461 4.4 */
	DSN_ORCPT_MAX = 500, /* RFC 3461 4.2 */
	DSN_HOLD_MAX_S = 999999999 /* RFC 4865 3: nine digits */
};

/* NOTIFY: 0 when the sender did not say. */
enum dsn_notify {
	DSN_NEVER = 1,
	DSN_SUCCESS = 2,
	DSN_FAILURE = 4,
	DSN_DELAY = 8
};

/* Texts point into what was read. */
struct dsn_message {
	bool has_ret, is_headers_only;
	bool needs_tls;
	bool waives_tls; /* TLS-Required: No */
	time_t hold_until;  /* 0: it is not to be held */
	unsigned hold_for_s; /* 0: he has said until when */
	const char *envid; /* xtext, or NULL */
	size_t envid_length;
};

struct dsn_recipient {
	unsigned notify;
	const char *orcpt; /* type ";" xtext, or NULL */
	size_t orcpt_length;
};

/*
 * One parameter's value, or NULL.  False when it is malformed, too long, or
 * there already.
 */
bool dsn_set_ret(struct dsn_message *message, const char *value, size_t length);
bool dsn_set_envid(
    struct dsn_message *message, const char *value, size_t length);
bool dsn_set_notify(
    struct dsn_recipient *recipient, const char *value, size_t length);
bool dsn_set_orcpt(
    struct dsn_recipient *recipient, const char *value, size_t length);

/* The text; nothing when there is no parameter. */
void dsn_put_message(struct buf *buf, const struct dsn_message *message);
void dsn_put_recipient(struct buf *buf, const struct dsn_recipient *recipient);

/* Reads such a text; false when it is none. */
bool dsn_get_message(const char *text, struct dsn_message *message_out);
bool dsn_get_recipient(const char *text, struct dsn_recipient *recipient_out);

/*
 * Until when a message with these parameters is held, as it is read at now.  A
 * clock that was ahead when it came does not make it longer than he has said:
 * the time that was set for it then, retry_at (0: none yet), counts if it can
 * be, and else the whole of it begins now.  0: it is not to be held.
 */
time_t dsn_hold_until(const struct dsn_message *message, time_t retry_at,
    time_t now);

/* What an xtext stands for (RFC 3461 4), "?" for what is not printable. */
void dsn_put_decoded(struct buf *buf, const char *xtext, size_t length);

#endif
