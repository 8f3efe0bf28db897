/* SPDX-License-Identifier: ISC */
/* When users were last there. */
#ifndef ADMINSRV_LAST_LOGIN_H
#define ADMINSRV_LAST_LOGIN_H

#include <stdint.h>

#include "adminsrv/users.h"
#include "base/error.h"
#include "control/home.h"

/*
 * Seconds since 1970 of the user's last login by any service, or when the
 * Maildir's folder cur last changed, which reading mail does, if that is
 * later: a user is never taken for older than either says.  Of whom no login is
 * known: when the user was added, or the Maildir last changed.  0: nothing is
 * known.  0 or -1: could not tell.
 */
int last_login(const struct home *home, struct users *users,
    const struct vpasswd_entry *entry, int64_t *at_s_out, struct error *err);

/*
 * Tells each of the user's last logins: by service, "relay" being the addresses
 * that may relay by one.  0 or -1.
 */
int last_login_each(const struct home *home, struct users *users,
    const char *name,
    void (*tell)(
	const char *service, const char *ip, int64_t at_s, void *context),
    void *context, struct error *err);

#endif
