/* SPDX-License-Identifier: ISC */
/*
 * Asks lookupd, and waits for the answers.
 *
 * Any thread may ask; each uses a connection of its own meanwhile, and a few
 * stay open for the next.  A lookupd that restarts is waited for.
 */
#ifndef LOOKUPD_LOOKUP_CLIENT_H
#define LOOKUPD_LOOKUP_CLIENT_H

#include "lookupd/query.h"

struct lookup_client;

struct lookup_client *lookup_client_new(const char *socket_path);
/* When nobody asks any more. */
void lookup_client_free(struct lookup_client **client);

struct lookup_reply {
	struct query_answer *answers; /* one for each question */
	size_t count;
	struct buf storage; /* their records */
};

/*
 * 0 and *reply_out, which the caller releases: a UNKNOWN among them has its
 * reason.  -1, with the reason, when lookupd is not there or does not answer
 * within timeout_ms.  No more than QUERY_COUNT_MAX questions.
 */
int lookup_client_ask(struct lookup_client *client,
    const struct query *queries, size_t count, int timeout_ms,
    struct lookup_reply *reply_out, struct error *err);
/* Wipes it: there may be passwords in it. */
void lookup_reply_release(struct lookup_reply *reply);

#endif
