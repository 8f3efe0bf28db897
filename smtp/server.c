/* SPDX-License-Identifier: ISC */
/* What the sessions of one process share. */
#include "smtp/server.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/budget.h"
#include "base/mem.h"
#include "queue/sink_settings.h"

enum {
	SINK_TIMEOUT_MS = 120 * 1000,
	/* A queue that is restarted is there again within that. */
	SINK_OPEN_WAIT_MS = 10 * 1000
};

struct smtp_server {
	const struct home *home;
	struct smtp_kind kind;
	struct sink_pool *sinks;
	struct store *store;
	struct budget memory;
	unsigned long qp;     /* changed by __atomic only */
	pthread_mutex_t lock; /* for what follows */
	struct smtp_config *config;
	struct smtp_presence *sessions;
	bool has_stopped;
};

static void
set_sink_options(const struct smtp_server *server,
    const struct smtp_config *config, struct sink_options *options)
{
	sink_options_set(options, config->settings, server->home);
	options->timeout_ms = SINK_TIMEOUT_MS;
	options->open_wait_ms = SINK_OPEN_WAIT_MS;
	options->is_smtpd = true;
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

	server->home = home;
	server->kind = *kind;
	/* Begins like a pid, which is what qmail's qp is. */
	server->qp = (unsigned long)getpid();
	pthread_mutex_init(&server->lock, NULL);
	server->config = smtp_config_new(home, kind->has_tls_first, err);
	if (server->config != NULL)
		server->store = store_open_cdb(home->root, err);
	if (server->store == NULL) {
		smtp_server_free(&server);
		return NULL;
	}
	store_set_max_age(server->store, SMTP_MAX_AGE_MS);
	set_memory(server, server->config);
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
	struct smtp_config *config = smtp_config_new(
	    server->home, has_tls, err);
	struct sink_options options;

	smtp_config_release(&old);
	if (config == NULL)
		return -1;
	set_memory(server, config);
	set_sink_options(server, config, &options);
	sink_pool_configure(server->sinks, &options);
	pthread_mutex_lock(&server->lock);
	old = server->config;
	server->config = config;
	pthread_mutex_unlock(&server->lock);
	smtp_config_release(&old);
	return 0;
}

const struct smtp_kind *
smtp_server_kind(const struct smtp_server *server)
{
	return &server->kind;
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

struct sink_pool *
smtp_server_sinks(struct smtp_server *server)
{
	return server->sinks;
}

struct store *
smtp_server_store(struct smtp_server *server)
{
	return server->store;
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
	return __atomic_add_fetch(&server->qp, 1, __ATOMIC_RELAXED);
}

void
smtp_server_enter(struct smtp_server *server, struct smtp_presence *presence)
{
	pthread_mutex_lock(&server->lock);
	presence->next = server->sessions;
	presence->link = &server->sessions;
	if (presence->next != NULL)
		presence->next->link = &presence->next;
	server->sessions = presence;
	pthread_mutex_unlock(&server->lock);
}

void
smtp_server_leave(struct smtp_server *server, struct smtp_presence *presence)
{
	pthread_mutex_lock(&server->lock);
	*presence->link = presence->next;
	if (presence->next != NULL)
		presence->next->link = presence->link;
	pthread_mutex_unlock(&server->lock);
}

bool
smtp_server_wait(struct smtp_server *server, struct smtp_presence *presence)
{
	bool may_wait;

	pthread_mutex_lock(&server->lock);
	may_wait = !server->has_stopped;
	presence->is_waiting = may_wait;
	pthread_mutex_unlock(&server->lock);
	return may_wait;
}

void
smtp_server_resume(struct smtp_server *server, struct smtp_presence *presence)
{
	pthread_mutex_lock(&server->lock);
	presence->is_waiting = false;
	pthread_mutex_unlock(&server->lock);
}

bool
smtp_server_has_stopped(struct smtp_server *server)
{
	bool has_stopped;

	pthread_mutex_lock(&server->lock);
	has_stopped = server->has_stopped;
	pthread_mutex_unlock(&server->lock);
	return has_stopped;
}

void
smtp_server_stop(struct smtp_server *server)
{
	struct smtp_presence *presence;

	pthread_mutex_lock(&server->lock);
	server->has_stopped = true;
	for (presence = server->sessions; presence != NULL;
	     presence = presence->next)
		if (presence->is_waiting)
			shutdown(presence->fd, SHUT_RD);
	pthread_mutex_unlock(&server->lock);
}
