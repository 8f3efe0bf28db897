/* SPDX-License-Identifier: ISC */
/*
 * What the sessions of adminsrv share: who logs in, and what is run for whom.
 * Any thread may call these.
 */
#ifndef ADMINSRV_SERVER_SERVER_H
#define ADMINSRV_SERVER_SERVER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "adminsrv/server/admins.h"
#include "adminsrv/server/runner.h"
#include "auth/throttle.h"
#include "base/error.h"
#include "base/tls.h"
#include "control/home.h"
#include "control/settings.h"

/* A read-only snapshot. */
struct admin_config {
	unsigned references; /* changed by __atomic only */
	struct settings *settings;
	struct tls_context *tls;
	int timeout_ms; /* of a command */
};

struct admin_server {
	const struct home *home;
	struct runner *runner;
	struct admins *admins;
	struct throttle *throttle;
	char *node; /* its name, for the audit */
	pthread_mutex_t lock; /* for what follows */
	struct admin_config *config;
};

extern const char admin_program[];

/*
 * home is borrowed; the runner is taken, also when it fails.  NULL, with the
 * reason, when the settings are bad.
 */
struct admin_server *admin_server_new(
    const struct home *home, struct runner *runner, struct error *err);
void admin_server_free(struct admin_server **server);
/* Reads settings and certificate again.  -1: the old ones stay. */
int admin_server_reload(struct admin_server *server, struct error *err);

/* The path of the certificate chain and key; the caller frees. */
char *admin_server_certificate(const struct home *home);

struct admin_config *admin_server_config(struct admin_server *server);
void admin_config_release(struct admin_config **config);

enum admin_login {
	ADMIN_LOGIN_OK,
	ADMIN_LOGIN_REFUSED, /* unknown, disabled, locked out, or wrong */
	ADMIN_LOGIN_UNKNOWN  /* could not tell, with the reason */
};

/* One who has logged in. */
struct admin_session {
	struct admin admin;
	char remote_ip[64];
	int64_t age_ms; /* over 0: the database is away; how old it all is */
};

/*
 * After ADMIN_LOGIN_OK the caller releases session_out->admin.  A failure is
 * held back, for longer with each one.
 */
enum admin_login admin_server_login(struct admin_server *server,
    const char *name, const char *password, const char *remote_ip,
    struct admin_session *session_out, struct error *err);

/* What is to be run, looked at before. */
struct admin_order {
	const struct admin_session *session;
	int number;
	char *const *argv;
	/* of admin_server_admit() */
	bool is_change;
	int64_t started_ms;
};

enum admin_verdict {
	ADMIN_ADMITTED,
	ADMIN_ABSENT,    /* this node has no such program */
	ADMIN_DENIED,    /* no right */
	ADMIN_UNCHANGING /* a change, while the database is away */
};

/* The reason is set unless it is admitted; a change that is not is audited. */
enum admin_verdict admin_server_admit(
    struct admin_server *server, struct admin_order *order, struct error *err);
/* What became of it: a change is audited, each is logged. */
void admin_server_done(
    struct admin_server *server, const struct admin_order *order, int code);

#endif
