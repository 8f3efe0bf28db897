/* SPDX-License-Identifier: ISC */
/*
 * What the sessions of one process share.  Any thread may call these; the
 * functions lock what has to be locked.
 */
#ifndef POP3_SERVER_H
#define POP3_SERVER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/queue.h>

#include "auth/login.h"
#include "base/budget.h"
#include "base/error.h"
#include "base/tls.h"
#include "control/home.h"
#include "control/settings.h"
#include "lookupd/store.h"

/* What was read from settings and certificate: a read-only snapshot. */
struct pop3_config {
	unsigned references; /* changed by __atomic only */
	struct settings *settings;
	struct tls_context *tls; /* NULL: no certificate */
	const char *name;        /* control/me; "" without */
	int timeout_ms;
	bool may_be_plain;      /* passwords without TLS */
	bool has_apop;          /* APOP is offered */
	unsigned login_delay_s; /* minlogininterval */
};

/* What the process is for. */
struct pop3_kind {
	const char *program; /* the reader of the settings */
	bool has_store;      /* lets users in by itself */
	bool has_tls;        /* offers TLS if there is a certificate */
	bool has_tls_first;  /* RFC 8314: TLS before the greeting */
};

struct pop3_presence {
	LIST_ENTRY(pop3_presence) in_sessions;
	int fd;
};

struct pop3_server {
	const struct home *home;
	struct pop3_kind kind;
	struct store *store;
	struct login *login;
	struct over_quota *over_quota; /* to be told; or NULL */
	struct budget memory;
	atomic_bool has_stopped;
	pthread_mutex_t lock; /* for what follows */
	struct pop3_config *config;
	LIST_HEAD(, pop3_presence) sessions;
};

/* home is borrowed.  NULL, with the reason, when the settings are bad. */
struct pop3_server *pop3_server_new(
    const struct home *home, const struct pop3_kind *kind, struct error *err);
void pop3_server_free(struct pop3_server **server);

/* Reads settings and certificate again.  -1: the old ones stay. */
int pop3_server_reload(struct pop3_server *server, struct error *err);

/* The current snapshot; the caller gives it back. */
struct pop3_config *pop3_server_config(struct pop3_server *server);
void pop3_config_release(struct pop3_config **config);

/* A session is there, with a descriptor that pop3_server_stop() shuts. */
void pop3_server_enter(
    struct pop3_server *server, struct pop3_presence *presence);
void pop3_server_leave(
    struct pop3_server *server, struct pop3_presence *presence);

/*
 * Asks every session to end: it sees the end of its input when its command is
 * over.
 */
void pop3_server_stop(struct pop3_server *server);

#endif
