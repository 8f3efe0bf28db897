/* SPDX-License-Identifier: ISC */
/*
 * What the operator wants of TLS with the hosts that mail goes to.
 *
 * A line of tlspolicy:
 *
 *   KEY:WORD[:NAME[,NAME...]]
 *
 *   KEY   DOMAIN, .SUFFIX (all below it), or * (all others)
 *   WORD  none       never TLS
 *         may        if it is offered, with any certificate
 *         encrypt    always, with any certificate
 *         verify     always, with a certificate for one of the NAMEs (without
 *                    any: for the host), signed by an authority
 *         dane       what the DNS proves (RFC 7672), or else what the domain
 *                    publishes by MTA-STS, or else may: as without a line
 *         dane-only  what the DNS proves, or the mail waits
 *         mta-sts    what the domain publishes (RFC 8461), or else may
 *
 * The longest key that fits counts.
 */
#ifndef CONTROL_TLSPOLICY_H
#define CONTROL_TLSPOLICY_H

#include "base/error.h"
#include "base/strlist.h"
#include "control/idn.h"
#include "control/settings.h"

enum tlspolicy_word {
	TLSPOLICY_NONE,
	TLSPOLICY_MAY,
	TLSPOLICY_ENCRYPT,
	TLSPOLICY_VERIFY,
	TLSPOLICY_DANE,
	TLSPOLICY_DANE_ONLY,
	TLSPOLICY_MTA_STS
};
const char *tlspolicy_word_name(enum tlspolicy_word word);

struct tlspolicy {
	char key[IDN_DOMAIN_SIZE]; /* canonical; "*"; "": there is no line */
	enum tlspolicy_word word;
	struct strlist names; /* canonical; VERIFY's */
};

/*
 * Reads a line.  0, and tlspolicy_release() releases it; or -1 with the reason:
 * what is wrong, and behind "; " what would be right.
 */
int tlspolicy_read(
    const char *line, struct tlspolicy *policy_out, struct error *err);
void tlspolicy_release(struct tlspolicy *policy);

/* All lines.  Read-only: threads may share them. */
struct tlspolicies;

/*
 * Those of the setting tlspolicy; a line of tlsadomains counts as DOMAIN:dane
 * where tlspolicy has no line with that key.
 */
struct tlspolicies *tlspolicies_new(const struct settings *settings);
void tlspolicies_free(struct tlspolicies **policies);

/* That of a domain in its canonical spelling; without a line, dane. */
const struct tlspolicy *tlspolicies_find(
    const struct tlspolicies *policies, const char *domain);

/* Is it a host of the setting notlshosts (HOST, .SUFFIX)? */
bool tlspolicies_has_no_tls(
    const struct tlspolicies *policies, const char *host);

/* A line of tlsadomains: DOMAIN, or IndiMail's DOMAIN:PORT. */
int tlsadomain_judge(const char *line, struct error *err);

#endif
