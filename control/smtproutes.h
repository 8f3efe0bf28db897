/* SPDX-License-Identifier: ISC */
/*
 * Routes that the operator sets: through which host mail for a domain goes,
 * instead of the domain's own MX hosts.
 *
 * A line of smtproutes or qmtproutes (qmail-remote(8), IndiMail's fields):
 *
 *   KEY:[HOST[/s|/l]][:[PORT][:[PENALTY][:[TOLERANCE]]]][ CREDENTIALS]
 *
 *   KEY          DOMAIN, .SUFFIX, nothing (all other domains), MAILBOX (one
 *                recipient), or !@ (mail whose sender is null)
 *   HOST         a name, 192.0.2.1, [192.0.2.1] or [2001:db8::1]; nothing: the
 *                MX hosts of the domain, by the rest of the line
 *   /s           TLS from the first byte, as on port 465 (QMTP: 6209)
 *   /l           LMTP (RFC 2033)
 *   PENALTY      failures after which the host is left alone; 0: never
 *   TOLERANCE    seconds within which several failures count as one
 *                (tcptopenalty and tcptotolerance, for this host)
 *   CREDENTIALS  "USER PASSWORD [VARIABLE=VALUE,...]"; or what
 *                remote_auth.cdb has of the sender ("/s"), the recipient
 *                ("/r") or that address ("/ADDRESS")
 *
 * The variables are AUTH_SMTP, SECURE_AUTH, OUTGOINGIP, MIN_PENALTY and
 * MAX_TOLERANCE.
 *
 * The compiled files smtproutes.cdb and moresmtproutes.cdb have the same: key
 * and value are what stands before and behind the first ':'.
 */
#ifndef CONTROL_SMTPROUTES_H
#define CONTROL_SMTPROUTES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "control/idn.h"
#include "control/settings.h"

enum smtproute_transport { SMTPROUTE_SMTP, SMTPROUTE_LMTP, SMTPROUTE_QMTP };

enum {
	SMTPROUTE_UNSAID = -1,
	SMTPROUTE_KEY_SIZE = 1024,
	SMTPROUTE_WORD_SIZE = 256, /* of user and secret, with NUL */
	SMTPROUTE_MECHANISM_SIZE = 16,
	SMTPROUTE_ADDRESS_SIZE = 48,
	SMTPROUTE_PENALTY_MAX = 10000,
	SMTPROUTE_TOLERANCE_MAX_S = 86400 * 365
};

struct smtproute {
	enum smtproute_transport transport;
	bool has_tls_first;
	/* Canonical name, or an IP address without brackets; "": by MX. */
	char host[IDN_DOMAIN_SIZE];
	bool is_address;
	uint16_t port;
	int penalty;                    /* or SMTPROUTE_UNSAID */
	int tolerance_s;                /* or SMTPROUTE_UNSAID */
	char user[SMTPROUTE_WORD_SIZE]; /* "": no AUTH */
	char secret[SMTPROUTE_WORD_SIZE];
	bool asks_sender;                   /* the word "/s" */
	bool asks_recipient;                /* the word "/r" */
	char asks_for[SMTPROUTE_WORD_SIZE]; /* of "/ADDRESS"; or "" */
	/* Of the variables; "": not said. */
	char mechanism[SMTPROUTE_MECHANISM_SIZE]; /* AUTH_SMTP */
	bool needs_tls_for_auth;                  /* SECURE_AUTH */
	char source[SMTPROUTE_ADDRESS_SIZE];      /* OUTGOINGIP */
	/* By smtproutes_find(): where it stands, "smtproutes, line for 'KEY'";
	 * "": there is none. */
	char found_in[SMTPROUTE_WORD_SIZE];
};

/* That of a domain without one: its MX hosts, port 25. */
struct smtproute smtproute_standard(void);

/*
 * Reads a line of smtproutes, or (is_qmtp) qmtproutes.  key_out is canonical.
 * 0, or -1 with the reason: what is wrong, and behind "; " what would be right.
 */
int smtproute_read(const char *line, bool is_qmtp,
    char key_out[SMTPROUTE_KEY_SIZE], struct smtproute *route_out,
    struct error *err);

/*
 * Checks the setting routes: "static".  What asks where a user is placed is
 * refused by name.  0, or -1 with the reason.
 */
int routes_judge(const char *value, struct error *err);

/* Threads may share it: read-only, but for looks into the compiled files. */
struct smtproutes;

/*
 * The settings smtproutes and qmtproutes, and the compiled files beside them.
 * When SMTPROUTE gives smtproutes, or else SMTPROUTES does, the compiled files
 * do not count.  NULL when a compiled file cannot be read, or SMTPROUTES is
 * wrong.
 */
struct smtproutes *smtproutes_new(const char *control_dir,
    const struct settings *settings, struct error *err);
void smtproutes_free(struct smtproutes **routes);

/*
 * The route of a domain in its canonical spelling, for mail of sender ("": the
 * null sender) to recipient; of either NULL: not known, and then no route that
 * depends on it counts.  "!@" comes first, then the recipient, then the longest
 * key; for the same key qmtproutes comes before smtproutes, and that before the
 * compiled files.
 *
 * 1 and *route_out, with credentials looked up; 0: there is none, and
 * *route_out is the standard; -1 could not tell.
 */
int smtproutes_find(const struct smtproutes *routes, const char *domain,
    const char *sender, const char *recipient, struct smtproute *route_out,
    struct error *err);

/*
 * Compiles NAME, a text file of the folder, to NAME.cdb: "smtproutes" or
 * "moresmtproutes" (lines as above), or "remote_auth" (lines ADDRESS USER
 * PASSWORD [VARIABLE=VALUE,...]; an ADDRESS that ends in * stands for all that
 * begin so).  0, or -1 with errno (EINVAL: a line is wrong) and the reason; the
 * old file stays.
 */
int smtproutes_compile(
    const char *control_dir, const char *name, struct error *err);

/* May a route depend on the sender? */
bool smtproutes_ask_sender(const struct smtproutes *routes);

/*
 * May the route of a domain, in its canonical spelling, depend on the
 * recipient?  1, 0, or -1 when a compiled file cannot be read.
 */
int smtproutes_ask_recipient(
    const struct smtproutes *routes, const char *domain);

#endif
