/* SPDX-License-Identifier: ISC */
/* What of TLS the hosts of a domain need. */
#include "remote/tls_policy.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "control/network.h"

static const char no_policy[] = "no-policy-found";

const char *
tls_level_name(enum tls_level level)
{
	switch (level) {
	case TLS_NONE:
		return "none";
	case TLS_MAY:
		return "may";
	case TLS_ENCRYPT:
		return "encrypt";
	case TLS_VERIFY:
		break;
	}
	return "verify";
}

static void
choose(struct tls_choice *choice, enum tls_level level, const char *why)
{
	choice->level = level;
	choice->why = why;
}

static void
refuse(struct tls_choice *choice, const char *why)
{
	choice->is_refused = true;
	choose(choice, TLS_VERIFY, why);
}

/* -- one host */

/* True when DANE decides. */
static bool
choose_by_dane(const struct tls_policy_config *config,
    const struct exchange *exchange, const struct exchange_host *host,
    struct tls_choice *choice)
{
	struct network network;

	/* RFC 7672 2.2: who names the host must be proven, too.  An operator's
	 * route is. */
	if ((!exchange->is_routed && !exchange->is_mx_secure) ||
	    !host->is_secure ||
	    network_read(host->name, strlen(host->name), &network) ||
	    (exchange->route.transport == SMTPROUTE_QMTP &&
		!exchange->route.has_tls_first))
		return false;
	dane_ask(config->dns, host->name, exchange->route.port,
	    config->timeout_ms, &choice->dane);
	switch (choice->dane.state) {
	case DANE_USABLE:
		choose(choice, TLS_VERIFY, "DANE");
		break;
	case DANE_UNUSABLE:
		choose(choice, TLS_ENCRYPT,
		    "DANE, with no TLSA record that can be used");
		break;
	case DANE_NONE:
		return false;
	case DANE_UNKNOWN:
		refuse(choice, "its TLSA records cannot be told");
		break;
	}
	choice->policy = "tlsa";
	return true;
}

static bool
choose_by_sts(const struct tls_plan *plan, const struct exchange_host *host,
    struct tls_choice *choice)
{
	bool is_named;

	if (!plan->has_sts || plan->sts.mode == MTA_STS_NONE)
		return false;
	choice->policy = "sts";
	is_named = mta_sts_has_host(&plan->sts, host->name);
	if (plan->sts.mode == MTA_STS_TESTING) {
		choice->is_examined = is_named;
		choose(choice, TLS_MAY,
		    is_named ? "MTA-STS, which is being tested"
			     : "MTA-STS, which is being tested and does not "
			       "name the host");
	} else if (is_named)
		choose(choice, TLS_VERIFY, "MTA-STS");
	else
		refuse(choice, "the domain's MTA-STS policy does not name it");
	return true;
}

/* The files are IndiMail's. */
static bool
goes_without_tls(
    const struct tls_policy_config *config, const struct exchange_host *host)
{
	AUTO(mem_free)
	char *path = xasprintf("%s/%s", config->no_tls_folder, host->name);

	return tlspolicies_has_no_tls(config->policies, host->name) ||
	    (strchr(host->name, '/') == NULL && access(path, F_OK) == 0);
}

/* A file tlshosts/HOST.pem, as qmail's TLS patch has it. */
static bool
choose_by_authorities(const struct tls_policy_config *config,
    const struct exchange_host *host, struct tls_choice *choice)
{
	AUTO(mem_free)
	char *path = xasprintf(
	    "%s/%s.pem", config->authorities_folder, host->name);

	if (strchr(host->name, '/') != NULL || access(path, F_OK) == -1)
		return false;
	choice->authorities_path = path;
	path = NULL; /* now the choice's */
	choose(choice, TLS_VERIFY, "tlshosts");
	return true;
}

static void
choose_for_host(const struct tls_policy_config *config,
    const struct tls_plan *plan, const struct exchange *exchange, size_t i)
{
	const struct exchange_host *host = &exchange->hosts[i];
	struct tls_choice *choice = &plan->hosts[i];

	choice->policy = no_policy;
	if (choose_by_authorities(config, host, choice))
		return;
	switch (plan->policy->word) {
	case TLSPOLICY_ENCRYPT:
		choose(choice, TLS_ENCRYPT, "tlspolicy");
		return;
	case TLSPOLICY_VERIFY:
		choose(choice, TLS_VERIFY, "tlspolicy");
		return;
	case TLSPOLICY_DANE_ONLY:
		if (!choose_by_dane(config, exchange, host, choice))
			refuse(choice,
			    "tlspolicy wants DANE, which it does not have");
		return;
	case TLSPOLICY_NONE:
		choose(choice, TLS_NONE, "tlspolicy");
		return;
	case TLSPOLICY_MAY:
	case TLSPOLICY_DANE:
	case TLSPOLICY_MTA_STS:
		break;
	}
	if (goes_without_tls(config, host)) {
		choose(choice, TLS_NONE, "notlshosts");
		return;
	}
	choose(choice, TLS_MAY,
	    plan->policy->word == TLSPOLICY_MAY ? "tlspolicy"
		: config->ignores_published
		? "the message says TLS-Required: No"
		: "nothing asks for more");
	if (config->ignores_published)
		return;
	if (plan->policy->word == TLSPOLICY_DANE &&
	    choose_by_dane(config, exchange, host, choice))
		return;
	if (plan->policy->word != TLSPOLICY_MAY)
		choose_by_sts(plan, host, choice);
}

/* -- all hosts */

static bool
asks_for_sts(const struct tls_policy_config *config,
    const struct tlspolicy *policy, const struct exchange *exchange)
{
	/* A route is not by the domain's MX records, which it is about. */
	if (config->ignores_published || exchange->is_routed ||
	    exchange->route.transport == SMTPROUTE_QMTP)
		return false;
	return policy->word == TLSPOLICY_MTA_STS ||
	    (policy->word == TLSPOLICY_DANE && config->uses_sts);
}

static void
drop_refused(const struct tls_plan *plan, struct exchange *exchange)
{
	size_t i, kept = 0;
	const struct exchange_host *host = &exchange->hosts[0];
	const char *why = plan->hosts[0].why;

	for (i = 0; i < exchange->address_count; i++)
		if (!plan->hosts[exchange->addresses[i].host].is_refused)
			exchange->addresses[kept++] = exchange->addresses[i];
	exchange->address_count = kept;
	if (kept > 0)
		return;
	exchange->state = EXCHANGE_UNKNOWN;
	exchange->ttl_s = 0;
	free(exchange->text);
	exchange->text = xasprintf("Sorry, no host of the domain can be used "
				   "with the TLS that it needs. (#4.7.5)\n"
				   "%s: %s\n",
	    host->name, why);
}

static void
shorten_ttl(const struct tls_choice *choice, struct exchange *exchange)
{
	if (choice->dane.state == DANE_USABLE &&
	    choice->dane.answer.ttl_s < exchange->ttl_s)
		exchange->ttl_s = choice->dane.answer.ttl_s;
}

void
tls_policy_make(const struct tls_policy_config *config, const char *domain,
    struct exchange *exchange, struct tls_plan *plan_out)
{
	size_t i;

	*plan_out = (struct tls_plan){ .policy = tlspolicies_find(
					   config->policies, domain),
		.hosts = xcalloc(
		    exchange->host_count + 1, sizeof(*plan_out->hosts)),
		.host_count = exchange->host_count };
	/* A line for the relay, if there is none for the domain. */
	if (exchange->route.host[0] != '\0' &&
	    (plan_out->policy->key[0] == '\0' ||
		strcmp(plan_out->policy->key, "*") == 0))
		plan_out->policy = tlspolicies_find(
		    config->policies, exchange->route.host);
	if (asks_for_sts(config, plan_out->policy, exchange))
		plan_out->has_sts = mta_sts_find(config->sts, domain,
					time(NULL), &plan_out->sts) == 1;
	for (i = 0; i < exchange->host_count; i++) {
		choose_for_host(config, plan_out, exchange, i);
		shorten_ttl(&plan_out->hosts[i], exchange);
	}
	drop_refused(plan_out, exchange);
}

void
tls_plan_release(struct tls_plan *plan)
{
	size_t i;

	for (i = 0; i < plan->host_count; i++) {
		dane_release(&plan->hosts[i].dane);
		free(plan->hosts[i].authorities_path);
	}
	free(plan->hosts);
	mta_sts_policy_release(&plan->sts);
	*plan = (struct tls_plan){ 0 };
}
