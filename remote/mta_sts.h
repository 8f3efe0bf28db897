/* SPDX-License-Identifier: ISC */
/*
 * What a domain publishes of the hosts that take its mail, and of their TLS
 * (MTA-STS, RFC 8461): found by a TXT record, fetched by HTTPS, and kept until
 * it expires, in memory and in run/mta-sts/.
 */
#ifndef REMOTE_MTA_STS_H
#define REMOTE_MTA_STS_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "base/error.h"
#include "base/strlist.h"
#include "resolver/dns_client.h"

enum mta_sts_mode { MTA_STS_NONE, MTA_STS_TESTING, MTA_STS_ENFORCE };

enum {
	MTA_STS_ID_SIZE = 33,           /* with NUL */
	MTA_STS_POLICY_MAX = 64 * 1024, /* bytes; RFC 8461 3.2 */
	MTA_STS_AGE_MAX_S = 31557600
};

struct mta_sts_policy {
	enum mta_sts_mode mode;
	uint64_t max_age_s;
	struct strlist mx; /* in small letters; "*.example.org" */
};
void mta_sts_policy_release(struct mta_sts_policy *policy);

/*
 * Reads the text of a policy (RFC 8461 3.2).  0, and the caller releases it; or
 * -1 with the reason.
 */
int mta_sts_read(const char *text, size_t length,
    struct mta_sts_policy *policy_out, struct error *err);

/* Reads a TXT record (RFC 8461 3.1).  False: it is not one of MTA-STS. */
bool mta_sts_read_record(const char *text, char id_out[MTA_STS_ID_SIZE]);

/* Is the host one of the policy's? */
bool mta_sts_has_host(const struct mta_sts_policy *policy, const char *host);

struct mta_sts_config {
	struct dns_client *dns;
	const char *folder;  /* run/mta-sts; it may be missing */
	const char *ca_file; /* "": the system's authorities */
	uint16_t port;
	int timeout_ms; /* of one question; HTTPS takes as long at most */
};

struct mta_sts;

/* What config points to outlives it, but its texts. */
struct mta_sts *mta_sts_new(const struct mta_sts_config *config);
void mta_sts_free(struct mta_sts **sts);

/*
 * The policy of a domain in its canonical spelling; any thread.  1, and the
 * caller releases it; 0: none is known.  RFC 8461 5.1: what cannot be fetched
 * is not there, unless an older one still holds.
 */
int mta_sts_find(struct mta_sts *sts, const char *domain, time_t now,
    struct mta_sts_policy *policy_out);

#endif
