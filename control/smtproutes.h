/* SPDX-License-Identifier: ISC */
/*
 * Routes that the operator sets: through which host mail for a domain goes,
 * instead of the domain's own MX hosts.
 *
 * A line of smtproutes or qmtproutes (qmail-remote(8), IndiMail's fields):
 *
 *   KEY:[HOST[/s|/l]][:[PORT][:[PENALTY][:[TOLERANCE]]]][ CREDENTIALS]
 *
 *   KEY          DOMAIN, .SUFFIX, nothing (all other domains), or !@ (mail
 *                whose sender is null)
 *   HOST         a name, 192.0.2.1, [192.0.2.1] or [2001:db8::1]; nothing: the
 *                MX hosts of the domain, by the rest of the line
 *   /s           TLS from the first byte, as on port 465 (QMTP: 6209)
 *   /l           LMTP (RFC 2033)
 *   PENALTY      failures after which the host is left alone; 0: never
 *   TOLERANCE    seconds within which several failures count as one
 *                (tcptopenalty and tcptotolerance, for this host)
 *   CREDENTIALS  "USER PASSWORD", or "/s": those of the sender in
 *                remote_auth.cdb, or "/ADDRESS": those of that address
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
	SMTPROUTE_WORD_SIZE = 256, /* of user and secret, with NUL */
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
	char asks_for[SMTPROUTE_WORD_SIZE]; /* of "/ADDRESS"; or "" */
};

/* That of a domain without one: its MX hosts, port 25. */
struct smtproute smtproute_standard(void);

/*
 * Reads a line of smtproutes, or (is_qmtp) qmtproutes.  key_out is canonical.
 * 0, or -1 with the reason: what is wrong, and behind "; " what would be right.
 */
int smtproute_read(const char *line, bool is_qmtp,
    char key_out[IDN_DOMAIN_SIZE], struct smtproute *route_out,
    struct error *err);

/* Threads may share it: read-only, but for looks into the compiled files. */
struct smtproutes;

/*
 * The settings smtproutes and qmtproutes, and the compiled files beside them.
 * When a variable gives smtproutes the compiled files do not count.  NULL when
 * a compiled file cannot be read.
 */
struct smtproutes *smtproutes_new(const char *control_dir,
    const struct settings *settings, struct error *err);
void smtproutes_free(struct smtproutes **routes);

/*
 * The route of a domain in its canonical spelling, for mail of sender ("": the
 * null sender; NULL: not known, and then no route that depends on it counts).
 * The longest key wins; for the same key qmtproutes comes before smtproutes,
 * and that before the compiled files.
 *
 * 1 and *route_out, with credentials looked up; 0: there is none, and
 * *route_out is the standard; -1 could not tell.
 */
int smtproutes_find(const struct smtproutes *routes, const char *domain,
    const char *sender, struct smtproute *route_out, struct error *err);

/*
 * Compiles NAME, a text file of the folder, to NAME.cdb: "smtproutes" or
 * "moresmtproutes" (lines as above), or "remote_auth" (lines ADDRESS USER
 * PASSWORD; an ADDRESS that ends in * stands for all that begin so).  0, or -1
 * with errno (EINVAL: a line is wrong) and the reason; the old file stays.
 */
int smtproutes_compile(
    const char *control_dir, const char *name, struct error *err);

/* May a route depend on the sender? */
bool smtproutes_ask_sender(const struct smtproutes *routes);

#endif
