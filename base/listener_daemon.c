/* SPDX-License-Identifier: ISC */
/* A daemon around a listener. */
#include "base/listener_daemon.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/plural.h"
#include "base/test_time.h"

enum { DRAIN_MS = 15 * 1000, LOG_TICK_MS = 500 };

static int
log_tick_ms(void)
{
	return (int)test_time_ms("LOG_TICK_MS", LOG_TICK_MS);
}

static void
list_daemon_signals(sigset_t *signals)
{
	sigemptyset(signals);
	sigaddset(signals, SIGHUP);
	sigaddset(signals, SIGTERM);
	sigaddset(signals, SIGINT);
}

void
listener_daemon_prepare(void)
{
	struct rlimit limit;
	sigset_t signals;

	list_daemon_signals(&signals);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

void
listener_daemon_set_limits(
    struct listener_daemon *daemon, const struct listener_limits *limits)
{
	__atomic_store_n(&daemon->max_connections, limits->max_connections,
	    __ATOMIC_RELAXED);
	listener_set_limits(daemon->listener, limits);
}

static void
reload_daemon(struct listener_daemon *daemon)
{
	struct error err;

	if (daemon->reload(daemon->context, &err) == -1)
		log_line("%s: alert: the old settings stay: %s",
		    daemon->program, err.text);
	else
		log_line("%s: settings reread", daemon->program);
}

/*
 * The thread that takes the signals, until one says stop, and writes the log
 * lines of sessions that take longer.
 */
static void *
take_daemon_signals(void *context)
{
	const struct timespec tick = { .tv_nsec = log_tick_ms() * 1000000L };
	struct listener_daemon *daemon = context;
	sigset_t signals;
	int signal_number = 0;

	list_daemon_signals(&signals);
	while (signal_number != SIGTERM && signal_number != SIGINT) {
		signal_number = sigtimedwait(&signals, NULL, &tick);
		if (signal_number == SIGHUP)
			reload_daemon(daemon);
		log_batches_tick();
	}
	listener_stop(daemon->listener);
	return NULL;
}

/* Waits for the sessions to end, writing log lines.  False: some go on. */
static bool
drain_sessions(struct listener_daemon *daemon)
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

int
listener_daemon_run(
    struct listener_daemon *daemon, const char *address, struct error *err)
{
	bool is_v6 = strchr(address, ':') != NULL;
	pthread_t signal_thread;
	unsigned sessions;
	int error;

	error = pthread_create(
	    &signal_thread, NULL, take_daemon_signals, daemon);
	if (error != 0) {
		error_set(err, "cannot start a thread: %s", strerror(error));
		return 111;
	}
	log_line("%s: listening on %s%s%s:%u", daemon->program,
	    is_v6 ? "[" : "", address[0] != '\0' ? address : "0",
	    is_v6 ? "]" : "", listener_port(daemon->listener));
	listener_run(daemon->listener);
	pthread_join(signal_thread, NULL);
	sessions = listener_connections(daemon->listener);
	log_line("%s: stopping, %u session%s", daemon->program, sessions,
	    plural(sessions));
	daemon->stop(daemon->context);
	if (!drain_sessions(daemon)) {
		/* Their threads still use all this: only an exit is left. */
		log_batches_flush();
		sessions = listener_connections(daemon->listener);
		log_line("%s: %u session%s cut off%s", daemon->program,
		    sessions, plural(sessions), daemon->cut_off);
		log_finish();
		_exit(0);
	}
	log_line("%s: exiting", daemon->program);
	return 0;
}

int
listener_daemon_id(void)
{
	static __thread int id;

	if (id == 0)
		id = (int)gettid();
	return id;
}

static void
log_daemon_status(struct listener_daemon *daemon, unsigned leaving)
{
	log_line("tcpserver: status: %u/%u",
	    listener_connections(daemon->listener) - leaving,
	    __atomic_load_n(&daemon->max_connections, __ATOMIC_RELAXED));
}

void
listener_daemon_log_start(struct listener_daemon *daemon,
    const struct listener_peer *peer, const char *name, const char *remote_name,
    const char *verdict)
{
	int id = listener_daemon_id();

	log_daemon_status(daemon, 0);
	log_line("tcpserver: pid %d from %s", id, peer->remote_ip);
	log_line("tcpserver: %s %d %s:%s:%u %s:%s::%u", verdict, id, name,
	    peer->local_ip, peer->local_port, remote_name, peer->remote_ip,
	    peer->remote_port);
}

void
listener_daemon_log_end(struct listener_daemon *daemon, int status)
{
	log_line("tcpserver: end %d status %d", listener_daemon_id(), status);
	log_daemon_status(daemon, 1);
}

void
listener_daemon_log_refused(const struct listener_daemon *daemon,
    const struct listener_peer *peer, bool is_per_ip)
{
	log_line("%s: too many connections%s: refused %s", daemon->program,
	    is_per_ip ? " from one address (maxperip)" : " (maxdaemons)",
	    peer->remote_ip);
}
