/* SPDX-License-Identifier: ISC */
/*
 * What qmail-smtpd has read from its settings, rules and certificate: one
 * read-only snapshot, shared by the sessions that began while it was current.
 */
#ifndef SMTP_CONFIG_H
#define SMTP_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/tls.h"
#include "control/envrules.h"
#include "control/home.h"
#include "control/rcpthosts.h"
#include "control/settings.h"

struct smtp_config {
	unsigned references; /* changed by __atomic only */
	struct settings *settings;
	struct rcpthosts *rcpthosts;
	struct envrules *from_rules;    /* NULL: no file */
	struct envrules *domain_rules;  /* NULL: no file */
	struct envrules *auth_rules;    /* NULL: no file */
	struct tls_context *tls;        /* NULL: no certificate */
	const char *name;               /* control/me; "" without */
	const struct strlist *greeting; /* at least one line */
	struct strlist checked_domains; /* sorted, without case */
	uint64_t databytes;             /* 0: no limit */
	uint64_t maxrecipients;         /* 0: what we allow */
	uint64_t maxhops;
	uint32_t maxcmdlen;
	int timeout_ms;
};

/*
 * Reads everything.  NULL, with the reason, when anything is wrong.  A
 * certificate that does not exist is only wrong when needs_tls: TLS was
 * promised by the command line, or offered until now.
 */
struct smtp_config *smtp_config_new(
    const struct home *home, bool needs_tls, struct error *err);

/*
 * Before it is shared: its certificate is that by which other nodes know this
 * one, and theirs are asked for.  0 or -1.
 */
int smtp_config_set_node(
    struct smtp_config *config, const struct home *home, struct error *err);

struct smtp_config *smtp_config_share(struct smtp_config *config);
/* Gives one reference back; the last one frees. */
void smtp_config_release(struct smtp_config **config);

/* Does chkrcptdomains ask for the recipients of this domain? */
bool smtp_config_checks_domain(
    const struct smtp_config *config, const char *domain);

#endif
