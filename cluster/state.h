/* SPDX-License-Identifier: ISC */
/*
 * What clusterd knows, for its threads: main, which answers on run/clusterd;
 * those that hold the leases (lease.h), read the rows (follow.h) and talk with
 * the others (bus.h); and the keeper, which looks at this node and writes the
 * files (keeper.h).  None waits for another but for the lock, under which
 * nobody waits for anything.
 *
 * Times are those of clock_boot_ms().
 */
#ifndef CLUSTER_STATE_H
#define CLUSTER_STATE_H

#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/strlist.h"
#include "cluster/identity.h"
#include "cluster/message.h"
#include "control/cluster_leases.h"
#include "control/home.h"

enum {
	STATE_UNHEARD_MS = 4000, /* a node that says nothing is away */
	/* A lease is renewed so much later than what was heard last: it lives. */
	STATE_RENEWED_MS = 2000
};

enum hold {
	HOLD_WAITING, /* no lease: not yet, or not any more */
	HOLD_HELD,
	HOLD_REFUSED /* another has the name, or we are revoked */
};
const char *hold_name(enum hold hold);

/* A node of the cluster: its row, and what was heard of it. */
struct member {
	/* as the row says */
	char *name, *host, *role, *version;
	uint16_t smtp_port, imap_port, pop3_port, bus_port;
	struct strlist pins, keys; /* good now */
	uint64_t epoch;
	bool is_revoked, is_draining;
	int64_t renewed_at_ms, lease_ends_ms; /* 0: no lease */

	/* by the bus */
	int64_t known_at_ms;    /* since when it is listened to */
	int64_t heard_at_ms;    /* 0: never */
	struct message last;    /* sequence 0: none */
	uint64_t received, missed;
	bool is_alive;
	int64_t changed_at_ms; /* is_alive */
};

struct held_store {
	char *name, *path;
	uint64_t epoch;
};

struct state {
	const struct home *home;
	char *conninfo, *listen_conninfo;
	bool has_pooler;
	char *bus_address; /* tcp://... */
	char name[CLUSTER_NAME_SIZE]; /* of this node */
	struct uuid instance;
	char boot[CLUSTER_BOOT_SIZE];
	int lease_fd, follow_fd, bus_fd; /* eventfds that wake the threads */
	atomic_bool is_stopping;

	pthread_mutex_t lock; /* for what follows */
	pthread_cond_t files; /* a file is to be written; or the end */
	struct cluster_identity identity; /* the keys may change */
	unsigned identity_version;

	enum hold hold;
	char reason[512]; /* why not HELD, or "" */
	uint64_t epoch;
	int64_t deadline_ms;
	struct held_store *stores;
	size_t store_count;

	bool has_database; /* as the lease's thread last met it */
	int64_t database_since_ms;
	char database_reason[512], database_host[128];
	int64_t clock_ahead_ms; /* of the database's */

	struct member *members; /* in the order of their names */
	size_t member_count;
	unsigned members_version; /* of rows */
	int64_t rows_at_ms;       /* 0: never read */
	size_t domain_count;
	bool has_new_nodes, has_new_domains;
	struct strlist domains, reals; /* side by side; the writer takes them */

	json_t *health; /* of this node */
	uint64_t sent, faults[MESSAGE_FAULT_COUNT];
	char bus_reason[512]; /* why it does not listen, or "" */
};

struct state *state_new(const struct home *home, struct error *err);
void state_free(struct state **state); /* after all threads */

void state_wake(int fd);
/* Takes up what woke a thread. */
void state_awake(int fd);
/* All threads are to end. */
void state_stop(struct state *state);

/* Under the lock. */
struct member *state_find_member(struct state *state, const char *name);
/*
 * A node lives that was heard, or whose lease goes on although nothing is heard
 * of it: then it is the bus that is lost.  True when that changed for any; the
 * file is to be written then.
 */
bool state_judge_members(struct state *state, int64_t now_ms);
void member_release(struct member *member);

/* What is known, as JSON: without the nodes, and one node.  Under the lock. */
json_t *state_to_json(struct state *state, int64_t now_ms);
json_t *state_member_to_json(
    const struct state *state, const struct member *member, int64_t now_ms);

#endif
