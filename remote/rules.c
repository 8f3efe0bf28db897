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
#include "base/mem.h"
#include "base/tls.h"
#include "control/layout.h"
#include "control/own_addresses.h"
#include "control/smtproutes.h"
#include "remote/tcpto.h"
#include "resolver/dns_client.h"

enum { DNS_TIMEOUT_MS = 60 * 1000 };

struct rules {
	struct settings *settings;
	struct smtproutes *routes;
	struct bindings *bindings;
	struct own_addresses *own;
	struct dns_client *dns;
	struct tls_context *tls; /* that takes any certificate */
	struct tcpto *tcpto;     /* NULL: there is none */
	struct exchange_config exchange;
	bool asks_sender;
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
	tcpto_free(&rules->tcpto);
	free(rules);
	*rules_in = NULL;
}

/* Shows a certificate of ours if there is one. */
static struct tls_context *
make_tls(const struct home *home, struct error *err)
{
	char *path = xasprintf("%s/clientcert.pem", home->tls);
	struct tls_context *context = tls_client_context_new(err);

	if (context != NULL && access(path, F_OK) == 0 &&
	    tls_context_set_certificate(context, path, err) == -1)
		tls_context_free(&context);
	free(path);
	return context;
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
	rules->routes = smtproutes_new(home->control, rules->settings, err);
	rules->bindings = bindings_new(home->control, rules->settings, err);
	rules->tls = make_tls(home, err);
	if (rules->routes == NULL || rules->bindings == NULL ||
	    rules->tls == NULL)
		goto failed;
	rules->own = own_addresses_new(rules->settings);
	rules->tcpto = open_tcpto(home);
	rules->asks_sender = smtproutes_ask_sender(rules->routes) ||
	    settings_list(rules->settings, SETTING_domainbindings)->count > 0;
	rules->exchange = (struct exchange_config){ .dns = rules->dns,
		.routes = rules->routes,
		.me = settings_text(rules->settings, SETTING_me),
		.own = rules->own,
		.timeout_ms = DNS_TIMEOUT_MS };
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

/* -- plans */

void
plan_make(const struct rules *rules, const char *domain, const char *sender,
    struct plan *plan_out)
{
	*plan_out = (struct plan){ .domain = xstrdup(domain),
		.sender = sender == NULL ? NULL : xstrdup(sender) };
	exchange_find(&rules->exchange, domain, sender, &plan_out->exchange);
	if (plan_out->exchange.route.user[0] != '\0')
		plan_out->credentials = (struct session_credentials){
			.user = plan_out->exchange.route.user,
			.secret = plan_out->exchange.route.secret
		};
}

void
plan_release(struct plan *plan)
{
	free(plan->domain);
	free(plan->sender);
	exchange_release(&plan->exchange);
	*plan = (struct plan){ 0 };
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

	bindings_find(rules->bindings,
	    plan->sender == NULL ? "" : plan->sender, plan->domain, remote,
	    &way_out->binding);
	way_out->options = (struct session_options){
		.transport = transports[exchange->route.transport],
		.host = exchange->hosts[to->host].name,
		.address = remote,
		.source = way_out->binding.has_source
		    ? (const struct sockaddr *)&way_out->binding.source
		    : NULL,
		.helo = way_out->binding.helo,
		.tls = { .level = exchange->route.has_tls_first ? TLS_ENCRYPT
								: TLS_MAY,
		    .is_wrapped = exchange->route.has_tls_first,
		    .context = rules->tls },
		.credentials = plan->credentials.user == NULL
		    ? NULL
		    : &plan->credentials,
		.connect_ms = (int)settings_number(rules->settings,
				  SETTING_timeoutconnect) *
		    1000,
		.remote_ms = (int)settings_number(
				 rules->settings, SETTING_timeoutremote) *
		    1000
	};
}

struct session *
plan_open(const struct rules *rules, const struct plan *plan, size_t address,
    struct way *way_out, struct session_result *failure_out)
{
	const struct tcpto_limits limits = tcpto_limits(
	    rules->settings, &plan->exchange.route);
	struct session *session;

	plan_fill_way(rules, plan, address, way_out);
	if (rules->tcpto != NULL &&
	    tcpto_is_blocked(rules->tcpto, way_out->options.address, &limits,
		time(NULL))) {
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
	if (rules->tcpto != NULL)
		tcpto_note(rules->tcpto, way_out->options.address,
		    session == NULL && failure_out->stage == STAGE_CONNECT,
		    &limits, time(NULL));
	return session;
}

static int
compare_texts(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void
plan_put_key(
    const struct rules *rules, const struct plan *plan, struct buf *key)
{
	const struct exchange *exchange = &plan->exchange;
	char **texts = xcalloc(exchange->address_count + 1, sizeof(*texts));
	size_t i;

	for (i = 0; i < exchange->address_count; i++) {
		const struct exchange_address *to = &exchange->addresses[i];
		struct way way;
		char ip[INET6_ADDRSTRLEN], source[INET6_ADDRSTRLEN] = "";
		uint16_t port, source_port;

		plan_fill_way(rules, plan, i, &way);
		listen_socket_text(&to->address, ip, sizeof(ip), &port);
		if (way.binding.has_source && way.binding.list == 0)
			listen_socket_text(&way.binding.source, source,
			    sizeof(source), &source_port);
		texts[i] = xasprintf("%s=%s:%u from %s%u as %s",
		    exchange->hosts[to->host].name, ip, port, source,
		    way.binding.list, way.options.helo);
	}
	qsort(texts, exchange->address_count, sizeof(*texts), compare_texts);
	buf_addf(key, "%d%d %s", (int)exchange->route.transport,
	    exchange->route.has_tls_first,
	    plan->credentials.user == NULL ? "" : plan->credentials.user);
	for (i = 0; i < exchange->address_count; i++) {
		buf_addf(key, ", %s", texts[i]);
		free(texts[i]);
	}
	free(texts);
}
