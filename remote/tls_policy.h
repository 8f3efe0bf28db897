/* SPDX-License-Identifier: ISC */
/*
 * What of TLS the hosts of a domain need: what the operator says
 * (control/tlspolicy.h), what the DNS proves (remote/dane.h), and what the
 * domain publishes (remote/mta_sts.h).
 */
#ifndef REMOTE_TLS_POLICY_H
#define REMOTE_TLS_POLICY_H

#include "control/tlspolicy.h"
#include "remote/dane.h"
#include "remote/exchange.h"
#include "remote/mta_sts.h"
#include "remote/session.h"

/* Of one host of an exchange. */
struct tls_choice {
	bool is_refused; /* it may not be used now */
	enum tls_level level;
	bool is_examined;       /* MTA-STS that is only tested: session_tls */
	const char *policy;     /* as RFC 8460 4.4 names it */
	const char *why;        /* for people */
	char *authorities_path; /* VERIFY by this file (tlshosts), or NULL */
	struct dane dane;
};

/* All of it, for one domain. */
struct tls_plan {
	const struct tlspolicy *policy; /* the rules' */
	struct mta_sts_policy sts;
	bool has_sts;
	struct tls_choice *hosts; /* as exchange.hosts */
	size_t host_count;
};

struct tls_policy_config {
	const struct tlspolicies *policies;
	struct mta_sts *sts;
	struct dns_client *dns;
	const char *no_tls_folder;      /* tls/notlshosts */
	const char *authorities_folder; /* tls/tlshosts */
	bool uses_sts;                  /* without a line that says so */
	/* What a domain publishes does not count, the operator's lines do
	 * (TLS-Required: No, RFC 8689 4.2.2). */
	bool ignores_published;
	int timeout_ms;
};

/*
 * Blocking.  exchange was FOUND; addresses of hosts that may not be used are
 * taken out of it, and if none is left it is UNKNOWN, with the reason.
 * domain: canonical.  The caller releases *plan_out.
 */
void tls_policy_make(const struct tls_policy_config *config, const char *domain,
    struct exchange *exchange, struct tls_plan *plan_out);
void tls_plan_release(struct tls_plan *plan);

/* "may", "encrypt", ...; for logs. */
const char *tls_level_name(enum tls_level level);

#endif
