/* SPDX-License-Identifier: ISC */
/* qmail-smtpd as a daemon. */
#include "smtp/listen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/listener_daemon.h"
#include "base/log.h"
#include "base/log_text.h"
#include "base/mem.h"
#include "base/process.h"
#include "control/identity.h"
#include "control/layout.h"
#include "smtp/client_name.h"
#include "smtp/rules.h"
#include "smtp/session.h"

enum {
	/* OpenSSL, cdb and our line buffers; only touched pages cost. */
	STACK_BYTES = 256 * 1024,
	/* What goes on while memory is short can do with this. */
	RESERVE_BYTES = 8 * 1024 * 1024
};

struct daemon {
	struct smtp_server *server;
	struct smtp_rules *rules;
	struct dns_client *dns;
	struct listener_daemon base;
};

static void
log_start(struct daemon *daemon, const struct listener_peer *peer,
    const char *name, const char *verdict)
{
	AUTO(smtp_config_release)
	struct smtp_config *config = smtp_server_config(daemon->server);
	char word[DNS_NAME_SIZE];

	log_word(word, sizeof(word), name == NULL ? "" : name);
	listener_daemon_log_start(
	    &daemon->base, peer, config->name, word, verdict);
}

static void
send_line(int fd, const char *line)
{
	send(fd, line, strlen(line), MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* For programs that QMAILQUEUE names, as under tcpserver. */
static void
set_vars(struct vars *vars, const struct listener_peer *peer)
{
	char number[8];

	vars_set(vars, "PROTO", "TCP");
	vars_set(vars, "TCPREMOTEIP", peer->remote_ip);
	vars_set(vars, "TCPLOCALIP", peer->local_ip);
	snprintf(number, sizeof(number), "%u", peer->remote_port);
	vars_set(vars, "TCPREMOTEPORT", number);
	snprintf(number, sizeof(number), "%u", peer->local_port);
	vars_set(vars, "TCPLOCALPORT", number);
}

/* With the setting clientnames.  NULL: it has none that counts. */
static const char *
find_name(struct daemon *daemon, const char *ip, char name_out[DNS_NAME_SIZE])
{
	AUTO(smtp_config_release)
	struct smtp_config *config = smtp_server_config(daemon->server);

	if (!settings_flag(config->settings, SETTING_clientnames) ||
	    !client_name_find(daemon->dns, ip, name_out))
		return NULL;
	return name_out;
}

static void
serve_peer(int fd, const struct listener_peer *peer, void *context)
{
	struct daemon *daemon = context;
	char name[DNS_NAME_SIZE];
	const struct smtp_peer smtp_peer = {
		.remote_ip = peer->remote_ip,
		.remote_host = find_name(daemon, peer->remote_ip, name),
		.local_ip = peer->local_ip,
		.id = listener_daemon_id(),
	};
	struct log_batch batch;
	bool greets = smtp_kind_greets(&daemon->server->kind);
	AUTO(vars_release) struct vars vars = VARS_INIT;
	struct error err;
	int may_connect;

	log_batch_begin(&batch);
	set_vars(&vars, peer);
	if (smtp_peer.remote_host != NULL)
		vars_set(&vars, "TCPREMOTEHOST", smtp_peer.remote_host);
	/* What rules say of strangers is not of nodes, which prove who they
	 * are. */
	may_connect = daemon->server->kind.is_node
	    ? 1
	    : smtp_rules_check_named(daemon->rules, peer->remote_ip,
		  smtp_peer.remote_host, &vars, &err);
	log_start(daemon, peer, smtp_peer.remote_host,
	    may_connect == 1 ? "ok" : "deny");
	if (may_connect == 1)
		smtp_session_run(daemon->server, fd, fd, &smtp_peer, &vars);
	else if (may_connect == -1) {
		log_line("%s: pid %d from %s access rules cannot be "
			 "read: %s",
		    daemon->base.program, listener_daemon_id(), peer->remote_ip, err.text);
		if (greets)
			send_line(fd,
			    "421 Sorry, I'm unable to read controls "
			    "(#4.3.0)\r\n");
	} else if (greets)
		send_line(fd,
		    "554 sorry, your host has been denied "
		    "(#5.7.1)\r\n");
	listener_daemon_log_end(&daemon->base, may_connect == 1 ? 0 : 100);
	log_batch_end(&batch);
}

static void
refuse_peer(
    int fd, const struct listener_peer *peer, bool is_per_ip, void *context)
{
	struct daemon *daemon = context;

	listener_daemon_log_refused(&daemon->base, peer, is_per_ip);
	if (smtp_kind_greets(&daemon->server->kind))
		send_line(fd,
		    is_per_ip
			? "421 too many connections from your address, try "
			  "again later (#4.7.0)\r\n"
			: "421 too many connections, try again later "
			  "(#4.3.2)\r\n");
}

static void
take_limits(struct daemon *daemon)
{
	AUTO(smtp_config_release)
	struct smtp_config *config = smtp_server_config(daemon->server);
	struct listener_limits limits = {
		.max_connections = (unsigned)settings_number(
		    config->settings, SETTING_maxdaemons),
		.max_per_ip = (unsigned)settings_number(
		    config->settings, SETTING_maxperip),
	};

	if (daemon->server->kind.is_node)
		limits.max_per_ip = 0;
	listener_daemon_set_limits(&daemon->base, &limits);
}

static int
reload(void *context, struct error *err)
{
	struct daemon *daemon = context;

	if (smtp_server_reload(daemon->server, err) == -1)
		return -1;
	take_limits(daemon);
	return 0;
}

static void
stop(void *context)
{
	struct daemon *daemon = context;

	smtp_server_stop(daemon->server);
}

static int
open_rules(struct daemon *daemon, const struct home *home, struct error *err)
{
	const char *named = getenv("TCPRULES");
	bool is_named = named != NULL && named[0] != '\0';
	OWN_TEXT path = is_named ? xstrdup(named)
				 : layout_path(home, LAYOUT_access_cdb);

	daemon->rules = smtp_rules_new(path, is_named, SMTP_MAX_AGE_MS, err);
	if (daemon->rules != NULL)
		return 0;
	return is_named ? error_context(err, "variable TCPRULES") : -1;
}

/* Everything but the port; as the user that will serve.  An exit code. */
static int
prepare(struct daemon *daemon, const struct home *home,
    const struct smtp_options *options, struct error *err)
{
	OWN_TEXT resolver = layout_path(home, LAYOUT_resolver);

	if (identity_become(IDENTITY_SMTPD, err) == -1)
		return 111;
	daemon->server = smtp_server_new(home, &options->kind, err);
	if (daemon->server == NULL || open_rules(daemon, home, err) == -1)
		return 100;
	daemon->dns = dns_client_new(resolver);
	return 0;
}

static void
release_daemon(struct daemon *daemon)
{
	listener_free(&daemon->base.listener);
	smtp_rules_free(&daemon->rules);
	dns_client_free(&daemon->dns);
	smtp_server_free(&daemon->server);
}

int
smtp_listen(const struct home *home, const struct smtp_options *options,
    struct error *err)
{
	struct daemon daemon = {
		.base = { .program = smtp_kind_program(&options->kind),
		    .reload = reload,
		    .stop = stop,
		    .cut_off = ": none had a message accepted that is not "
			       "queued",
		    .context = &daemon },
	};
	const struct listener_options listener_options = {
		.address = options->address,
		.port = options->port,
		.is_shared = options->is_shared,
		.stack_bytes = STACK_BYTES,
		.limits = { .max_connections = 1 },
		.serve = serve_peer,
		.refuse = refuse_peer,
		.context = &daemon,
	};
	pid_t supervise = parent_supervise();
	int result = 111;

	batch_policy_set();
	listener_daemon_prepare();
	daemon.base.listener = listener_new(&listener_options, err);
	if (daemon.base.listener == NULL)
		return 111;
	mem_set_reserve(RESERVE_BYTES);
	result = prepare(&daemon, home, options, err);
	if (result == 0) {
		take_limits(&daemon);
		parent_end_with(supervise);
		log_pace();
		result = listener_daemon_run(
		    &daemon.base, options->address, err);
	}
	release_daemon(&daemon);
	return result;
}

int
smtp_listen_check(const struct home *home, const struct smtp_options *options,
    struct error *err)
{
	struct daemon daemon = { .server = NULL };
	int result = prepare(&daemon, home, options, err);

	release_daemon(&daemon);
	return result == 0 ? 0 : -1;
}
