/* SPDX-License-Identifier: ISC */
/* What the sessions of one process share. */
#include "pop3/server.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "control/layout.h"
#include "mailbox/over_quota.h"

/*
 * That of SERVERCERT must be there, and any must when TLS was promised; without
 * one config->tls stays NULL.
 */
static int
load_certificate(struct pop3_config *config, const struct home *home,
    bool needs_tls, struct error *err)
{
	const char *named = getenv("SERVERCERT");
	bool is_named = named != NULL && named[0] != '\0';
	OWN_TEXT path = is_named ? xstrdup(named)
				 : layout_path(home, LAYOUT_servercert);

	if (!is_named && access(path, F_OK) == -1 && errno == ENOENT)
		return needs_tls
		    ? error_set(err,
			  "no certificate '%s': put the chain and the key "
			  "there (or start again without TLS)",
			  path)
		    : 0;
	config->tls = tls_context_new(path, err);
	if (config->tls == NULL)
		return is_named ? error_context(err, "variable SERVERCERT")
				: -1;
	return tls_context_set_ciphers(config->tls,
		   settings_text(config->settings, SETTING_tlsserverciphers),
		   NULL, err) == -1
	    ? error_context(err, "%s:1",
		  settings_source(config->settings, SETTING_tlsserverciphers))
	    : 0;
}

static struct pop3_config *
config_new(const struct home *home, const struct pop3_kind *kind,
    bool needs_tls, struct error *err)
{
	struct pop3_config *config = xcalloc(1, sizeof(*config));
	struct settings *settings = settings_load(
	    home->control, kind->program, NULL, err);

	config->references = 1;
	config->settings = settings;
	if (settings == NULL ||
	    (kind->has_tls &&
		load_certificate(config, home, needs_tls, err) == -1)) {
		pop3_config_release(&config);
		return NULL;
	}
	config->name = settings_text(settings, SETTING_me);
	config->timeout_ms = (int)settings_number(
				 settings, SETTING_timeoutpop3d) *
	    1000;
	config->may_be_plain = settings_flag(settings, SETTING_pop3plain);
	config->has_apop = settings_flag(settings, SETTING_pop3apop);
	config->login_delay_s = (unsigned)settings_number(
	    settings, SETTING_minlogininterval);
	return config;
}

void
pop3_config_release(struct pop3_config **config_in)
{
	struct pop3_config *config = *config_in;

	*config_in = NULL;
	if (config == NULL ||
	    __atomic_sub_fetch(&config->references, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	tls_context_free(&config->tls);
	settings_free(&config->settings);
	free(config);
}

static void
set_pop3_memory(struct pop3_server *server, const struct pop3_config *config)
{
	budget_set_limit(&server->memory,
	    settings_number(config->settings, SETTING_sessionmemory));
}

struct pop3_server *
pop3_server_new(
    const struct home *home, const struct pop3_kind *kind, struct error *err)
{
	struct pop3_server *server = xcalloc(1, sizeof(*server));
	OWN_TEXT path = layout_path(home, LAYOUT_over_quota);

	server->home = home;
	server->kind = *kind;
	pthread_mutex_init(&server->lock, NULL);
	server->config = config_new(home, kind, kind->has_tls_first, err);
	if (server->config != NULL && kind->has_store)
		server->store = store_open(home->root, err);
	if (server->config == NULL ||
	    (kind->has_store && server->store == NULL)) {
		pop3_server_free(&server);
		return NULL;
	}
	set_pop3_memory(server, server->config);
	server->over_quota = over_quota_open(path, true);
	if (kind->has_store)
		server->login = login_new(
		    server->store, home, server->config->settings);
	return server;
}

void
pop3_server_free(struct pop3_server **server_in)
{
	struct pop3_server *server = *server_in;

	if (server == NULL)
		return;
	login_free(&server->login);
	over_quota_free(&server->over_quota);
	store_free(&server->store);
	pop3_config_release(&server->config);
	pthread_mutex_destroy(&server->lock);
	free(server);
	*server_in = NULL;
}

int
pop3_server_reload(struct pop3_server *server, struct error *err)
{
	struct pop3_config *old = pop3_server_config(server);
	bool has_tls = old->tls != NULL;
	struct pop3_config *config = config_new(
	    server->home, &server->kind, has_tls, err);

	pop3_config_release(&old);
	if (config == NULL)
		return -1;
	set_pop3_memory(server, config);
	login_configure(server->login, config->settings);
	pthread_mutex_lock(&server->lock);
	old = server->config;
	server->config = config;
	pthread_mutex_unlock(&server->lock);
	pop3_config_release(&old);
	return 0;
}

struct pop3_config *
pop3_server_config(struct pop3_server *server)
{
	struct pop3_config *config;

	pthread_mutex_lock(&server->lock);
	config = server->config;
	__atomic_add_fetch(&config->references, 1, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&server->lock);
	return config;
}

void
pop3_server_enter(struct pop3_server *server, struct pop3_presence *presence)
{
	pthread_mutex_lock(&server->lock);
	LIST_INSERT_HEAD(&server->sessions, presence, in_sessions);
	pthread_mutex_unlock(&server->lock);
}

void
pop3_server_leave(struct pop3_server *server, struct pop3_presence *presence)
{
	pthread_mutex_lock(&server->lock);
	LIST_REMOVE(presence, in_sessions);
	pthread_mutex_unlock(&server->lock);
}

void
pop3_server_stop(struct pop3_server *server)
{
	struct pop3_presence *presence;

	atomic_store(&server->has_stopped, true);
	pthread_mutex_lock(&server->lock);
	LIST_FOREACH(presence, &server->sessions, in_sessions)
		shutdown(presence->fd, SHUT_RD);
	pthread_mutex_unlock(&server->lock);
}
