/* SPDX-License-Identifier: ISC */
/*
 * The server's side of SASL (RFC 4422): PLAIN, LOGIN, CRAM-MD5, SCRAM-SHA-256
 * and SCRAM-SHA-256-PLUS by libgsasl, OAUTHBEARER and XOAUTH2 by a program that
 * knows the tokens.
 *
 * Lines are in base64, without what a protocol has around them.  An exchange
 * belongs to one thread.
 */
#ifndef AUTH_SASL_H
#define AUTH_SASL_H

#include <stdbool.h>

#include "auth/login.h"
#include "base/buf.h"
#include "base/tls.h"
#include "base/vars.h"
#include "control/settings.h"

/* Where it happens.  All is borrowed until the exchange is freed. */
struct sasl_channel {
	struct login *login; /* NULL: others know the passwords, so that only
			      * PLAIN and LOGIN can be */
	const struct login_service *service;
	const struct settings *settings; /* authmechanisms, oauthprogram */
	const struct vars *vars; /* DISABLE_...; and for oauthprogram, where
				  * there must be some */
	const char *remote_ip, *local_ip;
	bool has_binding; /* stream_tls_binding() */
	unsigned char binding[TLS_BINDING_SIZE];
};

enum {
	/* RFC 4954 4: of a line, with what is around it */
	SASL_LINE_MAX = 12288,
	SASL_MECHANISM_MAX = 20 /* RFC 4422 3.1: of a name */
};

enum sasl_step {
	SASL_CHALLENGE, /* say it, and step with the answer */
	SASL_PASSWORD,  /* over: a name and a password are there */
	SASL_FINISHED,  /* over: sasl_finish() says how */
	SASL_MALFORMED  /* over: what came is no answer of the mechanism */
};

struct sasl;

/* The names of what may be used here, with a blank between; perhaps none. */
void sasl_put_mechanisms(const struct sasl_channel *channel, struct buf *buf);

/* Begins one, named without regard to case.  NULL: it may not be used here. */
struct sasl *sasl_start(
    const struct sasl_channel *channel, const char *mechanism);
/* Breaks off unless it is over. */
void sasl_free(struct sasl **sasl);

/* As in the list. */
const char *sasl_mechanism(const struct sasl *sasl);

/*
 * answer: what the client says to the last challenge; at first its initial
 * response, "" for an empty one, NULL for none.  *challenge_out is set with
 * SASL_CHALLENGE.  May wait for some seconds at the end.
 */
enum sasl_step sasl_step(
    struct sasl *sasl, const char *answer, struct buf *challenge_out);

/* Who the client says he is; NULL before. */
const char *sasl_name(const struct sasl *sasl);
/* After SASL_PASSWORD, valid as long as the exchange. */
const char *sasl_password(const struct sasl *sasl);

/* After SASL_FINISHED; the user as of login_end(), the reason of UNKNOWN. */
enum login_result sasl_finish(
    struct sasl *sasl, struct login_user *user_out, struct error *err);

#endif
