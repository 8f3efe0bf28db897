/* SPDX-License-Identifier: ISC */
/* qmail-pop3d as a daemon. */
#include "pop3/listen.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/listener_daemon.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/process.h"
#include "control/identity.h"
#include "control/layout.h"
#include "pop3/session.h"
#include "smtp/rules.h"

enum {
	STACK_BYTES = 256 * 1024,
	/* What goes on while memory is short can do with this. */
	RESERVE_BYTES = 8 * 1024 * 1024,
	RULES_MAX_AGE_MS = 1000
};

static const char program[] = "qmail-pop3d";

struct pop3_daemon {
	struct pop3_server *server;
	struct smtp_rules *rules;
	struct listener_daemon base;
};

static void
log_pop3_start(struct pop3_daemon *daemon, const struct listener_peer *peer,
    const char *verdict)
{
	struct pop3_config *config = pop3_server_config(daemon->server);

	listener_daemon_log_start(
	    &daemon->base, peer, config->name, "", verdict);
	pop3_config_release(&config);
}

static void
send_refusal(const struct pop3_daemon *daemon, int fd, const char *line)
{
	if (!daemon->server->kind.has_tls_first)
		send(fd, line, strlen(line), MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void
serve_user(struct pop3_daemon *daemon, int fd, const struct listener_peer *peer,
    const struct vars *vars)
{
	const struct pop3_peer pop3_peer = {
		.remote_ip = peer->remote_ip,
		.local_ip = peer->local_ip,
		.id = listener_daemon_id(),
		.vars = vars,
	};
	struct pop3_config *config = pop3_server_config(daemon->server);
	const struct pop3_options options = {
		.let_in = pop3_let_in_user,
		.host = config->name,
	};

	pop3_session_run(daemon->server, fd, fd, &pop3_peer, &options);
	pop3_config_release(&config);
}

static void
serve_pop3_peer(int fd, const struct listener_peer *peer, void *context)
{
	struct pop3_daemon *daemon = context;
	struct log_batch batch;
	AUTO(vars_release) struct vars vars = VARS_INIT;
	struct error err;
	int may_connect;

	vars_set(&vars, "TCPREMOTEIP", peer->remote_ip);
	vars_set(&vars, "TCPLOCALIP", peer->local_ip);
	log_batch_begin(&batch);
	may_connect = smtp_rules_check(
	    daemon->rules, peer->remote_ip, &vars, &err);
	log_pop3_start(daemon, peer, may_connect == 1 ? "ok" : "deny");
	if (may_connect == 1)
		serve_user(daemon, fd, peer, &vars);
	else if (may_connect == 0)
		send_refusal(daemon, fd,
		    "-ERR [SYS/PERM] sorry, your host has been denied\r\n");
	else {
		log_line("%s: pid %d from %s access rules cannot be read: %s",
		    program, listener_daemon_id(), peer->remote_ip, err.text);
		send_refusal(daemon, fd,
		    "-ERR [SYS/TEMP] sorry, I'm unable to read controls\r\n");
	}
	listener_daemon_log_end(&daemon->base, may_connect == 1 ? 0 : 100);
	log_batch_end(&batch);
}

static void
refuse_pop3_peer(
    int fd, const struct listener_peer *peer, bool is_per_ip, void *context)
{
	struct pop3_daemon *daemon = context;

	listener_daemon_log_refused(&daemon->base, peer, is_per_ip);
	send_refusal(daemon, fd,
	    "-ERR [SYS/TEMP] too many connections, try again later\r\n");
}

static void
take_pop3_limits(struct pop3_daemon *daemon)
{
	struct pop3_config *config = pop3_server_config(daemon->server);
	const struct listener_limits limits = {
		.max_connections = (unsigned)settings_number(
		    config->settings, SETTING_maxdaemons),
		.max_per_ip = (unsigned)settings_number(
		    config->settings, SETTING_maxperip),
	};

	listener_daemon_set_limits(&daemon->base, &limits);
	pop3_config_release(&config);
}

static int
reload_pop3(void *context, struct error *err)
{
	struct pop3_daemon *daemon = context;

	if (pop3_server_reload(daemon->server, err) == -1)
		return -1;
	take_pop3_limits(daemon);
	return 0;
}

static void
stop_pop3(void *context)
{
	struct pop3_daemon *daemon = context;

	pop3_server_stop(daemon->server);
}

static int
open_pop3_rules(
    struct pop3_daemon *daemon, const struct home *home, struct error *err)
{
	const char *named = getenv("TCPRULES");
	bool is_named = named != NULL && named[0] != '\0';
	OWN_TEXT path = is_named ? xstrdup(named)
				 : layout_path(home, LAYOUT_pop3_access_cdb);

	daemon->rules = smtp_rules_new(path, is_named, RULES_MAX_AGE_MS, err);
	if (daemon->rules != NULL)
		return 0;
	return is_named ? error_context(err, "variable TCPRULES") : -1;
}

/* Everything but the port; as the user that will serve.  An exit code. */
static int
prepare_pop3(struct pop3_daemon *daemon, const struct home *home,
    const struct smtp_options *options, struct error *err)
{
	const struct pop3_kind kind = {
		.program = program,
		.has_store = true,
		.has_tls = true,
		.has_tls_first = options->kind.has_tls_first,
	};

	if (identity_become_in(IDENTITY_VIRTUAL, "qcerts", err) == -1)
		return 111;
	daemon->server = pop3_server_new(home, &kind, err);
	return daemon->server == NULL ||
		open_pop3_rules(daemon, home, err) == -1
	    ? 100
	    : 0;
}

static void
release_pop3_daemon(struct pop3_daemon *daemon)
{
	listener_free(&daemon->base.listener);
	smtp_rules_free(&daemon->rules);
	pop3_server_free(&daemon->server);
}

int
pop3_listen(const struct home *home, const struct smtp_options *options,
    struct error *err)
{
	struct pop3_daemon daemon = {
		.base = { .program = program,
		    .reload = reload_pop3,
		    .stop = stop_pop3,
		    .cut_off = "",
		    .context = &daemon },
	};
	const struct listener_options listener_options = {
		.address = options->address,
		.port = options->port,
		.is_shared = options->is_shared,
		.stack_bytes = STACK_BYTES,
		.limits = { .max_connections = 1 },
		.serve = serve_pop3_peer,
		.refuse = refuse_pop3_peer,
		.context = &daemon,
	};
	pid_t supervise = parent_supervise();
	int result = 111;

	listener_daemon_prepare();
	daemon.base.listener = listener_new(&listener_options, err);
	if (daemon.base.listener == NULL)
		return 111;
	mem_set_reserve(RESERVE_BYTES);
	result = prepare_pop3(&daemon, home, options, err);
	if (result == 0) {
		take_pop3_limits(&daemon);
		parent_end_with(supervise);
		log_pace();
		result = listener_daemon_run(
		    &daemon.base, options->address, err);
	}
	release_pop3_daemon(&daemon);
	return result;
}

int
pop3_listen_check(const struct home *home, const struct smtp_options *options,
    struct error *err)
{
	struct pop3_daemon daemon = { .server = NULL };
	int result = prepare_pop3(&daemon, home, options, err);

	release_pop3_daemon(&daemon);
	return result == 0 ? 0 : -1;
}
