/* SPDX-License-Identifier: ISC */
/*
 * The last logins of users and the addresses that may relay by them, of a cdb
 * store: one text file for each user, users/logins/DOMAIN/XX/USER in the node,
 *XX a hash of the name.  Its lines are
 *
 *	SERVICE IP TIME
 *
 * TIME in seconds since 1970; SERVICE "relay" opens relaying for the address.
 * A crash may cost what was noted last.
 */
#ifndef LOOKUPD_LOGINS_H
#define LOOKUPD_LOGINS_H

#include <stdint.h>

#include "lookupd/store_backend.h"

/* folder is the node's users/logins.  0 or -1. */
int logins_note(const char *folder, const char *local, const char *domain,
    const struct store_login *login, int64_t now_s, struct error *err);

/* As store_find_relay(). */
int logins_find_relay(const char *folder, const char *local, const char *domain,
    const char *ip, int64_t since_s, struct error *err);

/* Tells each line.  1, 0 when nothing is known of the user, or -1. */
int logins_each(const char *folder, const char *local, const char *domain,
    void (*tell)(
	const char *service, const char *ip, int64_t at_s, void *context),
    void *context, struct error *err);

/*
 * What is known of a user goes to another name, or that of all of a domain.
 * Best effort: a crash or lacking rights may cost it.
 */
void logins_rename(const char *folder, const char *domain, const char *local,
    const char *new_local);
void logins_rename_domain(
    const char *folder, const char *domain, const char *new_domain);

/* Removes lines that open relaying and are older: for all users.  0 or -1. */
int logins_clear_relays(const char *folder, int64_t before_s,
    uint64_t *count_out, struct error *err);

#endif
