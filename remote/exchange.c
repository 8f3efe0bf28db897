/* SPDX-License-Identifier: ISC */
/* Where mail for a domain goes. */
#include "remote/exchange.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/mem.h"
#include "control/network.h"

enum { ALL_QUESTIONS = 4 /* times that of one */, TTL_LITERAL_S = 3600 };

/* One question for a domain's exchange. */
struct search {
	const struct exchange_config *config;
	const char *domain; /* canonical */
	int64_t deadline_ms;
	struct exchange *out;
	struct dns_mx *records; /* best preference first, else by chance */
	size_t record_count;
	unsigned own_preference; /* the best of our own hosts' */
	bool has_unknown;        /* a host whose addresses could not be told */
	struct error reason;     /* why */
};

enum { NO_PREFERENCE = 65536 };

static void say(struct search *search, enum exchange_state state,
    const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The answer is not FOUND.  Whoever sent the mail chose the domain's bytes. */
static void
say(struct search *search, enum exchange_state state, const char *format, ...)
{
	struct exchange *out = search->out;
	va_list arguments;

	free(out->text);
	out->state = state;
	va_start(arguments, format);
	if (vasprintf(&out->text, format, arguments) == -1)
		abort();
	va_end(arguments);
	for (char *at = out->text; *at != '\0'; at++)
		if (((unsigned char)*at < ' ' && *at != '\n') ||
		    (unsigned char)*at >= 127)
			*at = '?';
}

static void
say_unknown(struct search *search, const char *what, const char *reason)
{
	say(search, EXCHANGE_UNKNOWN,
	    "Sorry, I couldn't tell where mail for %s goes: %s: %.500s. "
	    "(#4.4.3)\n",
	    search->domain, what, reason);
}

static unsigned
chance(unsigned limit)
{
	unsigned number;

	if (getrandom(&number, sizeof(number), 0) != sizeof(number))
		number = (unsigned)clock_ms();
	return number % limit;
}

static void
ask(struct search *search, enum dns_type type, const char *name,
    struct dns_answer *answer_out)
{
	int64_t left_ms = search->deadline_ms - clock_ms();

	if (left_ms > search->config->timeout_ms)
		left_ms = search->config->timeout_ms;
	if (left_ms <= 0) {
		dns_answer_unknown(answer_out, "there is no time left");
		return;
	}
	dns_client_ask(
	    search->config->dns, type, name, (int)left_ms, answer_out);
	if (answer_out->state != DNS_UNKNOWN &&
	    answer_out->ttl_s < search->out->ttl_s)
		search->out->ttl_s = answer_out->ttl_s;
}

static void
add_address(
    struct exchange *out, size_t host, const struct sockaddr_storage *address)
{
	if (out->address_count == EXCHANGE_ADDRESSES_MAX)
		return;
	out->addresses = xrealloc(
	    out->addresses, (out->address_count + 1) * sizeof(*out->addresses));
	out->addresses[out->address_count++] = (struct exchange_address){ host,
		*address };
}

static size_t
add_host(struct exchange *out, const char *name, unsigned preference)
{
	out->hosts = xrealloc(
	    out->hosts, (out->host_count + 1) * sizeof(*out->hosts));
	out->hosts[out->host_count] = (struct exchange_host){ xstrdup(name),
		preference, false };
	return out->host_count++;
}

/* -- one host's addresses */

static bool
is_our_name(const struct search *search, const char *name)
{
	return strcasecmp(name, search->config->me) == 0;
}

/* Adds what the answer has; true when one of them is ours, -1 not told. */
static int
take_addresses(struct search *search, size_t host,
    const struct dns_answer *answer, bool may_be_ours)
{
	for (size_t i = 0; i < answer->record_count; i++) {
		struct sockaddr_storage address;
		int is_own;

		if (!dns_read_address(
			&answer->records[i], search->out->route.port, &address))
			continue;
		is_own = may_be_ours
		    ? own_addresses_has(search->config->own,
			  (struct sockaddr *)&address, &search->reason)
		    : 0;
		if (is_own != 0)
			return is_own;
		add_address(search->out, host, &address);
	}
	return 0;
}

enum host_kind { HOST_OTHER, HOST_OURS, HOST_UNKNOWN, HOST_NOWHERE };

/*
 * Asks for both kinds of address.  With is_no_name_out the host is the domain
 * itself, and whether that exists matters.
 */
static enum host_kind
find_host(
    struct search *search, size_t host, bool may_be_ours, bool *is_no_name_out)
{
	static const enum dns_type types[] = { DNS_AAAA, DNS_A };
	struct exchange *out = search->out;
	size_t before = out->address_count;
	bool is_secure = true, is_no_name = true;
	enum host_kind kind = HOST_NOWHERE;

	for (size_t i = 0; i < 2 && kind != HOST_OURS; i++) {
		struct dns_answer answer;
		int is_own;

		ask(search, types[i], out->hosts[host].name, &answer);
		is_secure &= answer.state != DNS_UNKNOWN && answer.is_secure;
		is_no_name &= answer.state == DNS_ABSENT && answer.is_no_name;
		is_own = take_addresses(search, host, &answer, may_be_ours);
		if (is_own == 1 ||
		    (may_be_ours && answer.state == DNS_FOUND &&
			is_our_name(search, answer.name)))
			kind = HOST_OURS;
		else if (is_own == -1)
			kind = HOST_UNKNOWN;
		else if (answer.state == DNS_UNKNOWN) {
			error_set(&search->reason, "%s: %s",
			    out->hosts[host].name, answer.reason);
			kind = HOST_UNKNOWN;
		}
		dns_answer_release(&answer);
	}
	out->hosts[host].is_secure = is_secure;
	if (is_no_name_out != NULL)
		*is_no_name_out = is_no_name;
	if (kind == HOST_OURS)
		out->address_count = before;
	else if (out->address_count > before)
		kind = HOST_OTHER;
	return kind;
}

/* -- order */

/* By chance, each order as likely as the others. */
static void
shuffle(void *items, size_t count, size_t size)
{
	AUTO(mem_free) char *kept = xmalloc(size);
	char *at = items;

	for (size_t i = count; i > 1; i--) {
		size_t other = chance((unsigned)i);

		memcpy(kept, at + (i - 1) * size, size);
		memcpy(at + (i - 1) * size, at + other * size, size);
		memcpy(at + other * size, kept, size);
	}
}

/* Those of one preference: by chance, IPv6 and IPv4 in turns. */
static void
order_group(struct exchange_address *addresses, size_t count)
{
	struct exchange_address *copy = xcalloc(count + 1, sizeof(*copy));
	size_t next[2] = { 0, 0 };

	shuffle(addresses, count, sizeof(*addresses));
	memcpy(copy, addresses, count * sizeof(*copy));
	for (size_t i = 0; i < count; i++) {
		/* The next of the family whose turn it is, or of the other. */
		for (size_t turn = i; turn < i + 2; turn++) {
			int family = turn % 2 == 0 ? AF_INET6 : AF_INET;
			size_t *at = &next[turn % 2];

			while (*at < count &&
			    copy[*at].address.ss_family != family)
				++*at;
			if (*at < count) {
				addresses[i] = copy[(*at)++];
				break;
			}
		}
	}
	free(copy);
}

static void
order_addresses(struct exchange *out)
{
	size_t begin = 0;

	for (size_t i = 1; i <= out->address_count; i++)
		if (i == out->address_count ||
		    out->hosts[out->addresses[i].host].preference !=
			out->hosts[out->addresses[begin].host].preference) {
			order_group(out->addresses + begin, i - begin);
			begin = i;
		}
}

/* -- routes and literals */

static void
find_literal(struct search *search, const char *text)
{
	struct sockaddr_storage address;
	struct network network;
	int is_own;

	if (strchr(text, '/') != NULL ||
	    !network_read(text, strlen(text), &network) ||
	    !network_address(&network, search->out->route.port, &address)) {
		say(search, EXCHANGE_NONE,
		    "Sorry, %s is not an address. (#5.1.2)\n", search->domain);
		return;
	}
	is_own = search->out->route.is_address
	    ? 0
	    : own_addresses_has(search->config->own,
		  (struct sockaddr *)&address, &search->reason);
	if (is_own == -1)
		say_unknown(search, "our own addresses", search->reason.text);
	else if (is_own == 1)
		say(search, EXCHANGE_NONE,
		    "Sorry. %s is an address of mine, and isn't in my "
		    "control/locals file. (#5.4.6)\n",
		    search->domain);
	else {
		add_address(
		    search->out, add_host(search->out, text, 0), &address);
		search->out->ttl_s = TTL_LITERAL_S;
		search->out->state = EXCHANGE_FOUND;
	}
}

static void
find_by_route(struct search *search)
{
	const struct smtproute *route = &search->out->route;
	size_t host;

	search->out->is_routed = true;
	if (route->is_address) {
		find_literal(search, route->host);
		return;
	}
	host = add_host(search->out, route->host, 0);
	switch (find_host(search, host, false, NULL)) {
	case HOST_OURS:
	case HOST_OTHER:
		search->out->state = EXCHANGE_FOUND;
		break;
	case HOST_UNKNOWN:
		say_unknown(
		    search, "the host of the route", search->reason.text);
		break;
	case HOST_NOWHERE:
		say_unknown(
		    search, "the host of the route", "the name has no address");
		break;
	}
}

/* -- MX */

static int
compare_preferences(const void *a, const void *b)
{
	const struct dns_mx *one = a, *two = b;

	return one->preference < two->preference
	    ? -1
	    : one->preference > two->preference;
}

/* By chance first, so that the sort, a stable one, leaves that among equals. */
static void
sort_records(struct dns_mx *records, size_t count)
{
	shuffle(records, count, sizeof(*records));
	qsort(records, count, sizeof(*records), compare_preferences);
}

/* Also notes a host that is ours by its name, wherever it stands. */
static void
read_records(struct search *search, const struct dns_answer *answer)
{
	search->records = xcalloc(
	    answer->record_count + 1, sizeof(*search->records));
	for (size_t i = 0; i < answer->record_count; i++) {
		struct dns_mx *mx = &search->records[search->record_count];

		if (!dns_read_mx(&answer->records[i], mx) || *mx->host == '\0')
			continue;
		if (is_our_name(search, mx->host) &&
		    mx->preference < search->own_preference)
			search->own_preference = mx->preference;
		search->record_count++;
	}
	sort_records(search->records, search->record_count);
}

static bool
is_null_mx(const struct dns_answer *answer)
{
	struct dns_mx mx;

	return answer->record_count == 1 &&
	    dns_read_mx(&answer->records[0], &mx) && *mx.host == '\0';
}

/* Takes back the addresses that are no better than ours. */
static void
leave_out_ours(struct search *search)
{
	struct exchange *out = search->out;

	while (out->address_count > 0 &&
	    out->hosts[out->addresses[out->address_count - 1].host]
		    .preference >= search->own_preference)
		out->address_count--;
}

static void
say_loop(struct search *search)
{
	say(search, EXCHANGE_NONE,
	    "Sorry. Although I'm listed as a best-preference MX or A for that "
	    "host,\nit isn't in my control/locals file, so I don't treat it as "
	    "local. (#5.4.6)\n");
}

static void
find_mx_hosts(struct search *search)
{
	struct exchange *out = search->out;

	for (size_t i = 0; i < search->record_count; i++) {
		const struct dns_mx *mx = &search->records[i];
		size_t host;

		if (mx->preference >= search->own_preference)
			break;
		if (i == EXCHANGE_HOSTS_MAX) {
			search->has_unknown = true;
			error_set(&search->reason, "they are more than %d",
			    EXCHANGE_HOSTS_MAX);
			break;
		}
		host = add_host(out, mx->host, mx->preference);
		switch (find_host(search, host, true, NULL)) {
		case HOST_OURS:
			search->own_preference = mx->preference;
			break;
		case HOST_UNKNOWN:
			search->has_unknown = true;
			break;
		case HOST_OTHER:
		case HOST_NOWHERE:
			break;
		}
	}
	leave_out_ours(search);
	if (out->address_count > 0)
		out->state = EXCHANGE_FOUND;
	else if (search->has_unknown)
		say_unknown(search, "its MX hosts", search->reason.text);
	else if (search->own_preference != NO_PREFERENCE)
		say_loop(search);
	else
		say(search, EXCHANGE_NONE,
		    "Sorry, I couldn't find a mail exchanger or IP address for "
		    "%s. (#5.4.4)\n",
		    search->domain);
}

/* Without an MX record the domain is its own host (RFC 5321 5.1). */
static void
find_implicit(struct search *search)
{
	size_t host = add_host(search->out, search->domain, 0);
	bool is_no_name;

	if (is_our_name(search, search->domain)) {
		say_loop(search);
		return;
	}
	switch (find_host(search, host, true, &is_no_name)) {
	case HOST_OTHER:
		search->out->state = EXCHANGE_FOUND;
		break;
	case HOST_OURS:
		say_loop(search);
		break;
	case HOST_UNKNOWN:
		say_unknown(search, "its addresses", search->reason.text);
		break;
	case HOST_NOWHERE:
		say(search, EXCHANGE_NONE,
		    is_no_name
			? "Sorry, I couldn't find any host named %s. (#5.1.2)\n"
			: "Sorry, %s has neither a mail exchanger nor an "
			  "address. (#5.1.2)\n",
		    search->domain);
		break;
	}
}

static void
find_by_mx(struct search *search)
{
	struct dns_answer answer;

	ask(search, DNS_MX, search->domain, &answer);
	search->out->is_mx_secure = answer.state != DNS_UNKNOWN &&
	    answer.is_secure;
	switch (answer.state) {
	case DNS_UNKNOWN:
		say_unknown(search, "its MX records", answer.reason);
		break;
	case DNS_ABSENT:
		if (answer.is_no_name)
			say(search, EXCHANGE_NONE,
			    "Sorry, I couldn't find any host named %s. "
			    "(#5.1.2)\n",
			    search->domain);
		else
			find_implicit(search);
		break;
	case DNS_FOUND:
		if (is_null_mx(&answer)) {
			say(search, EXCHANGE_NONE,
			    "Sorry, %s takes no mail: its MX record says so "
			    "(RFC 7505). (#5.1.10)\n",
			    search->domain);
			break;
		}
		read_records(search, &answer);
		find_mx_hosts(search);
		break;
	}
	dns_answer_release(&answer);
}

static void
find_domain(struct search *search, const char *sender, const char *recipient)
{
	struct exchange *out = search->out;
	struct error err;

	if (smtproutes_find(search->config->routes, search->domain, sender,
		recipient, &out->route, &err) == -1)
		say(search, EXCHANGE_UNKNOWN,
		    "Sorry, I couldn't read my routes: %s. (#4.3.5)\n",
		    err.text);
	else if (out->route.host[0] != '\0')
		find_by_route(search);
	else if (search->domain[0] == '[') {
		out->is_routed = true;
		find_literal(search, search->domain);
	} else
		find_by_mx(search);
}

/* FOUND has an order, and what was not told holds for no time. */
static void
finish(struct exchange *out)
{
	if (out->state == EXCHANGE_FOUND)
		order_addresses(out);
	else if (out->state == EXCHANGE_UNKNOWN)
		out->ttl_s = 0;
}

void
exchange_find_route(const struct exchange_config *config, const char *domain,
    struct exchange *out)
{
	struct search search = { .config = config,
		.domain = domain,
		.deadline_ms = clock_ms() + ALL_QUESTIONS * config->timeout_ms,
		.out = out };

	out->text = xstrdup("");
	find_by_route(&search);
	finish(out);
}

void
exchange_find(const struct exchange_config *config, const char *domain,
    const char *sender, const char *recipient, struct exchange *out)
{
	char canonical[IDN_DOMAIN_SIZE];
	struct search search = { .config = config,
		.domain = canonical,
		.deadline_ms = clock_ms() + ALL_QUESTIONS * config->timeout_ms,
		.out = out,
		.own_preference = NO_PREFERENCE };
	size_t length;

	*out = (struct exchange){ .text = xstrdup(""),
		.route = smtproute_standard(),
		.ttl_s = UINT32_MAX };
	if (!idn_domain_canonical(domain, canonical) || *canonical == '\0') {
		say(&search, EXCHANGE_NONE,
		    "Sorry, %.255s is not a domain. (#5.1.2)\n", domain);
		return;
	}
	length = strlen(canonical);
	if (canonical[length - 1] == '.')
		canonical[length - 1] = '\0';
	find_domain(&search, sender, recipient);
	finish(out);
	free(search.records);
}

void
exchange_release(struct exchange *exchange)
{
	for (size_t i = 0; i < exchange->host_count; i++)
		free(exchange->hosts[i].name);
	free(exchange->hosts);
	free(exchange->addresses);
	free(exchange->text);
	*exchange = (struct exchange){ .hosts = NULL };
}
