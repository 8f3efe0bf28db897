/* SPDX-License-Identifier: ISC */
/* Can every service run? */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "svctool/check/check.h"
#include "svctool/run/ports.h"
#include "svctool/run/ready.h"

static void
find_same_port(
    struct check *check, const char *one, const char *other, unsigned port)
{
	char *path = xasprintf(
	    "%s/%s/variables/LISTEN", check->node->home->service, one);

	check_find(check, CHECK_ERROR, path, 0, "port %u is also that of %s",
	    port, other);
	check_remedy(check, "change one of them, then svctool restart");
	free(path);
}

/* Can the listener have its port, or has the node it already? */
static void
check_port(
    struct check *check, const char *name, const struct port_address *address)
{
	char taker[PORT_TAKER_SIZE];
	struct proc proc;
	struct error err;
	char *path = xasprintf(
	    "%s/%s/variables/LISTEN", check->node->home->service, name);

	if (ready_has_down_file(check->node, name))
		;
	else if (!port_is_allowed(address, &err)) {
		check_find(check, CHECK_ERROR, path, 0, "%s", err.text);
		check_remedy(
		    check, "correct LISTEN there, then svctool restart");
	} else if (port_find_taker(
		       address, check->node->home->root, &proc, taker) == 1) {
		check_find(check, CHECK_ERROR, path, 0,
		    "port %u on %s is taken by %s, so the listener cannot start",
		    address->port, address->ip, taker);
		check_remedy(check,
		    "stop that, or write another port there, then svctool "
		    "restart");
	}
	free(path);
}

/* Two listeners on one port: only one of them can start. */
static void
check_ports(struct check *check, const struct arg_list *services)
{
	for (size_t i = 0; i < services->count; i++) {
		struct port_address a, b;
		struct error err;

		if (!node_is_listener(services->items[i]))
			continue;
		if (ready_listen_address(
			check->node, services->items[i], &a, &err) == -1) {
			check_reason(check, CHECK_ERROR, err.text, NULL);
			continue;
		}
		check_port(check, services->items[i], &a);
		for (size_t j = 0; j < i; j++)
			if (node_is_listener(services->items[j]) &&
			    ready_listen_address(check->node,
				services->items[j], &b, &err) == 0 &&
			    a.port == b.port &&
			    (strcmp(a.ip, b.ip) == 0 ||
				strcmp(a.ip, "0.0.0.0") == 0 ||
				strcmp(b.ip, "0.0.0.0") == 0))
				find_same_port(check, services->items[i],
				    services->items[j], a.port);
	}
}

void
check_services(struct check *check)
{
	struct arg_list services, queues, known = { .count = 0 };

	check_names(check, node_services, &services);
	check_names(check, node_queues, &queues);
	for (size_t i = 0; i < services.count; i++)
		check_programs(check, services.items[i], &known);
	for (size_t i = 0; i < queues.count; i++) {
		char *path = xasprintf(
		    "%s/%s", check->node->home->service, queues.items[i]);

		if (access(path, F_OK) == -1) {
			check_find(check, CHECK_ERROR, path, 0,
			    "the queue has no service, so nothing delivers "
			    "it");
			check_remedy(
			    check, "svctool queue add %s", queues.items[i]);
		}
		free(path);
	}
	check_ports(check, &services);
	arg_list_release(&known);
	arg_list_release(&queues);
	arg_list_release(&services);
}
