/* SPDX-License-Identifier: ISC */
/*
 * Logins that the database is to learn of later: a file of bounded size, one
 * line for each:
 *
 *	LOCAL DOMAIN SERVICE IP SECONDS RELAY
 *
 * with tabs between.  One thread.
 */
#ifndef LOOKUPD_SPOOL_H
#define LOOKUPD_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "lookupd/query.h"

struct spool;

/* NULL with the reason when it cannot be opened. */
struct spool *spool_open(
    const char *path, uint64_t max_bytes, struct error *err);
void spool_free(struct spool **spool);

/* 0, or -1 with the reason: no room, or the disk's. */
int spool_add(struct spool *spool, const struct query *login, struct error *err);
uint64_t spool_bytes(const struct spool *spool);

/*
 * Up to max of the oldest logins, whose texts are valid until the next call;
 * gives how many.  They stay until spool_drop() takes them away.
 */
size_t spool_peek(struct spool *spool, struct query *logins_out, size_t max);
int spool_drop(struct spool *spool, struct error *err);

#endif
