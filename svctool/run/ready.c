/* SPDX-License-Identifier: ISC */
/* Is a service of the node doing its work? */
#include "svctool/run/ready.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/packet.h"
#include "base/scan.h"
#include "base/test_time.h"
#include "control/node_setting.h"
#include "queue/health.h"
#include "svctool/run/dovecot.h"
#include "svctool/run/greet.h"
#include "svctool/run/proc.h"
#include "svctool/run/service_env.h"

enum {
	LISTENERS_MAX = 64,
	PGSQL_STATE_LINE = 8, /* of postmaster.pid (PostgreSQL 10 and later) */
	PGSQL_LOCK_MAX_BYTES = 4096
};

bool
ready_does_work(enum ready ready)
{
	return ready == READY_YES || ready == READY_SCANNING;
}

bool
ready_has_down_file(const struct node *node, const char *name)
{
	OWN_TEXT path = node_path(
	    node, "%s/%s/down", node->home->service, name);

	return access(path, F_OK) == 0;
}

bool
ready_is_queue(const struct node *node, const char *name)
{
	OWN_TEXT path = node_path(node, "%s/%s/lock", node->home->queue, name);

	return access(path, F_OK) == 0;
}

int
ready_listen_address(const struct node *node, const char *name,
    struct port_address *address_out, struct error *err)
{
	struct smtp_options options;
	AUTO(service_env_release)
	struct service_env env = { .own_folder = NULL };
	bool is_any;
	int result;

	service_env_read(node, name, &env);
	result = service_env_listen(&env, &options, err);
	if (result == 0 && options.port == 0) {
		OWN_TEXT file = service_env_file(&env, "LISTEN");

		result = error_set(err,
		    "%s: port 0 is any port; write the number of one", file);
	}
	if (result == -1)
		return -1;
	is_any = *options.address == '\0' || strcmp(options.address, "0") == 0;
	snprintf(address_out->ip, sizeof(address_out->ip), "%s",
	    is_any ? "0.0.0.0" : options.address);
	address_out->port = options.port;
	return 0;
}

static bool
has_live_process(const struct supervise_state *state, struct error *err)
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

static bool
is_stopped(pid_t pid, struct error *err)
{
	struct proc proc;

	if (pid == 0 || !proc_find_stopped(pid, &proc))
		return false;
	error_set(err,
	    "its process %ld (%s) was stopped by a signal and answers nobody: "
	    "'kill -CONT %ld' lets it go on",
	    (long)proc.pid, proc.name, (long)proc.pid);
	return true;
}

static enum ready
does_greet(const struct node *node, const char *name,
    const struct port_address *address, struct error *err)
{
	struct smtp_options options;
	AUTO(service_env_release)
	struct service_env env = { .own_folder = NULL };

	service_env_read(node, name, &env);
	/*
	 * Bad options: it runs with others, which it had when it started.  QMTP
	 * and QMQP have no greeting: that it listens must do.
	 */
	return service_env_options(&env, &options, err) == 0 &&
		!options.kind.is_qmtp && !options.kind.is_qmqp &&
		greet_look(address, options.kind.has_tls_first,
		    (int)test_time_ms("GREET_WAIT_MS", GREET_WAIT_MS), err) == 0
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
	char text[PORT_TAKER_SIZE];
	struct proc taker;
	size_t count;
	bool is_own;
	int found;

	if (ready_listen_address(node, name, &address, err) == -1)
		return READY_NO;
	count = port_listeners(&address, inodes, LISTENERS_MAX);
	if (count == 0) {
		error_set(err, "nobody listens on %s port %u", address.ip,
		    address.port);
		return READY_NO;
	}
	/* What we may not look into must be believed. */
	if (has_live_process(state, err) &&
	    proc_holds_socket(state->pid, inodes, count) != 0)
		return does_greet(node, name, &address, err);
	found = port_find_taker(&address, NULL, &taker, text);
	is_own = found == 1 && proc_works_in(taker.pid, node->home->root);
	if (!state->is_supervised &&
	    (is_own || (found == -1 && geteuid() != 0)))
		return does_greet(node, name, &address, err);
	if (is_own)
		error_set(err,
		    "process %ld, which an earlier start of this node has "
		    "left, listens on %s port %u: 'kill %ld' ends it, and "
		    "supervise starts the service again",
		    (long)taker.pid, address.ip, address.port, (long)taker.pid);
	else
		error_set(err,
		    "the port is taken: %s listens on %s port %u, so this "
		    "listener is not up: stop that, or write another port to "
		    "%s/%s/variables/LISTEN",
		    text, address.ip, address.port, node->home->service, name);
	return READY_NO;
}

enum ready
ready_queue(const struct node *node, const char *name, struct error *err)
{
	OWN_TEXT folder = node_path(node, "%s/%s", node->home->queue, name);
	enum ready ready = READY_NO;
	struct health health;
	int64_t age_ms;
	int found = health_read_age(folder, &health, &age_ms, err);

	if (found == 0)
		error_set(err, "the queue has never run");
	else if (found == 1 && health.state == HEALTH_DOWN)
		error_set(err, "the queue is down");
	else if (found == 1 && is_stopped(health.pid, err))
		ready = READY_HUNG;
	else if (found == 1 && age_ms > HEALTH_SILENT_MS) {
		error_set(err,
		    "qmail-send (pid %ld) has said nothing for %" PRId64
		    " s: see the end of %s/%s/current, and whether its disk "
		    "answers ('ls %s'); 'svctool restart' ends it by force",
		    (long)health.pid, age_ms / 1000, node->home->log, name,
		    folder);
		ready = READY_HUNG;
	} else if (found == 1 && health.state == HEALTH_STOPPING)
		error_set(err, "the queue is stopping");
	else if (found == 1)
		ready = health.state == HEALTH_UP ? READY_YES : READY_SCANNING;
	return ready;
}

/*
 * The last line of its file of locks says "ready" when it takes connections;
 * the first is the process, which a kill leaves there.
 */
static bool
is_pgsql_ready(const char *text)
{
	const char *state = text;
	uint64_t pid;

	for (unsigned i = 1; i < PGSQL_STATE_LINE && state != NULL; i++) {
		state = strchr(state, '\n');
		state = state == NULL ? NULL : state + 1;
	}
	return state != NULL && strncmp(state, "ready", 5) == 0 &&
	    scan_u64n(text, strcspn(text, "\n"), INT32_MAX, &pid) &&
	    proc_is_alive((pid_t)pid);
}

static enum ready
pgsql_is_ready(const struct node *node, const struct supervise_state *state,
    struct error *err)
{
	OWN_TEXT data = node_layout_path(node, LAYOUT_pgsql_data);
	OWN_TEXT path = xasprintf("%s/postmaster.pid", data);
	AUTO(buf_release) struct buf text = BUF_INIT;

	if (file_read(path, PGSQL_LOCK_MAX_BYTES, &text, err) == -1)
		/* What we may not look into must be believed. */
		return has_live_process(state, err) ? READY_YES : READY_NO;
	if (text.length > 0 && is_pgsql_ready(text.data))
		return READY_YES;
	if (!state->is_supervised || has_live_process(state, err))
		error_set(err, "PostgreSQL takes no connections yet");
	return READY_NO;
}

/* Whoever supervises it, it serves its socket. */
static enum ready
socket_is_ready(const struct node *node, enum layout_id id,
    const struct supervise_state *state, struct error *err)
{
	char *path = node_layout_path(node, id);
	bool is_served = packet_is_served(path);

	if (!is_served &&
	    (!state->is_supervised || has_live_process(state, err)))
		error_set(err, "nobody serves '%s'", path);
	free(path);
	return is_served ? READY_YES : READY_NO;
}

/* Dovecot greets at its ports while its master runs. */
static enum ready
imap_is_ready(const struct node *node, const struct supervise_state *state,
    struct error *err)
{
	struct dovecot_listeners listeners;
	int wait_ms = (int)test_time_ms("GREET_WAIT_MS", GREET_WAIT_MS);
	int found = dovecot_read_listeners(node, &listeners, err);

	if (found == 0)
		error_set(
		    err, "'%s/imap/dovecot.conf' is missing", node->home->root);
	if (found != 1 ||
	    (state->is_supervised && !has_live_process(state, err)))
		return READY_NO;
	if (listeners.imap.port != 0 &&
	    greet_look(&listeners.imap, false, wait_ms, err) != 1)
		return READY_NO;
	return listeners.imaps.port == 0 ||
		greet_look(&listeners.imaps, true, wait_ms, err) == 1
	    ? READY_YES
	    : READY_NO;
}

/* It speaks TLS first, so that somebody who listens must do. */
static enum ready
admin_is_ready(const struct node *node, const struct supervise_state *state,
    struct error *err)
{
	OWN_TEXT control = node_path(node, "%s", node->home->control);
	struct port_address address;
	uint64_t inodes[LISTENERS_MAX];

	if (node_setting_address(
		control, SETTING_adminlisten, &address, err) != 1)
		return READY_NO;
	if (state->is_supervised && !has_live_process(state, err))
		return READY_NO;
	if (port_listeners(&address, inodes, LISTENERS_MAX) > 0)
		return READY_YES;
	error_set(
	    err, "nobody listens on %s port %u", address.ip, address.port);
	return READY_NO;
}

enum ready
ready_service(const struct node *node, const char *name,
    const struct supervise_state *state, struct error *err)
{
	if (is_stopped(state->pid, err))
		return READY_HUNG;
	if (ready_is_queue(node, name))
		return ready_queue(node, name, err);
	if (node_is_listener(name))
		return listener_is_ready(node, name, state, err);
	if (node_is_resolver(name))
		return socket_is_ready(node, LAYOUT_resolver, state, err);
	if (node_is_remote(name))
		return socket_is_ready(node, LAYOUT_remote, state, err);
	if (node_is_imap(name))
		return imap_is_ready(node, state, err);
	if (node_is_lookup(name))
		return socket_is_ready(node, LAYOUT_lookup, state, err);
	if (node_is_cluster(name))
		return socket_is_ready(node, LAYOUT_clusterd, state, err);
	if (node_is_admin(name))
		return admin_is_ready(node, state, err);
	if (strcmp(name, node_pgsql_service) == 0)
		return pgsql_is_ready(node, state, err);
	return has_live_process(state, err) ? READY_YES : READY_NO;
}

int
ready_read_state(const struct node *node, const char *name,
    struct supervise_state *state_out, struct error *err)
{
	OWN_TEXT folder = node_path(node, "%s/%s", node->home->service, name);

	return supervise_read(folder, state_out, err) == -1 ? -1 : 0;
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
