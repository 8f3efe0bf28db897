/* SPDX-License-Identifier: ISC */
/* Many new users from a list: one line, one user. */
#ifndef ADMINSRV_BULK_H
#define ADMINSRV_BULK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "adminsrv/names.h"
#include "adminsrv/password.h"
#include "adminsrv/users.h"
#include "base/error.h"

struct bulk_user {
	struct names_address address;
	char *password;            /* NULL with BULK_NO_PASSWORD */
	struct password_data data; /* made by bulk_hash() */
	char *quota;
	bool has_quota; /* of its own: the domain's limits say nothing */
	unsigned line;
};

struct bulk {
	struct bulk_user *users;
	size_t count;
	struct place_wish wish; /* users_set_wish() */
	bool no_wait;
};

enum bulk_password {
	BULK_CLEAR,      /* user@domain password [quota] */
	BULK_KEPT,       /* the same, and the password is kept, too */
	BULK_HASHED,     /* the same, the password is a hash already */
	BULK_NO_PASSWORD /* user@domain [quota] */
};

/*
 * Reads the list; empty lines and those that begin with '#' are left out.
 * default_quota is that of lines without one, as quota_text_read() takes it.
 * 0; or -1 with the line that is wrong.  The caller releases in any case.
 */
int bulk_read(FILE *file, enum bulk_password kind, const char *default_quota,
    struct bulk *bulk_out, struct error *err);
void bulk_release(struct bulk *bulk);

/* Makes the hashes, on every processor.  0, or -1. */
int bulk_hash(struct bulk *bulk, enum bulk_password kind, const char *method,
    struct error *err);

/*
 * Sorts the list by domain and adds each domain's users in one step.  With
 * by_limits those without a quota get that of the domain's limits, if there is
 * one; base: see users_set_base(), or NULL.  When it
 * fails the error names the domain; those before it are done, and a domain is
 * done wholly or not at all.
 */
enum admin_result bulk_add(struct bulk *bulk, const char *home_root,
    const char *gecos, const char *base, bool by_limits, struct error *err);

#endif
