/* SPDX-License-Identifier: ISC */
/*
 * What the sessions of one process share.  Any thread may call these; the
 * functions lock what has to be locked.
 */
#ifndef SMTP_SERVER_H
#define SMTP_SERVER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "auth/login.h"
#include "base/budget.h"
#include "base/error.h"
#include "control/cdb_cache.h"
#include "control/cluster_nodes.h"
#include "control/home.h"
#include "lookupd/store.h"
#include "queue/sink.h"
#include "smtp/config.h"

/* What the command line chose, for the life of the process. */
struct smtp_kind {
	bool is_lmtp;       /* RFC 2033 */
	bool is_qmtp;       /* packages (package.h) */
	bool is_qmqp;       /* ... one in a session */
	bool is_submission; /* RFC 6409: clients that may relay, only */
	bool is_odmr;       /* RFC 2645: mail is given away, by ATRN */
	bool is_node;       /* for the other nodes of the cluster alone */
	bool has_tls_first; /* RFC 8314: TLS before the greeting */
	int queue_wait_ms;  /* RCPT, for queues that are all down */
	/* Of those who log in, another program knows the passwords: its
	 * arguments, as of checkpassword.h; NULL: the store does. */
	char *const *program;
};

/* The program's name for log lines: that of the protocol. */
const char *smtp_kind_program(const struct smtp_kind *kind);
/* Does the server say something before the client does, in plain? */
bool smtp_kind_greets(const struct smtp_kind *kind);

/* As long as a restart of the queues takes. */
enum { SMTP_QUEUE_WAIT_MS = 10 * 1000 };

/*
 * Access rules that were replaced, and users and domains that were removed or
 * changed, may serve this long.  A new user or domain serves at once.
 */
enum { SMTP_MAX_AGE_MS = 1000 };

struct smtp_presence;

struct smtp_server {
	const struct home *home;
	struct smtp_kind kind;
	struct sink_pool *sinks;
	struct store *store;
	struct login *login; /* NULL: nobody logs in by this protocol */
	struct cdb_cache *recipients; /* for users/recipients.cdb */
	char *recipients_path;
	struct cluster_nodes *nodes;  /* with is_node */
	struct over_quota *over_quota; /* NULL: nobody is known to be */
	struct budget memory;
	atomic_ulong qp;
	atomic_bool has_stopped;
	pthread_mutex_t lock; /* for what follows */
	struct smtp_config *config;
	LIST_HEAD(, smtp_presence) sessions;
};

/* home is borrowed.  NULL, with the reason, when the settings are bad. */
struct smtp_server *smtp_server_new(
    const struct home *home, const struct smtp_kind *kind, struct error *err);
void smtp_server_free(struct smtp_server **server);

/* Reads settings, rules and certificate again.  -1: the old ones stay. */
int smtp_server_reload(struct smtp_server *server, struct error *err);

/* The current snapshot; the caller gives it back: smtp_config_release(). */
struct smtp_config *smtp_server_config(struct smtp_server *server);

/*
 * Memory that sessions may use in all (sessionmemory).  False, and nothing is
 * taken, when that is used up or the process is short of memory: then nothing
 * new is to be begun.  What was taken is given back.
 */
bool smtp_server_take_memory(struct smtp_server *server, uint64_t bytes);
void smtp_server_give_memory(struct smtp_server *server, uint64_t bytes);

/* The number of a message ("qp"), not used twice by this process. */
unsigned long smtp_server_next_qp(struct smtp_server *server);

/*
 * A session's place in the list of those that smtp_server_stop() wakes.  The
 * owner zeroes it, sets fd (a socket), and calls enter and leave, in between
 * wait before each blocking read between transactions and resume after it.
 */
struct smtp_presence {
	LIST_ENTRY(smtp_presence) in_sessions;
	int fd;
	atomic_bool is_waiting;
};

void smtp_server_enter(
    struct smtp_server *server, struct smtp_presence *presence);
void smtp_server_leave(
    struct smtp_server *server, struct smtp_presence *presence);
/* False when the server has stopped: do not read, say goodbye. */
bool smtp_server_wait(
    struct smtp_server *server, struct smtp_presence *presence);
void smtp_server_resume(struct smtp_presence *presence);

/*
 * Asks every session to end: those between transactions see the end of their
 * input now, the others when their transaction is over.
 */
void smtp_server_stop(struct smtp_server *server);

#endif
