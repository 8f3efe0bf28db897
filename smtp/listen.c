/* SPDX-License-Identifier: ISC */
/* qmail-smtpd as a daemon. */
#include "smtp/listen.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/listener.h"
#include "base/log.h"
#include "base/log_text.h"
#include "base/mem.h"
#include "base/process.h"
#include "base/plural.h"
#include "base/test_time.h"
#include "control/identity.h"
#include "control/layout.h"
#include "smtp/client_name.h"
#include "smtp/rules.h"
#include "smtp/session.h"

enum {
	/* OpenSSL, cdb and our line buffers; only touched pages cost. */
	STACK_BYTES = 256 * 1024,
	DRAIN_MS = 15 * 1000,
	/* What goes on while memory is short can do with this. */
	RESERVE_BYTES = 8 * 1024 * 1024,
	LOG_TICK_MS = 500
};

struct daemon {
	struct smtp_server *server;
	struct smtp_rules *rules;
	struct dns_client *dns;
	struct listener *listener;
	unsigned max_connections; /* for the log; changed by __atomic only */
};

static const char *
program_of(const struct daemon *daemon)
{
	return smtp_kind_program(&daemon->server->kind);
}

/* The number of a thread, as its log lines have it in place of a pid. */
static int
thread_id(void)
{
	static __thread int id;

	if (id == 0)
		id = (int)gettid();
	return id;
}

static void
log_status(struct daemon *daemon, unsigned leaving)
{
	log_line("tcpserver: status: %u/%u",
	    listener_connections(daemon->listener) - leaving,
	    __atomic_load_n(&daemon->max_connections, __ATOMIC_RELAXED));
}

/* tcpserver -v's lines, which log tools follow. */
static void
log_start(struct daemon *daemon, const struct listener_peer *peer,
    const char *name, const char *verdict)
{
	AUTO(smtp_config_release)
	struct smtp_config *config = smtp_server_config(daemon->server);
	int id = thread_id();
	char word[DNS_NAME_SIZE];

	log_word(word, sizeof(word), name == NULL ? "" : name);
	log_status(daemon, 0);
	log_line("tcpserver: pid %d from %s", id, peer->remote_ip);
	log_line("tcpserver: %s %d %s:%s:%u %s:%s::%u", verdict, id,
	    config->name, peer->local_ip, peer->local_port, word,
	    peer->remote_ip, peer->remote_port);
}

static void
log_end(struct daemon *daemon, int status)
{
	log_line("tcpserver: end %d status %d", thread_id(), status);
	log_status(daemon, 1);
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
		.id = thread_id(),
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
	may_connect = smtp_rules_check_named(daemon->rules, peer->remote_ip,
	    smtp_peer.remote_host, &vars, &err);
	log_start(daemon, peer, smtp_peer.remote_host,
	    may_connect == 1 ? "ok" : "deny");
	if (may_connect == 1)
		smtp_session_run(daemon->server, fd, fd, &smtp_peer, &vars);
	else if (may_connect == -1) {
		log_line("%s: pid %d from %s access rules cannot be "
			 "read: %s",
		    program_of(daemon), thread_id(), peer->remote_ip, err.text);
		if (greets)
			send_line(fd,
			    "421 Sorry, I'm unable to read controls "
			    "(#4.3.0)\r\n");
	} else if (greets)
		send_line(fd,
		    "554 sorry, your host has been denied "
		    "(#5.7.1)\r\n");
	log_end(daemon, may_connect == 1 ? 0 : 100);
	log_batch_end(&batch);
}

static void
refuse_peer(
    int fd, const struct listener_peer *peer, bool is_per_ip, void *context)
{
	struct daemon *daemon = context;

	log_line("%s: too many connections%s: refused %s", program_of(daemon),
	    is_per_ip ? " from one address (maxperip)" : " (maxdaemons)",
	    peer->remote_ip);
	if (smtp_kind_greets(&daemon->server->kind))
		send_line(fd,
		    is_per_ip
			? "421 too many connections from your address, try "
			  "again later (#4.7.0)\r\n"
			: "421 too many connections, try again later "
			  "(#4.3.2)\r\n");
}

static void
take_limits(struct daemon *daemon, struct listener_limits *limits)
{
	AUTO(smtp_config_release)
	struct smtp_config *config = smtp_server_config(daemon->server);

	limits->max_connections = (unsigned)settings_number(
	    config->settings, SETTING_maxdaemons);
	limits->max_per_ip = (unsigned)settings_number(
	    config->settings, SETTING_maxperip);
	__atomic_store_n(&daemon->max_connections, limits->max_connections,
	    __ATOMIC_RELAXED);
}

static void
reload(struct daemon *daemon)
{
	struct listener_limits limits;
	struct error err;

	if (smtp_server_reload(daemon->server, &err) == -1) {
		log_line("%s: alert: the old settings stay: %s",
		    program_of(daemon), err.text);
		return;
	}
	take_limits(daemon, &limits);
	listener_set_limits(daemon->listener, &limits);
	log_line("%s: settings reread", program_of(daemon));
}

static int
log_tick_ms(void)
{
	return (int)test_time_ms("LOG_TICK_MS", LOG_TICK_MS);
}

static void
list_signals(sigset_t *signals)
{
	sigemptyset(signals);
	sigaddset(signals, SIGHUP);
	sigaddset(signals, SIGTERM);
	sigaddset(signals, SIGINT);
}

/*
 * The thread that takes the signals, until one says stop, and writes the log
 * lines of sessions that take longer.
 */
static void *
take_signals(void *context)
{
	const struct timespec tick = { .tv_nsec = log_tick_ms() * 1000000L };
	struct daemon *daemon = context;
	sigset_t signals;
	int signal_number = 0;

	list_signals(&signals);
	while (signal_number != SIGTERM && signal_number != SIGINT) {
		signal_number = sigtimedwait(&signals, NULL, &tick);
		if (signal_number == SIGHUP)
			reload(daemon);
		log_batches_tick();
	}
	listener_stop(daemon->listener);
	return NULL;
}

/* Each connection takes a descriptor or two: ask for what we may have. */
static void
raise_connections(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
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
	listener_free(&daemon->listener);
	smtp_rules_free(&daemon->rules);
	dns_client_free(&daemon->dns);
	smtp_server_free(&daemon->server);
}

/* Waits for the sessions to end, writing log lines.  False: some go on. */
static bool
drain_sessions(struct daemon *daemon)
{
	int64_t drain_ms = test_time_ms("DRAIN_MS", DRAIN_MS);
	int64_t waited_ms = 0;
	int tick_ms = log_tick_ms();
	bool is_empty;

	do {
		is_empty = listener_drain(daemon->listener, tick_ms);
		log_batches_tick();
		waited_ms += tick_ms;
	} while (!is_empty && waited_ms < drain_ms);
	return is_empty;
}

static int
run_daemon(struct daemon *daemon, const struct smtp_options *options,
    struct error *err)
{
	bool is_v6 = strchr(options->address, ':') != NULL;
	pthread_t signal_thread;
	unsigned sessions;
	int error;

	error = pthread_create(&signal_thread, NULL, take_signals, daemon);
	if (error != 0) {
		error_set(err, "cannot start a thread: %s", strerror(error));
		return 111;
	}
	log_line("%s: listening on %s%s%s:%u", program_of(daemon),
	    is_v6 ? "[" : "",
	    options->address[0] != '\0' ? options->address : "0",
	    is_v6 ? "]" : "", listener_port(daemon->listener));
	listener_run(daemon->listener);
	pthread_join(signal_thread, NULL);
	sessions = listener_connections(daemon->listener);
	log_line("%s: stopping, %u session%s", program_of(daemon), sessions,
	    plural(sessions));
	smtp_server_stop(daemon->server);
	if (!drain_sessions(daemon)) {
		/* Their threads still use all this: only an exit is left. */
		log_batches_flush();
		sessions = listener_connections(daemon->listener);
		log_line("%s: %u session%s cut off: none had a "
			 "message accepted that is not queued",
		    program_of(daemon), sessions, plural(sessions));
		log_finish();
		_exit(0);
	}
	log_line("%s: exiting", program_of(daemon));
	return 0;
}

int
smtp_listen(const struct home *home, const struct smtp_options *options,
    struct error *err)
{
	struct daemon daemon = { .server = NULL };
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
	struct listener_limits limits;
	pid_t supervise = parent_supervise();
	sigset_t signals;
	int result = 111;

	batch_policy_set();
	list_signals(&signals);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	raise_connections();
	daemon.listener = listener_new(&listener_options, err);
	if (daemon.listener == NULL)
		return 111;
	mem_set_reserve(RESERVE_BYTES);
	result = prepare(&daemon, home, options, err);
	if (result == 0) {
		take_limits(&daemon, &limits);
		listener_set_limits(daemon.listener, &limits);
		parent_end_with(supervise);
		log_pace();
		result = run_daemon(&daemon, options, err);
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
