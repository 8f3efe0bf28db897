/* SPDX-License-Identifier: ISC */
/* What the sessions of one process share. */
#include "smtp/server.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/test_time.h"
#include "control/layout.h"
#include "mailbox/over_quota.h"
#include "queue/sink_settings.h"

enum { SINK_TIMEOUT_MS = 120 * 1000 };

const char *
smtp_kind_program(const struct smtp_kind *kind)
{
	if (kind->is_qmqp)
		return "qmail-qmqpd";
	return kind->is_qmtp ? "qmail-qmtpd" : "qmail-smtpd";
}

bool
smtp_kind_greets(const struct smtp_kind *kind)
{
	return !kind->has_tls_first && !kind->is_qmtp && !kind->is_qmqp;
}

static void
set_sink_options(const struct smtp_server *server,
    const struct smtp_config *config, struct sink_options *options)
{
	sink_options_set(options, config->settings, server->home);
	options->timeout_ms = SINK_TIMEOUT_MS;
	options->open_wait_ms = (int)test_time_ms(
	    "QUEUE_WAIT_MS", server->kind.queue_wait_ms);
	options->is_smtpd = true;
	/* It was added where the message came from outside. */
	if (server->kind.is_node)
		options->extra_recipient = NULL;
}

/* Nodes know us by a certificate of its own. */
static struct smtp_config *
make_smtp_config(
    const struct smtp_server *server, bool needs_tls, struct error *err)
{
	struct smtp_config *config = smtp_config_new(
	    server->home, needs_tls && !server->kind.is_node, err);

	if (config != NULL && server->kind.is_node &&
	    smtp_config_set_node(config, server->home, err) == -1)
		smtp_config_release(&config);
	return config;
}

static void
set_memory(struct smtp_server *server, const struct smtp_config *config)
{
	budget_set_limit(&server->memory,
	    settings_number(config->settings, SETTING_sessionmemory));
}

struct smtp_server *
smtp_server_new(
    const struct home *home, const struct smtp_kind *kind, struct error *err)
{
	struct smtp_server *server = xcalloc(1, sizeof(*server));
	struct sink_options options;
	OWN_TEXT path = NULL;

	server->home = home;
	server->kind = *kind;
	/* Begins like a pid, which is what qmail's qp is. */
	atomic_init(&server->qp, (unsigned long)getpid());
	pthread_mutex_init(&server->lock, NULL);
	server->config = make_smtp_config(server, kind->has_tls_first, err);
	if (server->config != NULL)
		server->store = store_open(home->root, err);
	if (server->store == NULL) {
		smtp_server_free(&server);
		return NULL;
	}
	store_set_max_age(server->store, SMTP_MAX_AGE_MS);
	if (!kind->is_lmtp && !kind->is_qmtp && !kind->is_qmqp &&
	    !kind->is_node)
		server->login = login_new(
		    server->store, home, server->config->settings);
	if (kind->is_node)
		server->nodes = cluster_nodes_new(home);
	server->recipients = cdb_cache_new(1);
	server->recipients_path = layout_path(home, LAYOUT_recipients_cdb);
	set_memory(server, server->config);
	path = layout_path(home, LAYOUT_over_quota);
	server->over_quota = over_quota_open(path, false);
	set_sink_options(server, server->config, &options);
	server->sinks = sink_pool_new(&options);
	return server;
}

void
smtp_server_free(struct smtp_server **server_in)
{
	struct smtp_server *server = *server_in;

	if (server == NULL)
		return;
	sink_pool_free(&server->sinks);
	if (server->recipients != NULL)
		cdb_cache_free(&server->recipients);
	free(server->recipients_path);
	over_quota_free(&server->over_quota);
	cluster_nodes_free(&server->nodes);
	login_free(&server->login);
	store_free(&server->store);
	smtp_config_release(&server->config);
	pthread_mutex_destroy(&server->lock);
	free(server);
	*server_in = NULL;
}

int
smtp_server_reload(struct smtp_server *server, struct error *err)
{
	struct smtp_config *old = smtp_server_config(server);
	bool has_tls = old->tls != NULL;
	struct smtp_config *config = make_smtp_config(server, has_tls, err);
	struct sink_options options;

	smtp_config_release(&old);
	if (config == NULL)
		return -1;
	set_memory(server, config);
	set_sink_options(server, config, &options);
	sink_pool_configure(server->sinks, &options);
	if (server->login != NULL)
		login_configure(server->login, config->settings);
	pthread_mutex_lock(&server->lock);
	old = server->config;
	server->config = config;
	pthread_mutex_unlock(&server->lock);
	smtp_config_release(&old);
	return 0;
}

struct smtp_config *
smtp_server_config(struct smtp_server *server)
{
	struct smtp_config *config;

	pthread_mutex_lock(&server->lock);
	config = smtp_config_share(server->config);
	pthread_mutex_unlock(&server->lock);
	return config;
}

bool
smtp_server_take_memory(struct smtp_server *server, uint64_t bytes)
{
	return !mem_is_short() && budget_take(&server->memory, bytes);
}

void
smtp_server_give_memory(struct smtp_server *server, uint64_t bytes)
{
	budget_give(&server->memory, bytes);
}

unsigned long
smtp_server_next_qp(struct smtp_server *server)
{
	return atomic_fetch_add(&server->qp, 1) + 1;
}

void
smtp_server_enter(struct smtp_server *server, struct smtp_presence *presence)
{
	pthread_mutex_lock(&server->lock);
	LIST_INSERT_HEAD(&server->sessions, presence, in_sessions);
	pthread_mutex_unlock(&server->lock);
}

void
smtp_server_leave(struct smtp_server *server, struct smtp_presence *presence)
{
	pthread_mutex_lock(&server->lock);
	LIST_REMOVE(presence, in_sessions);
	pthread_mutex_unlock(&server->lock);
}

/* Either we see that it has stopped, or who stops it sees that we wait. */
bool
smtp_server_wait(struct smtp_server *server, struct smtp_presence *presence)
{
	atomic_store(&presence->is_waiting, true);
	if (!atomic_load(&server->has_stopped))
		return true;
	atomic_store(&presence->is_waiting, false);
	return false;
}

void
smtp_server_resume(struct smtp_presence *presence)
{
	atomic_store_explicit(
	    &presence->is_waiting, false, memory_order_release);
}

void
smtp_server_stop(struct smtp_server *server)
{
	struct smtp_presence *presence;

	atomic_store(&server->has_stopped, true);
	pthread_mutex_lock(&server->lock);
	LIST_FOREACH(presence, &server->sessions, in_sessions)
		if (atomic_load(&presence->is_waiting))
			shutdown(presence->fd, SHUT_RD);
	pthread_mutex_unlock(&server->lock);
}
