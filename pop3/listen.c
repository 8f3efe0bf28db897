/* SPDX-License-Identifier: ISC */
/* qmail-pop3d as a daemon. */
#include "pop3/listen.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/listener.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/plural.h"
#include "base/process.h"
#include "base/test_time.h"
#include "control/identity.h"
#include "control/layout.h"
#include "pop3/session.h"
#include "smtp/rules.h"

enum {
	STACK_BYTES = 256 * 1024,
	DRAIN_MS = 15 * 1000,
	/* What goes on while memory is short can do with this. */
	RESERVE_BYTES = 8 * 1024 * 1024,
	LOG_TICK_MS = 500,
	RULES_MAX_AGE_MS = 1000
};

static const char program[] = "qmail-pop3d";

struct pop3_daemon {
	struct pop3_server *server;
	struct smtp_rules *rules;
	struct listener *listener;
	unsigned max_connections; /* for the log; changed by __atomic only */
};

/* The number of a thread, as its log lines have it in place of a pid. */
static int
thread_number(void)
{
	static __thread int id;

	if (id == 0)
		id = (int)gettid();
	return id;
}

static void
log_pop3_status(struct pop3_daemon *daemon, unsigned leaving)
{
	log_line("tcpserver: status: %u/%u",
	    listener_connections(daemon->listener) - leaving,
	    __atomic_load_n(&daemon->max_connections, __ATOMIC_RELAXED));
}

/* tcpserver -v's lines, which log tools follow. */
static void
log_pop3_start(struct pop3_daemon *daemon, const struct listener_peer *peer,
    const char *verdict)
{
	struct pop3_config *config = pop3_server_config(daemon->server);
	int id = thread_number();

	log_pop3_status(daemon, 0);
	log_line("tcpserver: pid %d from %s", id, peer->remote_ip);
	log_line("tcpserver: %s %d %s:%s:%u :%s::%u", verdict, id, config->name,
	    peer->local_ip, peer->local_port, peer->remote_ip,
	    peer->remote_port);
	pop3_config_release(&config);
}

static void
send_refusal(const struct pop3_daemon *daemon, int fd, const char *line)
{
	if (!daemon->server->kind.has_tls_first)
		send(fd, line, strlen(line), MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void
serve_user(struct pop3_daemon *daemon, int fd, const struct listener_peer *peer)
{
	const struct pop3_peer pop3_peer = {
		.remote_ip = peer->remote_ip,
		.local_ip = peer->local_ip,
		.id = thread_number(),
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

	log_batch_begin(&batch);
	may_connect = smtp_rules_check(
	    daemon->rules, peer->remote_ip, &vars, &err);
	log_pop3_start(daemon, peer, may_connect == 1 ? "ok" : "deny");
	if (may_connect == 1)
		serve_user(daemon, fd, peer);
	else if (may_connect == 0)
		send_refusal(daemon, fd,
		    "-ERR [SYS/PERM] sorry, your host has been denied\r\n");
	else {
		log_line("%s: pid %d from %s access rules cannot be read: %s",
		    program, thread_number(), peer->remote_ip, err.text);
		send_refusal(daemon, fd,
		    "-ERR [SYS/TEMP] sorry, I'm unable to read controls\r\n");
	}
	log_line("tcpserver: end %d status %d", thread_number(),
	    may_connect == 1 ? 0 : 100);
	log_pop3_status(daemon, 1);
	log_batch_end(&batch);
}

static void
refuse_pop3_peer(
    int fd, const struct listener_peer *peer, bool is_per_ip, void *context)
{
	struct pop3_daemon *daemon = context;

	log_line("%s: too many connections%s: refused %s", program,
	    is_per_ip ? " from one address (maxperip)" : " (maxdaemons)",
	    peer->remote_ip);
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

	__atomic_store_n(
	    &daemon->max_connections, limits.max_connections, __ATOMIC_RELAXED);
	listener_set_limits(daemon->listener, &limits);
	pop3_config_release(&config);
}

static void
reload_pop3(struct pop3_daemon *daemon)
{
	struct error err;

	if (pop3_server_reload(daemon->server, &err) == -1) {
		log_line(
		    "%s: alert: the old settings stay: %s", program, err.text);
		return;
	}
	take_pop3_limits(daemon);
	log_line("%s: settings reread", program);
}

static void
list_pop3_signals(sigset_t *signals)
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
take_pop3_signals(void *context)
{
	const struct timespec tick = { .tv_nsec = LOG_TICK_MS * 1000000L };
	struct pop3_daemon *daemon = context;
	sigset_t signals;
	int signal_number = 0;

	list_pop3_signals(&signals);
	while (signal_number != SIGTERM && signal_number != SIGINT) {
		signal_number = sigtimedwait(&signals, NULL, &tick);
		if (signal_number == SIGHUP)
			reload_pop3(daemon);
		log_batches_tick();
	}
	listener_stop(daemon->listener);
	return NULL;
}

/* Each connection takes some descriptors: ask for what we may have. */
static void
raise_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
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
	listener_free(&daemon->listener);
	smtp_rules_free(&daemon->rules);
	pop3_server_free(&daemon->server);
}

/* Waits for the sessions to end, writing log lines.  False: some go on. */
static bool
drain_pop3_sessions(struct pop3_daemon *daemon)
{
	int64_t drain_ms = test_time_ms("DRAIN_MS", DRAIN_MS);
	int64_t waited_ms = 0;
	bool is_empty;

	do {
		is_empty = listener_drain(daemon->listener, LOG_TICK_MS);
		log_batches_tick();
		waited_ms += LOG_TICK_MS;
	} while (!is_empty && waited_ms < drain_ms);
	return is_empty;
}

static int
run_pop3_daemon(struct pop3_daemon *daemon, const struct smtp_options *options,
    struct error *err)
{
	bool is_v6 = strchr(options->address, ':') != NULL;
	pthread_t signal_thread;
	unsigned sessions;
	int error;

	error = pthread_create(&signal_thread, NULL, take_pop3_signals, daemon);
	if (error != 0) {
		error_set(err, "cannot start a thread: %s", strerror(error));
		return 111;
	}
	log_line("%s: listening on %s%s%s:%u", program, is_v6 ? "[" : "",
	    options->address[0] != '\0' ? options->address : "0",
	    is_v6 ? "]" : "", listener_port(daemon->listener));
	listener_run(daemon->listener);
	pthread_join(signal_thread, NULL);
	sessions = listener_connections(daemon->listener);
	log_line(
	    "%s: stopping, %u session%s", program, sessions, plural(sessions));
	pop3_server_stop(daemon->server);
	if (!drain_pop3_sessions(daemon)) {
		/* Their threads still use all this: only an exit is left. */
		log_batches_flush();
		sessions = listener_connections(daemon->listener);
		log_line("%s: %u session%s cut off", program, sessions,
		    plural(sessions));
		log_finish();
		_exit(0);
	}
	log_line("%s: exiting", program);
	return 0;
}

int
pop3_listen(const struct home *home, const struct smtp_options *options,
    struct error *err)
{
	struct pop3_daemon daemon = { .server = NULL };
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
	sigset_t signals;
	int result = 111;

	list_pop3_signals(&signals);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	raise_descriptors();
	daemon.listener = listener_new(&listener_options, err);
	if (daemon.listener == NULL)
		return 111;
	mem_set_reserve(RESERVE_BYTES);
	result = prepare_pop3(&daemon, home, options, err);
	if (result == 0) {
		take_pop3_limits(&daemon);
		parent_end_with(supervise);
		log_pace();
		result = run_pop3_daemon(&daemon, options, err);
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
