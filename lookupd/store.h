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
#include "base/strlist.h"

struct store;

/* What may stand for an address, and for what is logged in to. */
bool store_is_ip(const char *ip);
bool store_is_service(const char *service);

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
	STORE_NO_SMTP = 0x100,
	STORE_USER_FLAG_0 = 0x200, /* for the operator's own use */
	STORE_USER_FLAG_1 = 0x400,
	STORE_USER_FLAG_2 = 0x800,
	STORE_USER_FLAG_3 = 0x1000,
	STORE_OVERRIDE_LIMITS = 0x2000 /* the domain's do not hold */
};

/* Those that a domain's limits set for its users (disable_...). */
enum {
	STORE_LIMIT_FLAGS = STORE_NO_PASSWD_CHANGE | STORE_NO_POP |
	    STORE_NO_WEBMAIL | STORE_NO_IMAP | STORE_NO_RELAY |
	    STORE_NO_DIALUP | STORE_NO_SMTP
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
	bool is_clustered; /* the cluster's, not this node's alone */
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
	/* False: he may have some, store_find_filters() tells. */
	bool has_no_filters;
	/*
	 * Of a clustered domain: the store that his folder is on, and the epoch
	 * under which it is served (docs/cluster.md).  Else "" and 0.
	 */
	const char *store;
	uint64_t store_epoch;
};

/* Where an address's mail and sessions go.  Texts point into storage. */
enum store_place_kind {
	STORE_PLACE_HERE,
	STORE_PLACE_NODE,   /* to that node */
	STORE_PLACE_MOVING, /* the user is on his way to another store */
	STORE_PLACE_NOBODY  /* no node serves the store now */
};
struct store_place {
	struct buf storage;
	enum store_place_kind kind;
	const char *user;  /* the user's name, lower case; "": it is no user's */
	const char *node;  /* "" of NOBODY, and here in a node without cluster */
	const char *store; /* "" when it is no user's, and of a local domain */
	uint64_t epoch;    /* of the store */
	const char *dir;   /* the user's folder, or "" */
};

/*
 * What a login needs.  Texts point into storage, which is wiped when it is
 * released.
 */
struct store_password {
	struct buf storage;
	const char *name, *domain; /* as of a user */
	const char *dir;
	const char *hash;   /* crypt(3), or "*" */
	const char *scram;  /* "{SCRAM-SHA-256}ITER,SALT,STORED,SERVER", or NULL */
	const char *secret; /* clear, for APOP and CRAM-MD5; or NULL */
	const char *quota;
	unsigned flags; /* the user's and, unless they override them, those of
			 * the domain's limits */
	bool may_log_in; /* active, or inactive until a login (vpasswd(5)) */
	uid_t uid;
	gid_t gid;
};

/*
 * An address of a domain that is no user's, or besides one.  Lines as in a
 * .qmail file ("&user@host", "user@host", "/dir/Maildir/", "|program"),
 * without comments and empty ones.
 */
struct store_alias {
	struct strlist lines;
};

/* Limits by number; the names, reference 4.1's, are in store_limit_names. */
enum store_limit {
#define STORE_LIMIT(name) STORE_LIMIT_##name,
#include "lookupd/limits.tbl"
#undef STORE_LIMIT
	STORE_LIMIT_COUNT
};
extern const char *const store_limit_names[STORE_LIMIT_COUNT];

struct store_limits {
	int64_t values[STORE_LIMIT_COUNT]; /* 0 unless has */
	bool has[STORE_LIMIT_COUNT];
};

/* The limit of that name; false when there is none. */
bool store_limit_find(const char *name, enum store_limit *limit_out);
/* What a domain's limits forbid its users: of enum store_flag. */
unsigned store_limits_flags(const struct store_limits *limits);

/* One filter of a user: a row of reference 4.1's vfilter. */
struct store_filter {
	int number;
	const char *name;
	int header;
	int comparison;
	const char *keyword;
	const char *destination;
	const char *bounce_action;
};

/* In the order of their numbers.  Texts point into storage. */
struct store_filters {
	struct buf storage;
	struct store_filter *items;
	size_t count;
};

/* Descriptors that a cdb store keeps open at most, one for each map. */
enum { STORE_CDB_FDS = 256 };

/*
 * The store of a node, as the setting userstore says; the root is home's.
 * With pgsql it asks lookupd, which need not be up yet.  NULL with the reason.
 */
struct store *store_open(const char *home_root, struct error *err);
/* One of them, whatever the setting says. */
struct store *store_open_cdb(const char *home_root, struct error *err);
struct store *store_open_lookup(const char *home_root, struct error *err);
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

/* As somebody wrote it, or folded by the store. */
struct store_address {
	const char *local, *domain;
};

/*
 * These users are going to be looked up at once: a store that
 * asks another process asks it for up to STORE_EXPECT_MAX of them in one
 * question.  Who is found then counts for STORE_EXPECT_MS, as of
 * store_set_max_age().  What fails shows when they are looked up.
 */
enum { STORE_EXPECT_MAX = 128, STORE_EXPECT_MS = 200 };
void store_expect_users(
    struct store *store, const struct store_address *addresses, size_t count);

/*
 * Where an address is served, found as a delivery finds its user: by the name,
 * an alias (which is served here), the name in front of a separator (those of
 * the setting userextension), or where the domain's other mail goes.  Of a
 * domain that is this node's alone: here, and nothing is asked.  0: it is
 * nobody's, and the domain has no place for such; what .qmail-default says is
 * then this node's to do.
 */
int store_find_place(struct store *store, const char *local, const char *domain,
    struct store_place *place_out, struct error *err);
void store_place_release(struct store_place *place);

void store_domain_release(struct store_domain *domain);
void store_user_release(struct store_user *user);

int store_find_password(struct store *store, const char *local,
    const char *domain, struct store_password *password_out, struct error *err);
void store_password_release(struct store_password *password);

int store_find_alias(struct store *store, const char *local, const char *domain,
    struct store_alias *alias_out, struct error *err);
void store_alias_release(struct store_alias *alias);

/* Of a user, or with local NULL of the domain; 0: none are set. */
int store_find_limits(struct store *store, const char *local,
    const char *domain, struct store_limits *limits_out, struct error *err);

/* Whether a user's filters are the file .vfilter in his folder. */
bool store_has_filter_files(const struct store *store);
int store_find_filters(struct store *store, const char *local,
    const char *domain, struct store_filters *filters_out, struct error *err);
void store_filters_release(struct store_filters *filters);

/*
 * Has the user logged in from that address, in a way that opens relaying, in
 * the last max_age_s seconds?
 */
int store_find_relay(struct store *store, const char *local, const char *domain,
    const char *ip, unsigned max_age_s, struct error *err);

/*
 * Remembers a login by a service ("smtp", "pop3", "imap"), and that the address
 * may relay.  Best effort: 0, or -1 with the reason, which is no reason to
 * refuse the login.
 */
int store_note_login(struct store *store, const char *local, const char *domain,
    const char *service, const char *ip, bool opens_relay, struct error *err);

#endif
