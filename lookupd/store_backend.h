/* SPDX-License-Identifier: ISC */
/*
 * What a user store is made of; for the backends only (store_cdb.c, and a
 * database's beside it).
 *
 * store.c answers for what can be no name in any store, folds case and gives
 * domains their one spelling (control/idn.h), so a backend gets texts in lower
 * case of 1 to STORE_LOCAL_MAX (local part) and 1 to STORE_DOMAIN_MAX bytes. It
 * fills the result, whose storage is empty, only when it answers 1; whatever it
 * leaves in storage otherwise is released by store.c.
 */
#ifndef LOOKUPD_STORE_BACKEND_H
#define LOOKUPD_STORE_BACKEND_H

#include "lookupd/store.h"

enum { STORE_LOCAL_MAX = 64, STORE_DOMAIN_MAX = 255 }; /* RFC 5321 4.5.3.1 */

/* How much a service's name and an address take, with their NUL. */
enum { STORE_SERVICE_SIZE = 16, STORE_IP_SIZE = 64 };

struct store_login {
	const char *service; /* letters and digits, at least one */
	const char *ip;      /* digits, letters, '.' and ':' */
	bool opens_relay;
};

struct store_backend {
	int (*find_domain)(struct store *store, const char *domain,
	    struct store_domain *domain_out, struct error *err);
	int (*find_user)(struct store *store, const char *local,
	    const char *domain, struct store_user *user_out, struct error *err);
	/* At most STORE_EXPECT_MAX.  NULL: it asks nobody else. */
	void (*expect_users)(struct store *store,
	    const struct store_address *addresses, size_t count);
	/* NULL: all that it has is here. */
	int (*find_place)(struct store *store, const char *local,
	    const struct store_domain *domain, struct store_place *place_out,
	    struct error *err);
	int (*find_password)(struct store *store, const char *local,
	    const char *domain, struct store_password *password_out,
	    struct error *err);
	int (*find_alias)(struct store *store, const char *local,
	    const char *domain, struct store_alias *alias_out,
	    struct error *err);
	/* local NULL: the domain's.  *limits_out is zero. */
	int (*find_limits)(struct store *store, const char *local,
	    const char *domain, struct store_limits *limits_out,
	    struct error *err);
	int (*find_filters)(struct store *store, const char *local,
	    const char *domain, struct store_filters *filters_out,
	    struct error *err);
	int (*find_relay)(struct store *store, const char *local,
	    const char *domain, const char *ip, unsigned max_age_s,
	    struct error *err);
	int (*note_login)(struct store *store, const char *local,
	    const char *domain, const struct store_login *login,
	    struct error *err);
	bool has_filter_files; /* store_has_filter_files() */
	void (*destroy)(struct store *store); /* frees the store too */
};

/* The first member of each backend's own struct. */
struct store {
	const struct store_backend *backend;
	unsigned max_age_ms;
};

#endif
