/* SPDX-License-Identifier: ISC */
/* Is a service of the node doing its work? */
#include "svctool/run/ready.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "queue/health.h"
#include "svctool/run/greet.h"
#include "svctool/run/hung.h"
#include "svctool/run/proc.h"
#include "svctool/run/service_env.h"

enum { LISTENERS_MAX = 64 };

bool
ready_does_work(enum ready ready)
{
	return ready == READY_YES || ready == READY_SCANNING;
}

bool
ready_has_down_file(const struct node *node, const char *name)
{
	char *path = node_path(node, "%s/%s/down", node->home->service, name);
	bool is_down = access(path, F_OK) == 0;

	free(path);
	return is_down;
}

bool
ready_is_queue(const struct node *node, const char *name)
{
	char *path = node_path(node, "%s/%s/lock", node->home->queue, name);
	bool is_queue = access(path, F_OK) == 0;

	free(path);
	return is_queue;
}

int
ready_listen_address(const struct node *node, const char *name,
    struct port_address *address_out, struct error *err)
{
	struct smtp_options options;
	struct service_env env;
	bool is_any;
	int result;

	service_env_read(node, name, &env);
	result = service_env_listen(&env, &options, err);
	if (result == 0 && options.port == 0) {
		char *file = service_env_file(&env, "LISTEN");

		result = error_set(err,
		    "%s: port 0 is any port; write the number of one", file);
		free(file);
	}
	service_env_release(&env);
	if (result == -1)
		return -1;
	is_any = *options.address == '\0' || strcmp(options.address, "0") == 0;
	snprintf(address_out->ip, sizeof(address_out->ip), "%s",
	    is_any ? "0.0.0.0" : options.address);
	address_out->port = options.port;
	return 0;
}

/* Does it begin with TLS?  1, 0, or -1: its options are bad. */
static int
has_tls_first(const struct node *node, const char *name, struct error *err)
{
	struct smtp_options options;
	struct service_env env;
	int result;

	service_env_read(node, name, &env);
	result = service_env_options(&env, &options, err);
	service_env_release(&env);
	return result == -1 ? -1 : options.kind.has_tls_first;
}

static bool
has_process(const struct supervise_state *state, struct error *err)
{
	if (!state->is_supervised)
		error_set(err, "supervise does not run for it");
	else if (state->pid == 0)
		error_set(err, "it is down");
	else if (!proc_is_alive(state->pid))
		error_set(err, "its process %ld has ended", (long)state->pid);
	else
		return true;
	return false;
}

/* The process of this node that has one of the sockets; 0: none. */
static pid_t
own_holder(const struct node *node, const uint64_t *inodes, size_t count)
{
	struct proc_list list;
	pid_t found = 0;

	if (proc_find_node(node->home->root, &list, NULL) == -1)
		return 0;
	for (size_t i = 0; i < list.count && found == 0; i++)
		if (strcmp(list.items[i].name, "qmail-smtpd") == 0 &&
		    proc_holds_socket(list.items[i].pid, inodes, count) == 1)
			found = list.items[i].pid;
	proc_list_release(&list);
	return found;
}

/* Somebody else has the port. */
static enum ready
say_taken(const struct node *node, const char *name,
    const struct port_address *address, const char *taker, struct error *err)
{
	error_set(err,
	    "the port is taken: %s listens on %s port %u, so this listener is "
	    "not up: stop that, or write another port to "
	    "%s/%s/variables/LISTEN",
	    taker, address->ip, address->port, node->home->service, name);
	return READY_NO;
}

static enum ready
does_greet(const struct node *node, const char *name,
    const struct port_address *address, struct error *err)
{
	int tls = has_tls_first(node, name, err);

	/* It runs with others, which it had when it was started. */
	if (tls == -1)
		return READY_YES;
	return greet_look(address, tls == 1, GREET_WAIT_MS, err) == 0
	    ? READY_HUNG
	    : READY_YES;
}

/*
 * Somebody who listens on the port may be another program, while ours ends
 * again and again because of that.
 */
static enum ready
listener_is_ready(const struct node *node, const char *name,
    const struct supervise_state *state, struct error *err)
{
	struct port_address address;
	uint64_t inodes[LISTENERS_MAX];
	char taker[PORT_TAKER_SIZE];
	size_t count;
	pid_t holder;

	if (ready_listen_address(node, name, &address, err) == -1)
		return READY_NO;
	count = port_listeners(&address, inodes, LISTENERS_MAX);
	if (count == 0 && port_find_taker(&address, taker) != 0)
		return say_taken(node, name, &address, taker, err);
	if (count == 0) {
		error_set(err, "nobody listens on %s port %u", address.ip,
		    address.port);
		return READY_NO;
	}
	/* What we may not look into must be believed. */
	if (state->is_supervised && has_process(state, err) &&
	    proc_holds_socket(state->pid, inodes, count) != 0)
		return does_greet(node, name, &address, err);
	holder = own_holder(node, inodes, count);
	if (!state->is_supervised &&
	    (holder != 0 ||
		(geteuid() != 0 && port_find_taker(&address, taker) == -1)))
		return does_greet(node, name, &address, err);
	if (holder != 0) {
		error_set(err,
		    "process %ld, which an earlier start of this node has "
		    "left, listens on %s port %u: 'kill %ld' ends it, and "
		    "supervise starts the service again",
		    (long)holder, address.ip, address.port, (long)holder);
		return READY_NO;
	}
	port_find_taker(&address, taker);
	return say_taken(node, name, &address, taker, err);
}

static enum ready
queue_is_ready(const struct node *node, const char *name, struct error *err)
{
	char *queue_dir = node_path(node, "%s/%s", node->home->queue, name);
	struct health health;
	int found = health_read(queue_dir, &health, err);
	enum ready ready = READY_NO;

	free(queue_dir);
	if (found == 0)
		error_set(err, "the queue has never run");
	if (found != 1)
		return READY_NO;
	switch (health.state) {
	case HEALTH_UP:
		ready = READY_YES;
		break;
	case HEALTH_STARTING:
		ready = READY_SCANNING;
		break;
	case HEALTH_DOWN:
	case HEALTH_STOPPING:
		error_set(
		    err, "the queue is %s", health_state_name(health.state));
	}
	return ready;
}

enum ready
ready_service(const struct node *node, const char *name,
    const struct supervise_state *state, struct error *err)
{
	if (hung_service(node, name, state, err))
		return READY_HUNG;
	if (ready_is_queue(node, name))
		return queue_is_ready(node, name, err);
	if (node_is_listener(name))
		return listener_is_ready(node, name, state, err);
	return has_process(state, err) ? READY_YES : READY_NO;
}

int
ready_read_state(const struct node *node, const char *name,
    struct supervise_state *state_out, struct error *err)
{
	char *folder = node_path(node, "%s/%s", node->home->service, name);
	int found = supervise_read(folder, state_out, err);

	free(folder);
	return found == -1 ? -1 : 0;
}

bool
ready_is_down_by_wish(const struct node *node, const char *name,
    const struct supervise_state *state, struct error *err)
{
	const char *service = node->home->service;
	bool has_file = ready_has_down_file(node, name);

	if (state->is_supervised ? state->pid != 0 || state->is_wanted_up
				 : !has_file)
		return false;
	if (has_file)
		error_set(err,
		    "down by wish: 'svc -u %s/%s' starts it now, and without "
		    "the file '%s/%s/down' it starts with the node",
		    service, name, service, name);
	else
		error_set(err, "down by wish: 'svc -u %s/%s' starts it",
		    service, name);
	return true;
}
