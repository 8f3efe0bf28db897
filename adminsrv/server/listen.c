/* SPDX-License-Identifier: ISC */
/* adminsrv as a daemon. */
#include "adminsrv/server/listen.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "adminsrv/server/api.h"
#include "adminsrv/server/session.h"
#include "base/file.h"
#include "base/listen_socket.h"
#include "base/listener_daemon.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/process.h"
#include "base/stream.h"
#include "control/identity.h"
#include "control/node_setting.h"

enum {
	STACK_BYTES = 512 * 1024,
	HANDSHAKE_MS = 60 * 1000
};

struct admin_daemon {
	struct admin_server *server;
	struct api *api; /* NULL: none is wanted */
	int api_fd;      /* -1: the same, or it is the api's */
	struct listener_daemon base;
};

static void
serve_admin_peer(int fd, const struct listener_peer *peer, void *context)
{
	struct admin_daemon *daemon = context;
	struct admin_config *config = admin_server_config(daemon->server);
	struct stream *stream = stream_new(fd, fd);
	struct log_batch batch;
	struct error err;

	log_batch_begin(&batch);
	log_line("%s: %d: Connection from %s:%u", admin_program,
	    listener_daemon_id(), peer->remote_ip, peer->remote_port);
	if (stream_start_tls(stream, config->tls, HANDSHAKE_MS, &err) ==
	    STREAM_OK)
		admin_session_run(
		    daemon->server, stream, fd, peer->remote_ip);
	else
		log_line("%s: %d: unable to accept SSL connection: %s",
		    admin_program, listener_daemon_id(), err.text);
	stream_free(&stream);
	log_batch_end(&batch);
	admin_config_release(&config);
}

/* TLS comes first: there is nothing to say. */
static void
refuse_admin_peer(
    int fd, const struct listener_peer *peer, bool is_per_ip, void *context)
{
	struct admin_daemon *daemon = context;

	(void)fd;
	listener_daemon_log_refused(&daemon->base, peer, is_per_ip);
}

static void
take_admin_limits(struct admin_daemon *daemon)
{
	struct admin_config *config = admin_server_config(daemon->server);
	const struct listener_limits limits = {
		.max_connections = (unsigned)settings_number(
		    config->settings, SETTING_maxdaemons),
		.max_per_ip = (unsigned)settings_number(
		    config->settings, SETTING_maxperip),
	};

	listener_daemon_set_limits(&daemon->base, &limits);
	admin_config_release(&config);
}

static int
reload_admin(void *context, struct error *err)
{
	struct admin_daemon *daemon = context;

	if (admin_server_reload(daemon->server, err) == -1 ||
	    (daemon->api != NULL && api_reload(daemon->api, err) == -1))
		return -1;
	take_admin_limits(daemon);
	return 0;
}

/* Commands go on to their ends; who waits for an answer hears it. */
static void
stop_admin(void *context)
{
	(void)context;
}

/* Without its helper nothing can be done: supervise starts both again. */
static void *
watch_runner(void *argument)
{
	const struct admin_daemon *daemon = argument;
	struct pollfd polled = { .fd = runner_fd(daemon->server->runner),
		.events = POLLIN };

	while (poll(&polled, 1, -1) == -1)
		continue;
	log_line("%s: admin-run has ended, and so do I", admin_program);
	kill(getpid(), SIGTERM);
	return NULL;
}

static int
start_watch(struct admin_daemon *daemon, struct error *err)
{
	pthread_t thread;

	errno = pthread_create(&thread, NULL, watch_runner, daemon);
	if (errno != 0)
		return error_sys(err, "cannot start a thread");
	pthread_detach(thread);
	return 0;
}

/* The setting adminapi may be empty. */
static int
listen_api(
    struct admin_daemon *daemon, const struct home *home, struct error *err)
{
	struct port_address address;
	struct listener_options options = { .address = address.ip };
	struct sockaddr_storage bound;
	int found = node_setting_address(
	    home->control, SETTING_adminapi, &address, err);

	if (found != 1)
		return found;
	options.port = address.port;
	daemon->api_fd = listen_socket_open(&options, &bound, err);
	return daemon->api_fd == -1 ? -1 : 0;
}

static int
start_api(struct admin_daemon *daemon, struct error *err)
{
	int fd = daemon->api_fd;

	if (fd == -1)
		return 0;
	daemon->api_fd = -1;
	daemon->api = api_start(daemon->server, fd, err);
	return daemon->api == NULL ? -1 : 0;
}

static int
open_admin(struct admin_daemon *daemon, const struct home *home,
    const struct port_address *address, struct error *err)
{
	const struct listener_options options = {
		.address = address->ip,
		.port = address->port,
		.stack_bytes = STACK_BYTES,
		.limits = { .max_connections = 1 },
		.serve = serve_admin_peer,
		.refuse = refuse_admin_peer,
		.context = daemon,
	};
	struct runner *runner;

	daemon->base.listener = listener_new(&options, err);
	if (daemon->base.listener == NULL ||
	    listen_api(daemon, home, err) == -1)
		return 111;
	/* While we are root, if we are. */
	runner = runner_new(err);
	if (runner == NULL)
		return 111;
	if (identity_become_in(IDENTITY_ADMIN, "qcerts", err) == -1) {
		runner_free(&runner);
		return 111;
	}
	daemon->server = admin_server_new(home, runner, err);
	return daemon->server == NULL ? 100 : 0;
}

int
admin_listen(const struct home *home, struct error *err)
{
	struct admin_daemon daemon = {
		.api_fd = -1,
		.base = { .program = admin_program,
		    .reload = reload_admin,
		    .stop = stop_admin,
		    .cut_off = "",
		    .context = &daemon },
	};
	struct port_address address;
	pid_t supervise = parent_supervise();
	int result;

	if (node_setting_address(
		home->control, SETTING_adminlisten, &address, err) != 1)
		return 100;
	listener_daemon_prepare();
	result = open_admin(&daemon, home, &address, err);
	if (result == 0) {
		take_admin_limits(&daemon);
		parent_end_with(supervise);
		result = start_api(&daemon, err) == -1 ||
			start_watch(&daemon, err) == -1
		    ? 111
		    : listener_daemon_run(&daemon.base, address.ip, err);
	}
	file_close(&daemon.api_fd);
	api_stop(&daemon.api);
	listener_free(&daemon.base.listener);
	admin_server_free(&daemon.server);
	return result;
}
