/* SPDX-License-Identifier: ISC */
/* lookupd: answers what is known of users (lookupd(8)). */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/confine.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/packet.h"
#include "base/process.h"
#include "base/signals.h"
#include "base/usage.h"
#include "control/home.h"
#include "control/identity.h"
#include "control/layout.h"
#include "control/settings.h"
#include "lookupd/gateway.h"
#include "lookupd/server.h"

static const char usage[] =
    "usage: lookupd\n"
    "       lookupd --make-key FILE\n";

struct process {
	struct loop_source signal_source;
	struct lookup_server *server;
	struct database *database;
	bool is_stopping;
};

static void
say_stats(struct lookup_server *server)
{
	AUTO(buf_release) struct buf text = BUF_INIT;

	lookup_server_stats(server, &text);
	log_line("status: %s", text.data);
}

static void
signal_ready(uint32_t events, void *context)
{
	struct process *process = context;
	int number;

	(void)events;
	while ((number = signals_next(process->signal_source.fd)) != 0)
		switch (number) {
		case SIGHUP:
			lookup_server_clear(process->server);
			log_line("status: what was remembered is forgotten");
			break;
		case SIGUSR1:
			say_stats(process->server);
			break;
		case SIGUSR2:
			database_want_snapshot(process->database);
			break;
		default:
			process->is_stopping = true;
		}
}

static void
watch_signals(struct process *process, struct loop *loop)
{
	struct error err;

	signal(SIGPIPE, SIG_IGN);
	process->signal_source = (struct loop_source){
		signals_open(SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, 0),
		signal_ready, process
	};
	if (process->signal_source.fd == -1)
		fatal(111, "cannot make a signalfd");
	if (loop_add(loop, &process->signal_source, EPOLLIN, &err) == -1)
		fatal(111, "%s", err.text);
}

static int
listen_at(const char *path)
{
	struct error err;
	int fd;

	if (packet_is_served(path))
		fatal(111, "another lookupd serves '%s'", path);
	fd = packet_listen(path, 0666, &err);
	if (fd == -1)
		fatal(111, "%s", err.text);
	return fd;
}

static struct database *
open_database(const struct settings *settings, const char *folder)
{
	const char *conninfo = settings_text(settings, SETTING_pgsql);
	const char *read_conninfo = settings_text(settings, SETTING_pgsqlread);
	const char *listen_conninfo = settings_text(
	    settings, SETTING_pgsqllisten);
	const struct database_options options = {
		.conninfo = conninfo,
		.listen_conninfo = *listen_conninfo == '\0' ? conninfo
							    : listen_conninfo,
		.has_pooler = *listen_conninfo != '\0',
		.read_conninfo = *read_conninfo == '\0' ? conninfo
							: read_conninfo,
		.readers = (unsigned)settings_number(
		    settings, SETTING_lookupthreads),
		.statement_ms = (int)settings_number(
				    settings, SETTING_lookuptimeout) *
		    1000,
		.folder = folder,
		.spool_bytes = settings_number(settings, SETTING_lookupspool),
		.snapshot_s = (unsigned)settings_number(
		    settings, SETTING_lookupsnapshot),
	};
	struct database *database;
	struct error err;

	if (*conninfo == '\0')
		fatal(111,
		    "control/pgsql does not say how to reach the database");
	database = database_new(&options, &err);
	if (database == NULL)
		fatal(111, "%s", err.text);
	return database;
}

/*
 * Those who take mail and let users in; then those who deliver and route, and
 * who tells other nodes how we are.
 */
static void
set_peers(struct lookup_server_options *options)
{
	static const enum identity_role roles[] = { IDENTITY_SMTPD,
		IDENTITY_VIRTUAL, IDENTITY_QUEUE, IDENTITY_REMOTE,
		IDENTITY_CLUSTER };

	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
		options->peers[options->peer_count++] = identity_peer(
		    IDENTITY_LOOKUP, roles[i]);
	options->password_peer_count = 2;
}

static struct lookup_server *
open_server(struct loop *loop, struct database *database, int listen_fd,
    const struct settings *settings, const char *folder)
{
	struct lookup_server_options options = {
		.cache_bytes = settings_number(settings, SETTING_lookupcache),
		.ttl_ms = (int64_t)settings_number(
			      settings, SETTING_lookupttl) *
		    1000,
		.absent_ttl_ms = (int64_t)settings_number(
				     settings, SETTING_lookupabsentttl) *
		    1000,
		.wait_ms = (int)settings_number(
			       settings, SETTING_lookuptimeout) *
		    1000,
		.folder = folder,
	};
	struct lookup_server *server;
	struct error err;

	set_peers(&options);
	server = lookup_server_new(loop, database, listen_fd, &options, &err);
	if (server == NULL)
		fatal(111, "%s", err.text);
	return server;
}

/* For other nodes, if there are any; the keys are root's. */
static struct gateway *
open_gateway(const struct settings *settings, const char *socket_path)
{
	const struct strlist *listen = settings_list(
	    settings, SETTING_lookuplisten);
	struct gateway *gateway;
	struct error err;

	if (listen->count == 0)
		return NULL;
	gateway = gateway_new(listen,
	    settings_list(settings, SETTING_lookuppeers), socket_path, &err);
	if (gateway == NULL)
		fatal(111, "%s", err.text);
	return gateway;
}

int
main(int argc, char **argv)
{
	struct process process = { .is_stopping = false };
	AUTO(home_free) struct home *home = home_new();
	OWN_TEXT folder = layout_path(home, LAYOUT_lookup_data);
	OWN_TEXT path = layout_path(home, LAYOUT_lookup);
	struct settings *settings;
	struct gateway *gateway;
	struct loop *loop;
	struct error err;
	int listen_fd;

	log_open("lookupd");
	usage_answer(argv, "lookupd", usage);
	if (argc == 3 && strcmp(argv[1], "--make-key") == 0) {
		if (gateway_make_key(argv[2], &err) == -1)
			fatal(111, "%s", err.text);
		return 0;
	}
	if (argc != 1) {
		fputs(usage, stderr);
		return 100;
	}
	umask(077);
	files_raise(8192);
	loop = loop_new();
	watch_signals(&process, loop);
	settings = settings_load(home->control, "lookupd", NULL, &err);
	if (settings == NULL)
		fatal(111, "%s", err.text);
	listen_fd = listen_at(path);
	gateway = open_gateway(settings, path);
	if (identity_become(IDENTITY_LOOKUP, &err) == -1)
		fatal(111, "%s", err.text);
	/* libpq looks for certificates at home, and root's is closed to us. */
	unsetenv("HOME");
	/* Before there are threads. */
	if (confine_files(&(struct confine_rules){ .folder = folder }, &err) ==
	    -1)
		fatal(111, "%s", err.text);
	process.database = open_database(settings, folder);
	process.server = open_server(
	    loop, process.database, listen_fd, settings, folder);
	settings_free(&settings);
	if (gateway != NULL && gateway_start(gateway, &err) == -1)
		fatal(111, "%s", err.text);
	if (confine_calls(true, &err) == -1)
		fatal(111, "%s", err.text);
	log_line("status: ready");
	while (!process.is_stopping) {
		loop_wait(loop, lookup_server_timeout_ms(process.server));
		lookup_server_tick(process.server);
	}
	say_stats(process.server);
	gateway_free(&gateway);
	lookup_server_free(&process.server); /* and the database */
	close(listen_fd);
	loop_remove(loop, &process.signal_source);
	close(process.signal_source.fd);
	loop_free(&loop);
	return 0;
}
