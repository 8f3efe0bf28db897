/* SPDX-License-Identifier: ISC */
/* Are the values of init's options right?  Looked at before anything is made.
 */
#include <stdio.h>
#include <string.h>

#include "adminsrv/names.h"
#include "base/scan.h"
#include "control/access.h"
#include "queue/mux.h"
#include "svctool/init/init.h"
#include "svctool/run/ports.h"

enum { PORTS_MAX = 64 };

static int
check_names(const struct init_options *options, struct error *err)
{
	char unused[NAMES_DOMAIN_SIZE];

	for (size_t i = 0; i < options->domains.count; i++)
		if (names_domain(options->domains.items[i], unused, err) == -1)
			return error_context(err, "--domain");
	if (options->me != NULL && names_domain(options->me, unused, err) == -1)
		return error_context(err,
		    "--me (without it: this host's name) is to be the node's "
		    "host name");
	return 0;
}

/* As access rules have it; of tcprules' ranges, like 16-31, both ends count. */
static bool
is_network(const char *text)
{
	const char *dash = strchr(text, '-');
	const char *begin = dash, *end;
	char low[64], high[64];
	uint64_t from, to;

	if (dash == NULL)
		return *text != '\0' && strchr(text, ':') == NULL &&
		    access_judge_key(text) == ACCESS_KEY_ADDRESS;
	while (begin > text && begin[-1] != '.')
		begin--;
	end = dash + strcspn(dash, ".");
	snprintf(low, sizeof(low), "%.*s%s", (int)(dash - text), text, end);
	snprintf(
	    high, sizeof(high), "%.*s%s", (int)(begin - text), text, dash + 1);
	return scan_u64n(begin, (size_t)(dash - begin), 255, &from) &&
	    scan_u64n(dash + 1, (size_t)(end - dash - 1), 255, &to) &&
	    from <= to && (*end == '\0' || end[1] == '\0') && is_network(low) &&
	    is_network(high);
}

static int
check_relay(const struct init_options *options, struct error *err)
{
	for (size_t i = 0; i < options->relay.count; i++)
		if (!is_network(options->relay.items[i]))
			return error_set(err,
			    "--relay '%s' is not an IPv4 address or a prefix of "
			    "one that ends in a dot: write 192.0.2.17, 192.0.2. "
			    "or 192.0.2.16-31",
			    options->relay.items[i]);
	return 0;
}

/* A service is named after its port alone. */
struct ports_seen {
	uint16_t ports[PORTS_MAX];
	size_t count;
};

static int
check_port_list(const char *option, const struct strlist *list,
    const char *standard_ip, struct ports_seen *seen, struct error *err)
{
	for (size_t i = 0; i < list->count; i++) {
		struct port_address address;

		if (port_parse(list->items[i], standard_ip, &address, err) ==
		    -1)
			return error_context(err, "--%s", option);
		for (size_t j = 0; j < seen->count; j++)
			if (seen->ports[j] == address.port)
				return error_set(err,
				    "--%s: port %u is asked for twice, and a "
				    "port has one listener",
				    option, address.port);
		if (seen->count == PORTS_MAX)
			return error_set(err, "more than %d ports", PORTS_MAX);
		seen->ports[seen->count++] = address.port;
	}
	return 0;
}

static int
check_listeners(const struct init_options *options, struct error *err)
{
	struct ports_seen seen = { .count = 0 };
	struct port_address unused;

	if (port_parse("25", options->address, &unused, err) == -1)
		return error_context(err, "--address");
	if (check_port_list(
		"port", &options->smtp, options->address, &seen, err) == -1 ||
	    check_port_list("submission", &options->submission,
		options->address, &seen, err) == -1 ||
	    check_port_list("submissions", &options->submissions,
		options->address, &seen, err) == -1 ||
	    check_port_list(
		"odmr", &options->odmr, options->address, &seen, err) == -1 ||
	    check_port_list(
		"smtps", &options->smtps, options->address, &seen, err) == -1 ||
	    check_port_list(
		"lmtp", &options->lmtp, options->address, &seen, err) == -1 ||
	    check_port_list(
		"qmtp", &options->qmtp, options->address, &seen, err) == -1)
		return -1;
	if (check_port_list(
		"qmqp", &options->qmqp, options->address, &seen, err) == -1 ||
	    check_port_list(
		"pop3", &options->pop3, options->address, &seen, err) == -1)
		return -1;
	if (check_port_list(
		"pop3s", &options->pop3s, options->address, &seen, err) == -1)
		return -1;
	if (options->imap != NULL &&
	    port_parse(options->imap, options->address, &unused, err) == -1)
		return error_context(err, "--imap");
	if (options->imaps != NULL &&
	    port_parse(options->imaps, options->address, &unused, err) == -1)
		return error_context(err, "--imaps");
	if (options->admin != NULL &&
	    port_parse(options->admin, options->address, &unused, err) == -1)
		return error_context(err, "--admin");
	if (options->api != NULL &&
	    port_parse(options->api, options->address, &unused, err) == -1)
		return error_context(err, "--api");
	if (options->api != NULL && options->admin == NULL)
		return error_set(err, "--api goes with --admin");
	return 0;
}

int
init_check_options(const struct init_options *options, struct error *err)
{
	if (options->queues != INIT_UNSAID &&
	    (options->queues == 0 || options->queues > MUX_QUEUES_MAX))
		return error_set(err, "--queues is 1 to %d", MUX_QUEUES_MAX);
	if (options->has_destdir && options->domains.count > 0)
		return error_set(err,
		    "--domain does not go with --destdir: add domains on the "
		    "installed node with vadddomain");
	if (check_names(options, err) == -1 || check_relay(options, err) == -1)
		return -1;
	return check_listeners(options, err);
}
