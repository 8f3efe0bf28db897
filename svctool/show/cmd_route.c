/* SPDX-License-Identifier: ISC */
/* svctool route: where mail for a domain would go, as remote delivery sees it.
 */
#include <arpa/inet.h>
#include <jansson.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "base/mem.h"
#include "control/json_text.h"
#include "remote/rules.h"
#include "remote/tcpto.h"
#include "svctool/args.h"
#include "svctool/node.h"
#include "svctool/run/rspawn.h"
#include "svctool/run/service_env.h"
#include "svctool/svctool.h"

enum { TIMEOUT_MS = 15 * 1000 };

/* What the answer is made from, and with. */
struct route_look {
	const char *domain, *sender, *recipient; /* NULL: not said */
	bool is_json;
	struct rules *rules;
	struct tcpto *tcpto; /* NULL: there is none */
	struct plan plan;
};

static const char *
transport_name(const struct smtproute *route)
{
	switch (route->transport) {
	case SMTPROUTE_SMTP:
		return route->has_tls_first ? "smtps" : "smtp";
	case SMTPROUTE_LMTP:
		return route->has_tls_first ? "lmtps" : "lmtp";
	case SMTPROUTE_QMTP:
		break;
	}
	return route->has_tls_first ? "qmtps" : "qmtp";
}

static void
address_text(
    const struct sockaddr_storage *address, char text_out[INET6_ADDRSTRLEN])
{
	const struct sockaddr_in *ip4 = (const void *)address;
	const struct sockaddr_in6 *ip6 = (const void *)address;

	inet_ntop(address->ss_family,
	    address->ss_family == AF_INET ? (const void *)&ip4->sin_addr
					  : &ip6->sin6_addr,
	    text_out, INET6_ADDRSTRLEN);
}

/* One address with all that is said of it. */
struct shown {
	const struct exchange_host *host;
	char address[INET6_ADDRSTRLEN], source[INET6_ADDRSTRLEN];
	unsigned port;
	struct binding binding;
	enum tls_level level;
	bool is_blocked;
};

/* The name that goes with the address that the system would choose. */
static void
take_helo_of_system(const struct way *way, struct shown *shown)
{
	const struct sockaddr *remote = way->options.address;
	AUTO(file_close)
	int fd = socket(remote->sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_storage ours;
	socklen_t length = sizeof(ours);
	const char *name;

	/* Of UDP, so nothing is sent. */
	if (fd == -1 || connect(fd, remote, sizeof(ours)) == -1 ||
	    getsockname(fd, (struct sockaddr *)&ours, &length) == -1)
		return;
	name = way->options.find_helo(
	    way->options.find_helo_context, (struct sockaddr *)&ours);
	if (name != NULL)
		snprintf(shown->binding.helo, sizeof(shown->binding.helo), "%s",
		    name);
}

static void
look_at_address(struct route_look *look, size_t i, struct shown *shown_out)
{
	const struct exchange *exchange = &look->plan.exchange;
	const struct exchange_address *at = &exchange->addresses[i];
	const struct sockaddr *address = (const struct sockaddr *)&at->address;
	const struct tcpto_limits limits = tcpto_limits(
	    rules_settings(look->rules), &exchange->route);
	struct way way;

	*shown_out = (struct shown){ .host = &exchange->hosts[at->host],
		.port = exchange->route.port };
	address_text(&at->address, shown_out->address);
	plan_fill_way(look->rules, &look->plan, i, &way);
	shown_out->binding = way.binding;
	shown_out->level = way.options.tls.level;
	if (shown_out->binding.has_source)
		address_text(&shown_out->binding.source, shown_out->source);
	else
		take_helo_of_system(&way, shown_out);
	shown_out->is_blocked = look->tcpto != NULL &&
	    tcpto_is_blocked(look->tcpto, address, &limits, time(NULL));
}

static const char *
state_name(enum exchange_state state)
{
	switch (state) {
	case EXCHANGE_FOUND:
		return "found";
	case EXCHANGE_NONE:
		return "none";
	case EXCHANGE_UNKNOWN:
		break;
	}
	return "unknown";
}

static const char *
reason_text(const struct exchange *exchange)
{
	if (exchange->state != EXCHANGE_FOUND)
		return exchange->text;
	if (exchange->route.host[0] != '\0')
		return exchange->route.found_in;
	return exchange->is_routed ? "the address itself" : "the DNS";
}

/* With which mechanism, when that is said. */
static char *
auth_text(const struct smtproute *route)
{
	if (route->user[0] == '\0')
		return xstrdup("");
	return xasprintf(", with AUTH%s%s as %s",
	    route->mechanism[0] == '\0' ? "" : " ", route->mechanism,
	    route->user);
}

/* The line of tlspolicy that counts, or that there is none. */
static char *
policy_text(const struct tls_plan *tls)
{
	if (tls->policy->key[0] == '\0')
		return xstrdup("default");
	return xasprintf(
	    "%s:%s", tls->policy->key, tlspolicy_word_name(tls->policy->word));
}

static void
print_tls(const struct plan *plan)
{
	AUTO(mem_free) char *policy = NULL;

	if (plan->tls.hosts == NULL)
		return;
	policy = policy_text(&plan->tls);
	printf("TLS policy %s\n", policy);
	for (size_t i = 0; i < plan->tls.host_count; i++)
		printf("TLS with %s: %s (%s)\n", plan->exchange.hosts[i].name,
		    plan->tls.hosts[i].is_refused
			? "not to be used"
			: tls_level_name(plan->tls.hosts[i].level),
		    plan->tls.hosts[i].why);
}

static json_t *
tls_json(const struct plan *plan)
{
	AUTO(mem_free) char *policy = NULL;
	json_t *hosts = json_array();

	if (plan->tls.hosts == NULL) {
		json_decref(hosts);
		return json_null();
	}
	policy = policy_text(&plan->tls);
	for (size_t i = 0; i < plan->tls.host_count; i++) {
		const struct tls_choice *choice = &plan->tls.hosts[i];

		json_array_append_new(hosts,
		    json_pack("{s:o, s:b, s:s, s:s}", "host",
			json_text(plan->exchange.hosts[i].name), "refused",
			choice->is_refused, "level",
			tls_level_name(choice->level), "why", choice->why));
	}
	return json_pack(
	    "{s:o, s:o}", "policy", json_text(policy), "hosts", hosts);
}

static void
print_text(struct route_look *look)
{
	const struct exchange *exchange = &look->plan.exchange;
	AUTO(mem_free) char *auth = auth_text(&exchange->route);

	if (rules_program(look->rules) != NULL)
		printf("program %s sends it, and not this way\n",
		    rules_program(look->rules));
	if (exchange->route.found_in[0] != '\0')
		printf("route %s\n", exchange->route.found_in);
	if (exchange->state != EXCHANGE_FOUND) {
		printf("%s: %s", state_name(exchange->state), exchange->text);
		print_tls(&look->plan);
		return;
	}
	printf("by %s (%s%s)\n", reason_text(exchange),
	    transport_name(&exchange->route), auth);
	for (size_t i = 0; i < exchange->address_count; i++) {
		struct shown shown;

		look_at_address(look, i, &shown);
		printf("%u %s %s port %u from %s as %s, TLS %s%s%s\n",
		    shown.host->preference, shown.host->name, shown.address,
		    shown.port,
		    shown.binding.has_source ? shown.source : "any address",
		    shown.binding.helo, tls_level_name(shown.level),
		    shown.host->is_secure ? ", secure (DNSSEC)" : "",
		    shown.is_blocked ? ", left alone (qmail-tcpto)" : "");
	}
	print_tls(&look->plan);
}

static json_t *
text_or_null(const char *text)
{
	return text == NULL || *text == '\0' ? json_null() : json_text(text);
}

static void
print_json(struct route_look *look)
{
	const struct exchange *exchange = &look->plan.exchange;
	json_t *hosts = json_array(), *object;

	for (size_t i = 0; i < exchange->address_count; i++) {
		struct shown shown;

		look_at_address(look, i, &shown);
		json_array_append_new(hosts,
		    json_pack("{s:o, s:i, s:s, s:i, s:b, s:s, s:o, s:s, s:b}",
			"host", json_text(shown.host->name), "preference",
			(int)shown.host->preference, "address", shown.address,
			"port", (int)shown.port, "secure",
			shown.host->is_secure, "source", shown.source, "helo",
			json_text(shown.binding.helo), "tls",
			tls_level_name(shown.level), "left_alone",
			shown.is_blocked));
	}
	object = json_pack(
	    "{s:o, s:s, s:o, s:o, s:o, s:s, s:b, s:b, s:b, s:I, s:o, s:o}",
	    "program", text_or_null(rules_program(look->rules)), "state",
	    state_name(exchange->state), "reason",
	    json_text(reason_text(exchange)), "route",
	    text_or_null(exchange->route.found_in), "user",
	    text_or_null(exchange->route.user), "transport",
	    transport_name(&exchange->route), "auth",
	    exchange->route.user[0] != '\0', "routed", exchange->is_routed,
	    "mx_secure", exchange->is_mx_secure, "ttl_s",
	    (json_int_t)exchange->ttl_s, "addresses", hosts, "tls",
	    tls_json(&look->plan));
	json_dumpf(object, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(object);
}

static void
close_look(struct route_look *look)
{
	plan_release(&look->plan);
	tcpto_free(&look->tcpto);
	rules_free(&look->rules);
}

/* Its variables count, not those of who asks. */
static void
take_environment(const struct node *node)
{
	AUTO(service_env_release)
	struct service_env env = { .own_folder = NULL };

	service_env_read(node, node_remote_service, &env);
	service_env_take(&env, node);
}

/* It was shown as the files are now. */
static void
warn_unread(const struct node *node)
{
	OWN_TEXT path = rspawn_unread(node);

	if (path != NULL)
		fprintf(stderr,
		    "svctool: warning: '%s' was changed after remote delivery "
		    "has read its settings, so mail does not go this way yet: "
		    "svc -h '%s/%s'\n",
		    path, node->home->service, node_remote_service);
}

static int
show_route(const struct node *node, struct route_look *look)
{
	AUTO(mem_free) char *tcpto = layout_path(node->home, LAYOUT_tcpto);
	struct error err;

	take_environment(node);
	look->rules = rules_new(node->home, "qmail-rspawn", &err);
	if (look->rules == NULL ||
	    tcpto_open(tcpto, false, &look->tcpto, &err) == -1)
		return complain(EXIT_TROUBLE, &err);
	rules_set_timeout(look->rules, TIMEOUT_MS);
	plan_make(look->rules, look->domain, look->sender, look->recipient,
	    &look->plan);
	if (look->is_json)
		print_json(look);
	else
		print_text(look);
	warn_unread(node);
	return look->plan.exchange.state == EXCHANGE_UNKNOWN ? EXIT_TEMPORARY
							     : EXIT_FINE;
}

int
cmd_route(int argc, char **argv)
{
	struct route_look look = { .domain = NULL };
	const char *home = NULL;
	const struct arg_row rows[] = {
		{ "home", ARG_TEXT, &home },
		{ "json", ARG_FLAG, &look.is_json },
		{ NULL, ARG_FLAG, NULL },
	};
	char canonical[IDN_DOMAIN_SIZE];
	const char *at;
	struct error err;
	struct node *node;
	int words, code;

	if (args_parse(rows, argc, argv, &words, &err) == -1)
		return complain(EXIT_USAGE, &err);
	if (words < 1 || words > 2)
		return EXIT_USAGE;
	at = strrchr(argv[0], '@');
	look.recipient = at != NULL ? argv[0] : NULL;
	idn_domain_canonical(at != NULL ? at + 1 : argv[0], canonical);
	look.domain = canonical;
	look.sender = words == 2 ? argv[1] : NULL;
	node = node_new(home, NULL, &err);
	if (node == NULL || !node_exists(node, &err))
		code = complain(EXIT_TROUBLE, &err);
	else
		code = show_route(node, &look);
	close_look(&look);
	node_free(&node);
	return code;
}
