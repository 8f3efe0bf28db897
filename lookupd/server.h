/* SPDX-License-Identifier: ISC */
/*
 * lookupd's loop: clients, their questions, what is remembered, and what is
 * asked of the database meanwhile.
 */
#ifndef LOOKUPD_SERVER_H
#define LOOKUPD_SERVER_H

#include "base/loop.h"
#include "lookupd/database.h"

struct lookup_server;

struct lookup_server_options {
	size_t cache_bytes;
	int64_t ttl_ms, absent_ttl_ms;
	int wait_ms;        /* a question waits for the database at most */
	const char *folder; /* of the snapshot */
	/* Who may ask, besides root and this user; and who for passwords. */
	uid_t peers[5];
	size_t peer_count, password_peer_count; /* the first ones */
};

/*
 * Serves those who connect to listen_fd, which stays the caller's.  Takes the
 * database; NULL, with the reason, leaves it.
 */
struct lookup_server *lookup_server_new(struct loop *loop,
    struct database *database, int listen_fd,
    const struct lookup_server_options *options, struct error *err);
/* Questions that are open are not answered.  Before loop_free(). */
void lookup_server_free(struct lookup_server **server);

/* How long the loop may wait: -1 for ever.  After each wait: the tick. */
int lookup_server_timeout_ms(const struct lookup_server *server);
void lookup_server_tick(struct lookup_server *server);

/* Forgets all that is remembered. */
void lookup_server_clear(struct lookup_server *server);

/* Its figures, as JSON, without a newline. */
void lookup_server_stats(struct lookup_server *server, struct buf *out);

#endif
