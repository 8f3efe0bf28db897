/* SPDX-License-Identifier: ISC */
/*
 * Virtual domains of a node: made, removed, given alias names.
 *
 * Each function holds the node's lock (users/.lock), changes one file after
 * the other, each durably, and tells the running daemons.  The order is such
 * that a crash in between leaves a node that works as before, or as after, for
 * every message; running the same again ends what was begun.
 */
#ifndef ADMINSRV_DOMAIN_H
#define ADMINSRV_DOMAIN_H

#include <stdbool.h>

#include "adminsrv/placement.h"
#include "adminsrv/result.h"
#include "base/buf.h"
#include "base/error.h"
#include "control/home.h"

struct domain_options {
	const char *password_hash;                    /* of the postmaster */
	const char *password_scram, *password_secret; /* or NULL */
	const char *quota;        /* of the postmaster, as quota_text_read() */
	const char *base_path;    /* of users' folders; NULL: as it is */
	const char *catch_all;    /* address of absent users; NULL: as it is */
	unsigned users_per_level; /* 0: as it is, or the standard */
	bool keeps_postmaster;    /* one that is there keeps the password */
	/* Of a clustered domain: where the postmaster is, waited for or not. */
	struct place_wish wish;
	bool no_wait;
};

/*
 * Makes a domain (a checked name).  The folder is first and rcpthosts last: no
 * mail is accepted before it can be delivered.  A folder with users that
 * domain_remove() kept is taken over.  Refused when all is there already.
 */
enum admin_result domain_add(const struct home *home, const char *domain,
    const struct domain_options *options, struct error *err);

/*
 * Is the name a virtual domain, or an alias domain, with all that one has: the
 * folder, the users and the lines of every file?  1; 0; -1 with the reason.
 */
int domain_is_complete(
    const struct home *home, const char *domain, struct error *err);

/*
 * Removes a domain with its alias domains, or just the alias domain if it is
 * one.  rcpthosts is first, and the mail last; keep_mail leaves the folder.
 * After ADMIN_OK left has a line for each setting that still names one of them
 * (see leftover.h).  Of a clustered domain no_wait leaves the mail's end to the
 * nodes that have it.
 */
enum admin_result domain_remove(const struct home *home, const char *domain,
    bool keep_mail, bool no_wait, struct buf *left, struct error *err);

/*
 * Gives a domain, or an alias domain, another name.  Of a domain its folder is
 * renamed, and its alias domains are the new one's; mail for its users waits
 * meanwhile, and for the old name bounces afterwards.  left as domain_remove().
 */
enum admin_result domain_rename(const struct home *home, const char *domain,
    const char *new_name, struct buf *left, struct error *err);

/* Makes alias another name of the virtual domain real. */
enum admin_result domain_add_alias(const struct home *home, const char *real,
    const char *alias, struct error *err);

#endif
