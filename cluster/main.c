/* SPDX-License-Identifier: ISC */
/* clusterd: keeps the node's place in its cluster (clusterd(8)). */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/confine.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/packet.h"
#include "base/process.h"
#include "base/signals.h"
#include "base/usage.h"
#include "cluster/bus.h"
#include "cluster/follow.h"
#include "cluster/keeper.h"
#include "cluster/lease.h"
#include "cluster/server.h"
#include "cluster/state.h"
#include "control/identity.h"
#include "control/layout.h"
#include "control/settings.h"

static const char usage[] = "usage: clusterd\n";

static void *(*const threads[])(void *) = { lease_run, follow_run, keeper_look,
	keeper_write };
enum { THREADS = sizeof(threads) / sizeof(threads[0]) };

struct process {
	struct loop_source signal_source;
	struct state *state;
	bool is_stopping;
};

/* The keys changed; the name cannot. */
static void
read_keys_again(struct state *state)
{
	struct cluster_identity identity = { .name = "" };
	struct error err;
	int found = cluster_identity_read(state->home, &identity, &err);

	if (found == 1 && strcmp(identity.name, state->name) != 0)
		found = error_set(&err, "the name of the node is another: "
					"restart");
	if (found == 0)
		error_set(&err, "the node is in no cluster any more");
	if (found != 1) {
		log_line("warning: the keys stay as they are: %s", err.text);
		cluster_identity_release(&identity);
		return;
	}
	pthread_mutex_lock(&state->lock);
	state->identity = identity;
	state->identity_version++;
	pthread_mutex_unlock(&state->lock);
	cluster_identity_release(&identity);
	state_wake(state->lease_fd);
	state_wake(state->bus_fd);
	log_line("status: the keys were read again");
}

static void
cluster_signal_ready(uint32_t events, void *context)
{
	struct process *process = context;
	int number;

	(void)events;
	while ((number = signals_next(process->signal_source.fd)) != 0)
		if (number == SIGHUP)
			read_keys_again(process->state);
		else
			process->is_stopping = true;
}

static void
watch_cluster_signals(struct process *process, struct loop *loop)
{
	struct error err;

	signal(SIGPIPE, SIG_IGN);
	process->signal_source = (struct loop_source){
		signals_open(SIGTERM, SIGINT, SIGHUP, 0), cluster_signal_ready,
		process
	};
	if (process->signal_source.fd == -1)
		fatal(111, "cannot make a signalfd");
	if (loop_add(loop, &process->signal_source, EPOLLIN, &err) == -1)
		fatal(111, "%s", err.text);
}

/*
 * One process for a node: whoever has the folder knows that the process whose
 * leases are in it has ended.
 */
static int
lock_folder(const struct home *home)
{
	OWN_TEXT path = layout_path(home, LAYOUT_cluster);
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd == -1)
		fatal(111, "cannot open folder '%s': %s", path,
		    strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB) == -1)
		fatal(111, "another clusterd runs for '%s'", path);
	return fd;
}

static int
listen_at_socket(const struct home *home)
{
	OWN_TEXT path = layout_path(home, LAYOUT_clusterd);
	struct error err;
	int fd = packet_listen(path, 0666, &err);

	if (fd == -1)
		fatal(111, "%s", err.text);
	return fd;
}

static void
read_settings(struct state *state)
{
	struct error err;
	AUTO(settings_free)
	struct settings *settings = settings_load(
	    state->home->control, "clusterd", NULL, &err);
	const char *conninfo, *listen_conninfo;

	if (settings == NULL)
		fatal(111, "%s", err.text);
	conninfo = settings_text(settings, SETTING_pgsql);
	listen_conninfo = settings_text(settings, SETTING_pgsqllisten);
	if (*conninfo == '\0')
		fatal(111,
		    "control/pgsql does not say how to reach the database");
	state->has_pooler = *listen_conninfo != '\0';
	state->conninfo = xstrdup(conninfo);
	state->listen_conninfo = xstrdup(
	    state->has_pooler ? listen_conninfo : conninfo);
	state->bus_address = xasprintf(
	    "tcp://%s", settings_text(settings, SETTING_clusterlisten));
}

static void
read_identity(struct state *state)
{
	struct error err;
	int found = cluster_identity_read(
	    state->home, &state->identity, &err);

	if (found == 0)
		fatal(111, "this node is in no cluster: 'svctool cluster init' "
			   "makes one, 'svctool cluster join' enters one");
	if (found == -1)
		fatal(111, "%s", err.text);
	memcpy(state->name, state->identity.name, sizeof(state->name));
	state->identity_version = 1;
}

static void
confine(const struct home *home)
{
	OWN_TEXT folder = layout_path(home, LAYOUT_cluster);
	struct error err;

	if (confine_files(&(struct confine_rules){ .folder = folder }, &err) ==
	    -1)
		fatal(111, "%s", err.text);
}

int
main(int argc, char **argv)
{
	struct process process = { .is_stopping = false };
	AUTO(home_free) struct home *home = home_new();
	struct cluster_server *server;
	pthread_t running[THREADS], bus_thread;
	struct bus *bus;
	struct loop *loop;
	struct error err;
	int listen_fd, lock_fd;

	log_open("clusterd");
	usage_answer(argv, "clusterd", usage);
	if (argc != 1) {
		fputs(usage, stderr);
		return 100;
	}
	umask(022);
	loop = loop_new();
	watch_cluster_signals(&process, loop);
	process.state = state_new(home, &err);
	if (process.state == NULL)
		fatal(111, "%s", err.text);
	read_settings(process.state);
	lock_fd = lock_folder(home);
	listen_fd = listen_at_socket(home);
	if (identity_become_in(IDENTITY_CLUSTER, "qcerts", &err) == -1)
		fatal(111, "%s", err.text);
	/* libpq looks for certificates at home, and root's is closed to us. */
	unsetenv("HOME");
	read_identity(process.state);
	/* Before there are threads. */
	confine(home);
	server = cluster_server_new(loop, listen_fd, process.state, &err);
	if (server == NULL)
		fatal(111, "%s", err.text);
	for (size_t i = 0; i < THREADS; i++)
		if (thread_start(&running[i], threads[i], process.state) == -1)
			fatal(111, "cannot start a thread");
	bus = bus_new(process.state, &err);
	if (bus == NULL)
		fatal(111, "%s", err.text);
	if (thread_start(&bus_thread, bus_run, bus) == -1)
		fatal(111, "cannot start a thread");
	if (confine_calls(true, &err) == -1)
		fatal(111, "%s", err.text);
	log_line("status: ready");
	while (!process.is_stopping && !process.state->is_stopping)
		loop_wait(loop, 1000);
	state_stop(process.state);
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(running[i], NULL);
	pthread_join(bus_thread, NULL);
	bus_free(&bus);
	cluster_server_free(&server);
	state_free(&process.state);
	close(listen_fd);
	close(lock_fd);
	loop_remove(loop, &process.signal_source);
	close(process.signal_source.fd);
	loop_free(&loop);
	return 0;
}
