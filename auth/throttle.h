/* SPDX-License-Identifier: ISC */
/*
 * Failed logins, counted for each address and for each name: each one makes the
 * next answer slower, and too many lock the address or the name out for a time.
 *
 * Names need not exist, so that what is locked tells nothing.  IPv6 addresses
 * count by their /64.  An address from which a name has logged in not long ago
 * is not locked out for what others did to the name.  The table is bounded:
 * when it is full, what has failed least and is oldest is forgotten.
 *
 * The table is a file, which the processes of a node share: all count as one,
 * and a restart forgets nothing.  Keys of entries are hashes with the file's
 * secret; names and addresses are not in it.  Emptying it forgets everything,
 * but for the secret while somebody has it open.  Its disk being full, or a
 * process that is stopped in the middle of a change, lose counts, and hold
 * nobody up for more than THROTTLE_LOCK_WAIT_MS.
 *
 * Times are of clock_wall_ms(); one that was set back locks nobody for longer.
 * Any thread.
 */
#ifndef AUTH_THROTTLE_H
#define AUTH_THROTTLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "control/settings.h"

struct throttle;

struct throttle_limits {
	unsigned per_ip;   /* failures until a lock; 0: no lock */
	unsigned per_name; /* ... */
	int64_t lock_ms;   /* how long, and until failures are forgotten */
	int64_t delay_ms;  /* for the first failure; more for more */
};

/* As the settings of logins say. */
struct throttle_limits throttle_limits_of(const struct settings *settings);

enum {
	THROTTLE_ENTRIES = 64 * 1024,
	THROTTLE_DELAYS_MAX = 4,
	THROTTLE_SECRET_SIZE = 32,
	THROTTLE_LOCK_WAIT_MS = 100
};

/*
 * A table for about that many addresses and names (32 bytes each), of this
 * process alone.
 */
struct throttle *throttle_new(
    size_t entries, const struct throttle_limits *limits);
/*
 * From now on the table in that file, which must be there and may be empty; all
 * who share it have the same number of entries.  Before other threads use it.
 * 0, or -1 with the reason, and the table is what it was.
 */
int throttle_share(
    struct throttle *throttle, const char *path, struct error *err);
void throttle_free(struct throttle **throttle);
void throttle_set_limits(
    struct throttle *throttle, const struct throttle_limits *limits);

/*
 * An ip that is NULL below is one that does not count: that of a host behind
 * which many users are.
 */

/* Random, and the same for all who share the table. */
void throttle_secret(
    struct throttle *throttle, unsigned char secret_out[THROTTLE_SECRET_SIZE]);

/* How long they are still locked out; 0: they may try. */
int64_t throttle_locked_ms(struct throttle *throttle, const char *ip,
    const char *name, int64_t now_ms);

/*
 * They failed: how long the answer is to be held back, one to
 * THROTTLE_DELAYS_MAX times delay_ms.
 */
int64_t throttle_fail(struct throttle *throttle, const char *ip,
    const char *name, int64_t now_ms);

/* They succeeded: what failed for the name is forgotten. */
void throttle_pass(struct throttle *throttle, const char *ip, const char *name,
    int64_t now_ms);

/*
 * The service's last login of the name was not interval_ms ago: for how long
 * that is so; else 0, and this is the last one now.
 */
int64_t throttle_interval_ms(struct throttle *throttle, const char *service,
    const char *name, int64_t interval_ms, int64_t now_ms);

#endif
