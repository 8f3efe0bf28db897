/* SPDX-License-Identifier: ISC */
/* What settings say about remote delivery, and how mail reaches a domain. */
#include "remote/rules.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/listen_socket.h"
#include "base/log.h"
#include "base/log_text.h"
#include "base/mem.h"
#include "base/tls.h"
#include "control/layout.h"
#include "control/network.h"
#include "control/own_addresses.h"
#include "control/smtproutes.h"
#include "remote/node.h"
#include "remote/tcpto.h"
#include "resolver/dns_client.h"

enum {
	DNS_TIMEOUT_MS = 60 * 1000,
	POLICY_TEXT_BYTES = 2000 /* what is beyond that is not reported */
};

struct rules {
	struct settings *settings;
	struct smtproutes *routes;
	struct bindings *bindings;
	struct own_addresses *own;
	struct dns_client *dns;
	struct tls_context *tls;
	struct cluster_nodes *nodes;
	struct tls_context *node_tls; /* NULL: we have no certificate */
	struct tcpto *tcpto; /* NULL: there is none */
	struct tlspolicies *policies;
	struct mta_sts *sts;
	char *no_tls_folder, *authorities_folder;
	struct tls_policy_config tls_policy;
	struct tls_report *report; /* or NULL */
	struct exchange_config exchange;
	bool asks_sender;
	const char *program; /* settings', or NULL */
};

void
rules_free(struct rules **rules_in)
{
	struct rules *rules = *rules_in;

	if (rules == NULL)
		return;
	settings_free(&rules->settings);
	smtproutes_free(&rules->routes);
	bindings_free(&rules->bindings);
	own_addresses_free(&rules->own);
	dns_client_free(&rules->dns);
	tls_context_free(&rules->tls);
	tls_context_free(&rules->node_tls);
	cluster_nodes_free(&rules->nodes);
	tcpto_free(&rules->tcpto);
	tlspolicies_free(&rules->policies);
	mta_sts_free(&rules->sts);
	free(rules->no_tls_folder);
	free(rules->authorities_folder);
	free(rules);
	*rules_in = NULL;
}

static struct tcpto *
open_tcpto(const struct home *home)
{
	char *path = layout_path(home, LAYOUT_tcpto);
	struct tcpto *tcpto;
	struct error err;

	/* Without it hosts that do not answer are only tried more often. */
	if (tcpto_open(path, true, &tcpto, &err) == -1)
		log_line("warning: %s", err.text);
	free(path);
	return tcpto;
}

/* With our certificate, if there is one, and whom we trust. */
static struct tls_context *
make_tls(
    const struct home *home, const struct settings *settings, struct error *err)
{
	AUTO(mem_free) char *path = xasprintf("%s/clientcert.pem", home->tls);
	const char *ca_file = settings_text(settings, SETTING_tlscafile);
	struct tls_context *tls = tls_client_context_new(err);

	if (tls == NULL)
		return NULL;
	if ((*ca_file == '\0'
		    ? tls_context_trust_system(tls, err)
		    : tls_context_trust_file(tls, ca_file, err)) == -1 ||
	    tls_context_set_ciphers(tls,
		settings_text(settings, SETTING_tlsclientciphers),
		settings_text(settings, SETTING_tlsclientsuites), err) == -1 ||
	    tls_context_set_groups(tls,
		settings_text(settings, SETTING_tlsclientgroups), err) == -1 ||
	    (access(path, F_OK) == 0 &&
		tls_context_set_certificate(tls, path, err) == -1))
		tls_context_free(&tls);
	return tls;
}

/* To other nodes; whatever is wrong here, mail goes to the rest of the world. */
static void
make_node_tls(struct rules *rules, const struct home *home)
{
	OWN_TEXT path = layout_path(home, LAYOUT_nodecert);
	struct error err;

	rules->nodes = cluster_nodes_new(home);
	if (access(path, F_OK) == -1)
		return;
	rules->node_tls = tls_client_context_new(&err);
	if (rules->node_tls != NULL &&
	    tls_context_set_certificate(rules->node_tls, path, &err) == -1)
		tls_context_free(&rules->node_tls);
	if (rules->node_tls == NULL)
		log_line("warning: mail for other nodes waits: %s", err.text);
}

static void
fill_tls_policy(struct rules *rules, const struct home *home)
{
	AUTO(mem_free) char *folder = xasprintf("%s/mta-sts", home->run);
	const struct settings *settings = rules->settings;
	const struct mta_sts_config config = { .dns = rules->dns,
		.folder = folder,
		.ca_file = settings_text(settings, SETTING_tlscafile),
		.port = (uint16_t)settings_number(settings, SETTING_mtastsport),
		.timeout_ms = DNS_TIMEOUT_MS };

	rules->policies = tlspolicies_new(settings);
	rules->sts = mta_sts_new(&config);
	rules->no_tls_folder = xasprintf("%s/notlshosts", home->tls);
	rules->authorities_folder = xasprintf("%s/tlshosts", home->tls);
	rules->tls_policy = (struct tls_policy_config){
		.policies = rules->policies,
		.sts = rules->sts,
		.dns = rules->dns,
		.no_tls_folder = rules->no_tls_folder,
		.authorities_folder = rules->authorities_folder,
		.uses_sts = settings_flag(settings, SETTING_mtasts),
		.timeout_ms = DNS_TIMEOUT_MS
	};
}

/* qmail-rspawn alone runs it.  0, or -1. */
static int
set_program(struct rules *rules, const char *name, struct error *err)
{
	const char *program = strcmp(name, "qmail-rspawn") != 0
	    ? ""
	    : settings_text(rules->settings, SETTING_qmailremote);

	if (*program == '\0')
		return 0;
	rules->program = program;
	return access(program, X_OK) == 0
	    ? 0
	    : error_sys(err,
		  "cannot run '%s', which QMAILREMOTE (or qmailremote) names",
		  program);
}

struct rules *
rules_new(const struct home *home, const char *program, struct error *err)
{
	struct rules *rules = xcalloc(1, sizeof(*rules));
	char *socket = layout_path(home, LAYOUT_resolver);

	rules->dns = dns_client_new(socket);
	free(socket);
	rules->settings = settings_load(home->control, program, NULL, err);
	if (rules->settings == NULL)
		goto failed;
	if (set_program(rules, program, err) == -1)
		goto failed;
	rules->routes = smtproutes_new(home->control, rules->settings, err);
	rules->bindings = bindings_new(home->control, rules->settings, err);
	rules->tls = make_tls(home, rules->settings, err);
	if (rules->routes == NULL || rules->bindings == NULL ||
	    rules->tls == NULL)
		goto failed;
	rules->own = own_addresses_new(rules->settings);
	make_node_tls(rules, home);
	rules->tcpto = open_tcpto(home);
	rules->asks_sender = smtproutes_ask_sender(rules->routes) ||
	    bindings_ask_sender(rules->bindings);
	rules->exchange = (struct exchange_config){ .dns = rules->dns,
		.routes = rules->routes,
		.me = settings_text(rules->settings, SETTING_me),
		.own = rules->own,
		.timeout_ms = DNS_TIMEOUT_MS };
	fill_tls_policy(rules, home);
	return rules;
failed:
	rules_free(&rules);
	return NULL;
}

const struct settings *
rules_settings(const struct rules *rules)
{
	return rules->settings;
}

bool
rules_ask_sender(const struct rules *rules)
{
	return rules->asks_sender;
}

bool
rules_ask_recipient(const struct rules *rules, const char *lane)
{
	OWN_TEXT domain = xstrndup(lane, strcspn(lane, " "));
	char canonical[IDN_DOMAIN_SIZE];

	if (node_is_lane(domain))
		return false;
	idn_domain_canonical(domain, canonical);
	return smtproutes_ask_recipient(rules->routes, canonical) != 0;
}

const char *
rules_program(const struct rules *rules)
{
	return rules->program;
}

void
rules_set_timeout(struct rules *rules, int timeout_ms)
{
	rules->exchange.timeout_ms = timeout_ms;
	rules->tls_policy.timeout_ms = timeout_ms;
}

void
rules_report_to(struct rules *rules, struct tls_report *report)
{
	rules->report = report;
}

/* -- plans */

/* A legacy server is spoken to as any host, a node by its pins. */
static void
make_node_plan(const struct rules *rules,
    const struct tls_policy_config *tls, struct plan *plan)
{
	static const struct tlspolicy no_line = { .key = "" };
	struct exchange *exchange = &plan->exchange;

	node_find(rules->nodes, &rules->exchange, plan->domain, exchange,
	    &plan->node);
	if (exchange->state != EXCHANGE_FOUND)
		return;
	if (node_is_legacy(&plan->node)) {
		tls_policy_make(tls, plan->node.host, exchange, &plan->tls);
		return;
	}
	if (rules->node_tls == NULL) {
		free(exchange->text);
		exchange->state = EXCHANGE_UNKNOWN;
		exchange->text = xasprintf("Mail for this mailbox waits for "
					   "node %.64s: this node has no "
					   "certificate to show it. "
					   "(#4.3.5)\n",
		    plan->node.name);
		return;
	}
	plan->tls.policy = &no_line;
	plan->tls.host_count = exchange->host_count;
	plan->tls.hosts = xcalloc(
	    exchange->host_count, sizeof(*plan->tls.hosts));
	for (size_t i = 0; i < exchange->host_count; i++)
		plan->tls.hosts[i] = (struct tls_choice){ .level = TLS_VERIFY,
			.policy = "no-policy-found",
			.why = "a node of the cluster" };
}

static void
make_plan(const struct rules *rules, const struct tls_policy_config *tls,
    const char *domain, const char *sender, const char *recipient,
    struct plan *plan_out)
{
	/* qmail's sender of double bounces is for qmail alone. */
	if (sender != NULL && strcmp(sender, "#@[]") == 0)
		sender = "";
	*plan_out = (struct plan){ .domain = xstrdup(domain),
		.ignores_tls_policy = tls->ignores_published,
		.sender = sender == NULL ? NULL : xstrdup(sender),
		.recipient = recipient == NULL ? NULL : xstrdup(recipient) };
	if (node_is_lane(domain)) {
		make_node_plan(rules, tls, plan_out);
		return;
	}
	exchange_find(
	    &rules->exchange, domain, sender, recipient, &plan_out->exchange);
	if (plan_out->exchange.state == EXCHANGE_FOUND) {
		char canonical[IDN_DOMAIN_SIZE];

		idn_domain_canonical(domain, canonical);
		tls_policy_make(
		    tls, canonical, &plan_out->exchange, &plan_out->tls);
	}
	if (plan_out->exchange.route.user[0] != '\0')
		plan_out->credentials = (struct session_credentials){
			.user = plan_out->exchange.route.user,
			.secret = plan_out->exchange.route.secret,
			.mechanism = plan_out->exchange.route.mechanism[0] ==
				'\0'
			    ? NULL
			    : plan_out->exchange.route.mechanism,
			.is_only_in_tls =
			    plan_out->exchange.route.needs_tls_for_auth
		};
}

void
plan_make(const struct rules *rules, const char *domain, const char *sender,
    const char *recipient, struct plan *plan_out)
{
	make_plan(rules, &rules->tls_policy, domain, sender, recipient, plan_out);
}

void
plan_make_without_tls_policy(const struct rules *rules, const char *domain,
    const char *sender, const char *recipient, struct plan *plan_out)
{
	struct tls_policy_config tls = rules->tls_policy;

	tls.ignores_published = true;
	make_plan(rules, &tls, domain, sender, recipient, plan_out);
}

void
plan_release(struct plan *plan)
{
	free(plan->domain);
	free(plan->sender);
	free(plan->recipient);
	exchange_release(&plan->exchange);
	tls_plan_release(&plan->tls);
	cluster_node_release(&plan->node);
	*plan = (struct plan){ 0 };
}

/* Not a legacy server. */
static bool
is_our_node(const struct plan *plan)
{
	return plan->node.name != NULL && !node_is_legacy(&plan->node);
}

static struct session_tls
session_tls_of(const struct rules *rules, const struct plan *plan, size_t host)
{
	const struct smtproute *route = &plan->exchange.route;
	const struct tls_choice *choice = &plan->tls.hosts[host];
	const struct tlspolicy *policy = plan->tls.policy;
	struct session_tls tls = { .level = choice->level,
		.is_examined = choice->is_examined,
		.is_wrapped = route->has_tls_first,
		.context = rules->tls,
		.authorities_path = choice->authorities_path,
		.tlsa = choice->dane.records,
		.tlsa_count = choice->dane.count };

	if (is_our_node(plan)) {
		tls.context = rules->node_tls;
		tls.pins = &plan->node.pins;
	}
	if (tls.is_wrapped && tls.level < TLS_ENCRYPT)
		tls.level = TLS_ENCRYPT;
	/* RFC 7672 3.2.2: with usage 2 the domain is a name, too */
	if (choice->dane.has_authority && !plan->exchange.is_routed) {
		tls.names = (const char *const *)&plan->domain;
		tls.name_count = 1;
	} else if (choice->dane.count == 0 && policy->names.count > 0) {
		tls.names = (const char *const *)policy->names.items;
		tls.name_count = policy->names.count;
	}
	return tls;
}

/* A route's OUTGOINGIP goes before the bindings, for its family. */
static void
use_route_source(const struct rules *rules, const struct smtproute *route,
    const struct sockaddr *remote, struct binding *binding)
{
	struct network network;
	const char *helo;

	if (route->source[0] == '\0' ||
	    !network_read(route->source, strlen(route->source), &network) ||
	    network.family != remote->sa_family)
		return;
	binding->has_source = network_address(&network, 0, &binding->source);
	binding->list = 0;
	helo = bindings_helo(
	    rules->bindings, (const struct sockaddr *)&binding->source);
	if (helo != NULL)
		memcpy(binding->helo, helo, strlen(helo) + 1);
}

/* When the system chose our address. */
static const char *
helo_by_source(const void *bindings, const struct sockaddr *source)
{
	return bindings_helo(bindings, source);
}

void
plan_fill_way(const struct rules *rules, const struct plan *plan,
    size_t address, struct way *way_out)
{
	static const enum session_transport transports[] = {
		[SMTPROUTE_SMTP] = SESSION_SMTP,
		[SMTPROUTE_LMTP] = SESSION_LMTP,
		[SMTPROUTE_QMTP] = SESSION_QMTP
	};
	const struct exchange *exchange = &plan->exchange;
	const struct exchange_address *to = &exchange->addresses[address];
	const struct sockaddr *remote = (const struct sockaddr *)&to->address;

	if (is_our_node(plan)) {
		way_out->binding = (struct binding){ .has_source = false };
		snprintf(way_out->binding.helo, sizeof(way_out->binding.helo),
		    "%s", rules->exchange.me);
	} else {
		bindings_find(rules->bindings,
		    plan->sender == NULL ? "" : plan->sender, plan->domain,
		    remote, &way_out->binding);
		use_route_source(
		    rules, &exchange->route, remote, &way_out->binding);
	}
	way_out->options = (struct session_options){
		.transport = transports[exchange->route.transport],
		.host = exchange->hosts[to->host].name,
		.address = remote,
		.source = way_out->binding.has_source
		    ? (const struct sockaddr *)&way_out->binding.source
		    : NULL,
		.is_node = is_our_node(plan),
		.helo = way_out->binding.helo,
		.find_helo = is_our_node(plan) ? NULL : helo_by_source,
		.find_helo_context = rules->bindings,
		.tls = session_tls_of(rules, plan, to->host),
		.credentials = plan->credentials.user == NULL
		    ? NULL
		    : &plan->credentials,
		.connect_ms = (int)settings_number(
				  rules->settings, SETTING_timeoutconnect) *
		    1000,
		.remote_ms = (int)settings_number(
				 rules->settings, SETTING_timeoutremote) *
		    1000
	};
}

/* With XOAUTH2 the secret may say where the token is, which changes. */
static int
get_token(const struct plan *plan, struct way *way,
    struct session_result *failure_out)
{
	struct error err;

	if (plan->credentials.user == NULL ||
	    !token_is_elsewhere(&plan->credentials))
		return 0;
	way->credentials = plan->credentials;
	way->credentials.secret = way->token;
	way->options.credentials = &way->credentials;
	if (token_get(&plan->credentials, way->token, &err) == 0)
		return 0;
	log_line("warning: no token for %s: %s", way->options.host, err.text);
	*failure_out = (struct session_result){ .outcome = SESSION_TEMPFAIL,
		.stage = STAGE_AUTH,
		.text = xasprintf("Sorry, I have no token to identify myself "
				  "to %s. (#4.7.0)\n",
		    way->options.host) };
	return -1;
}

struct session *
plan_open(const struct rules *rules, const struct plan *plan, size_t address,
    struct way *way_out, struct session_result *failure_out)
{
	const struct tcpto_limits limits = tcpto_limits(
	    rules->settings, &plan->exchange.route);
	struct session *session;

	plan_fill_way(rules, plan, address, way_out);
	if (get_token(plan, way_out, failure_out) == -1)
		return NULL;
	if (is_our_node(plan))
		return session_open(&way_out->options, failure_out);
	if (rules->tcpto != NULL &&
	    tcpto_is_blocked(
		rules->tcpto, way_out->options.address, &limits, time(NULL))) {
		*failure_out = (struct session_result){
			.outcome = SESSION_TEMPFAIL,
			.stage = STAGE_CONNECT,
			.text = xasprintf("Sorry, %s did not answer before and "
					  "is left alone for a while. "
					  "(#4.4.1)\n",
			    way_out->options.host)
		};
		return NULL;
	}
	session = session_open(&way_out->options, failure_out);
	if (rules->tcpto != NULL &&
	    (session != NULL || failure_out->stage != STAGE_CONNECT ||
		failure_out->is_of_peer))
		tcpto_note(rules->tcpto, way_out->options.address,
		    session == NULL && failure_out->stage == STAGE_CONNECT,
		    &limits, time(NULL));
	return session;
}

void
plan_forget_hosts(const struct rules *rules, const struct plan *plan)
{
	const struct exchange *exchange = &plan->exchange;
	struct error unused;
	size_t i;

	for (i = 0; rules->tcpto != NULL && i < exchange->address_count; i++)
		tcpto_forget(rules->tcpto,
		    (const struct sockaddr *)&exchange->addresses[i].address,
		    &unused);
}

static int
compare_texts(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Records come in any order. */
static int
compare_tlsa(const void *a, const void *b)
{
	const struct dns_tlsa *one = a, *other = b;
	size_t shorter = one->length < other->length ? one->length
						     : other->length;
	int order = one->usage - other->usage;

	if (order == 0)
		order = one->selector - other->selector;
	if (order == 0)
		order = one->matching - other->matching;
	if (order == 0)
		order = memcmp(one->data, other->data, shorter);
	return order != 0
	    ? order
	    : (one->length > other->length) - (one->length < other->length);
}

/* What of TLS a session is opened with. */
static char *
tls_key(const struct session_tls *tls)
{
	struct dns_tlsa *records = xcalloc(
	    tls->tlsa_count + 1, sizeof(*records));
	struct buf key = BUF_INIT;
	size_t i, at;

	buf_addf(&key, "%s%s%s", tls_level_name(tls->level),
	    tls->is_examined ? " examined" : "",
	    tls->authorities_path != NULL ? " by tlshosts" : "");
	for (i = 0; i < tls->name_count; i++)
		buf_addf(&key, " %s", tls->names[i]);
	for (i = 0; tls->pins != NULL && i < tls->pins->count; i++)
		buf_addf(&key, " pin %s", tls->pins->items[i]);
	if (tls->tlsa_count > 0)
		memcpy(records, tls->tlsa, tls->tlsa_count * sizeof(*records));
	qsort(records, tls->tlsa_count, sizeof(*records), compare_tlsa);
	for (i = 0; i < tls->tlsa_count; i++) {
		buf_addf(&key, " %u.%u.%u.", records[i].usage,
		    records[i].selector, records[i].matching);
		for (at = 0; at < records[i].length; at++)
			buf_addf(&key, "%02x", records[i].data[at]);
	}
	free(records);
	return key.data;
}

void
plan_put_key(
    const struct rules *rules, const struct plan *plan, struct buf *key)
{
	const struct exchange *exchange = &plan->exchange;
	char **texts = xcalloc(exchange->address_count + 1, sizeof(*texts));
	unsigned preference = 0, rank = 0;
	size_t i;

	for (i = 0; i < exchange->address_count; i++) {
		const struct exchange_address *to = &exchange->addresses[i];
		const struct exchange_host *host = &exchange->hosts[to->host];
		struct way way;
		char ip[INET6_ADDRSTRLEN], source[INET6_ADDRSTRLEN] = "";
		uint16_t port, source_port;
		char *tls;

		plan_fill_way(rules, plan, i, &way);
		listen_socket_text(&to->address, ip, sizeof(ip), &port);
		if (way.binding.has_source && way.binding.list == 0)
			listen_socket_text(&way.binding.source, source,
			    sizeof(source), &source_port);
		tls = tls_key(&way.options.tls);
		/* What is the best host of one domain may be another's last. */
		rank += i > 0 && host->preference != preference;
		preference = host->preference;
		texts[i] = xasprintf("%u %s=%s:%u from %s%u as %s tls %s", rank,
		    host->name, ip, port, source, way.binding.list,
		    way.options.helo, tls);
		free(tls);
	}
	qsort(texts, exchange->address_count, sizeof(*texts), compare_texts);
	buf_addf(key, "%d%d%d %s %s", (int)exchange->route.transport,
	    exchange->route.has_tls_first, plan->credentials.is_only_in_tls,
	    plan->credentials.mechanism == NULL ? ""
						: plan->credentials.mechanism,
	    plan->credentials.user == NULL ? "" : plan->credentials.user);
	for (i = 0; i < exchange->address_count; i++) {
		buf_addf(key, ", %s", texts[i]);
		free(texts[i]);
	}
	free(texts);
}

/* -- what came of it */

/* RFC 8460 4.3 */
static const char *
result_name(const struct tls_choice *choice, enum tls_failure failure)
{
	switch (failure) {
	case TLS_FAILURE_NONE:
		return "";
	case TLS_FAILURE_NOT_OFFERED:
		return "starttls-not-supported";
	case TLS_FAILURE_NAME:
		return "certificate-host-mismatch";
	case TLS_FAILURE_EXPIRED:
		return "certificate-expired";
	case TLS_FAILURE_UNTRUSTED:
		return choice->dane.count > 0 ? "validation-failure"
					      : "certificate-not-trusted";
	case TLS_FAILURE_OTHER:
		break;
	}
	return "validation-failure";
}

static enum tls_failure
failure_of(const struct plan *plan, const struct tls_choice *choice,
    const struct session *session, const struct session_result *failure)
{
	enum tls_failure found = session != NULL ? session_tls_failure(session)
						 : failure->tls_failure;

	/* That the policy does not name the host is tested, too. */
	if (found == TLS_FAILURE_NONE && plan->tls.has_sts &&
	    plan->tls.sts.mode == MTA_STS_TESTING && !choice->is_examined)
		found = TLS_FAILURE_NAME;
	return found;
}

static void
log_tls(const char *host, const char *ip, const char *wanted, const char *why,
    const char *reached)
{
	char host_word[DNS_NAME_SIZE], reached_line[400];
	size_t length;

	log_word(host_word, sizeof(host_word), host);
	length = (size_t)snprintf(
	    reached_line, sizeof(reached_line) - 1, "%s", reached);
	if (length > sizeof(reached_line) - 2)
		length = sizeof(reached_line) - 2;
	reached_line[log_clean(reached_line, length)] = '\0';
	log_line("tls %s %s: wanted %s (%s); %s", host_word, ip, wanted, why,
	    reached_line);
}

/* struct tls_report_session, policy_text */
static char *
policy_text(const struct plan *plan, const struct tls_choice *choice)
{
	const struct mta_sts_policy *sts = &plan->tls.sts;
	struct buf text = BUF_INIT;
	size_t i, at;

	buf_adds(&text, "");
	for (i = 0; i < choice->dane.answer.record_count &&
	     text.length < POLICY_TEXT_BYTES;
	     i++) {
		struct dns_tlsa tlsa;

		if (!dns_read_tlsa(&choice->dane.answer.records[i], &tlsa))
			continue;
		buf_addf(&text, "%s%u %u %u ", text.length == 0 ? "" : "\n",
		    tlsa.usage, tlsa.selector, tlsa.matching);
		for (at = 0; at < tlsa.length; at++)
			buf_addf(&text, "%02x", tlsa.data[at]);
	}
	if (strcmp(choice->policy, "sts") != 0)
		return text.data;
	buf_addf(&text, "version: STSv1\nmode: %s",
	    sts->mode == MTA_STS_ENFORCE ? "enforce" : "testing");
	for (i = 0; i < sts->mx.count && text.length < POLICY_TEXT_BYTES; i++)
		buf_addf(&text, "\nmx: %s", sts->mx.items[i]);
	buf_addf(&text, "\nmax_age: %llu", (unsigned long long)sts->max_age_s);
	return text.data;
}

void
plan_note(const struct rules *rules, const struct plan *plan, size_t address,
    const struct session *session, const struct session_result *failure)
{
	const struct exchange_address *to = &plan->exchange.addresses[address];
	const struct tls_choice *choice = &plan->tls.hosts[to->host];
	const char *host = plan->exchange.hosts[to->host].name;
	enum tls_failure found = failure_of(plan, choice, session, failure);
	const char *reached = session == NULL ? failure->text
					      : session_tls_text(session);
	char ip[INET6_ADDRSTRLEN];
	uint16_t port;

	/* It never came to TLS: other lines say so. */
	if (session == NULL && failure->stage != STAGE_TLS)
		return;
	listen_socket_text(&to->address, ip, sizeof(ip), &port);
	log_tls(host, ip, tls_level_name(choice->level), choice->why,
	    *reached == '\0' ? "reached plain" : reached);
	/* What was not asked for says nothing about a domain's policy. */
	if (rules->report != NULL && choice->level != TLS_NONE &&
	    !plan->ignores_tls_policy && !is_our_node(plan)) {
		AUTO(mem_free) char *policy = policy_text(plan, choice);

		tls_report_count(rules->report,
		    &(struct tls_report_session){ .domain = plan->domain,
			.policy = choice->policy,
			.policy_text = policy,
			.host = host,
			.ip = ip,
			.result = result_name(choice, found) },
		    time(NULL));
	}
}
