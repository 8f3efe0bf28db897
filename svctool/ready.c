/* SPDX-License-Identifier: ISC */
/* Is a service of the node doing its work? */
#include "svctool/ready.h"

#include <stdlib.h>
#include <unistd.h>

#include "queue/health.h"
#include "svctool/supervise.h"

bool
ready_is_down(const struct node *node, const char *name)
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
	char *listen = node_variable(node, name, "LISTEN");
	int result = port_parse(listen, "0.0.0.0", address_out, err);

	if (result == -1)
		error_context(
		    err, "%s/%s/variables/LISTEN", node->home->service, name);
	free(listen);
	return result;
}

static bool
has_process(const struct node *node, const char *name, struct error *err)
{
	char *folder = node_path(node, "%s/%s", node->home->service, name);
	struct supervise_state state;
	int found = supervise_read(folder, &state, err);

	free(folder);
	if (found == -1)
		return false;
	if (found == 0 || !state.is_supervised) {
		error_set(err, "supervise does not run for it");
		return false;
	}
	if (state.pid == 0)
		error_set(err, "it is down");
	return state.pid != 0;
}

static bool
listener_is_ready(const struct node *node, const char *name, struct error *err)
{
	struct port_address address;

	if (ready_listen_address(node, name, &address, err) == -1)
		return false;
	if (port_is_listening(&address))
		return true;
	error_set(
	    err, "nobody listens on %s port %u", address.ip, address.port);
	return false;
}

static bool
queue_is_ready(const struct node *node, const char *name, struct error *err)
{
	char *queue_dir = node_path(node, "%s/%s", node->home->queue, name);
	struct health health;
	int found = health_read(queue_dir, &health, err);
	bool is_ready = found == 1 &&
	    (health.state == HEALTH_UP || health.state == HEALTH_STARTING);

	if (found == 0)
		error_set(err, "the queue has never run");
	else if (found == 1 && !is_ready)
		error_set(
		    err, "the queue is %s", health_state_name(health.state));
	free(queue_dir);
	return is_ready;
}

bool
ready_service(const struct node *node, const char *name, struct error *err)
{
	if (ready_is_down(node, name))
		return true;
	if (ready_is_queue(node, name))
		return queue_is_ready(node, name, err);
	if (node_is_listener(name))
		return listener_is_ready(node, name, err);
	return has_process(node, name, err);
}
