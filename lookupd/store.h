/* SPDX-License-Identifier: ISC */
/*
 * A user store: which domains and users there are, and what is known of them.
 *
 * Every lookup answers 1 found, 0 absent, -1 could not tell (reason in err);
 * the last two are never confused: absent may bounce, could-not-tell defers.
 * A store may be used by any number of threads; it notices changed files.
 */
#ifndef LOOKUPD_STORE_H
#define LOOKUPD_STORE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/error.h"

struct store;

/* pw_gid bits of a user (reference 4.1). */
enum store_flag {
	STORE_NO_PASSWD_CHANGE = 0x01,
	STORE_NO_POP = 0x02,
	STORE_NO_WEBMAIL = 0x04,
	STORE_NO_IMAP = 0x08,
	STORE_BOUNCE_MAIL = 0x10,
	STORE_NO_RELAY = 0x20,
	STORE_NO_DIALUP = 0x40,
	STORE_POSTMASTER = 0x80,
	STORE_NO_SMTP = 0x100
};

/* A virtual domain.  Texts point into storage. */
struct store_domain {
	struct buf storage;
	const char
	    *name;       /* the real domain: an alias domain gives its target */
	const char *dir; /* absolute; holds .qmail-default and the users */
	uid_t uid;
	gid_t gid;
	bool is_alias;
};

/* A user of a virtual domain.  Texts point into storage. */
struct store_user {
	struct buf storage;
	const char *name;   /* local part, lower case */
	const char *domain; /* the real domain */
	const char *dir;    /* absolute; the Maildir is dir/Maildir */
	const char *quota;  /* "NOQUOTA", or bytes[S][,countC] */
	unsigned flags;     /* enum store_flag */
	bool is_active;
};

/* Descriptors that a cdb store keeps open at most, one for each map. */
enum { STORE_CDB_FDS = 256 };

/* The cdb store of one node; the root is home's. */
struct store *store_open_cdb(const char *home_root, struct error *err);
void store_free(struct store **store);

/*
 * A user or domain that is found may be max_age_ms old, which saves a look for
 * each lookup; 0 at first.  Other answers are always of the files as they are
 * now.  Before other threads use the store.
 */
void store_set_max_age(struct store *store, unsigned max_age_ms);

/* Domains in any spelling.  The caller releases what was found. */
int store_find_domain(struct store *store, const char *domain,
    struct store_domain *domain_out, struct error *err);
int store_find_user(struct store *store, const char *local, const char *domain,
    struct store_user *user_out, struct error *err);
void store_domain_release(struct store_domain *domain);
void store_user_release(struct store_user *user);

/* For a login.  Texts point into storage, which is wiped on release. */
struct store_password {
	struct buf storage;
	const char *name, *domain; /* as struct store_user */
	const char *dir;
	const char *hash; /* crypt(3), or "*" */
	const char
	    *scram; /* "{SCRAM-SHA-256}ITER,SALT,STORED,SERVER", or NULL */
	const char *secret; /* clear, for APOP and CRAM-MD5; or NULL */
	const char *quota;
	unsigned flags; /* the user's, or'ed with the domain's limits */
	bool is_active;
	uid_t uid;
	gid_t gid;
};

int store_find_password(struct store *store, const char *local,
    const char *domain, struct store_password *password_out, struct error *err);
void store_password_release(struct store_password *password);

/*
 * Remembers a login, and that its address may relay.  Best effort: 0, or -1,
 * which fails no login.
 */
int store_note_login(struct store *store, const char *local, const char *domain,
    const char *service, const char *ip, bool opens_relay, struct error *err);

#endif
