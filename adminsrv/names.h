/* SPDX-License-Identifier: ISC */
/* Names of domains and users as operators give them. */
#ifndef ADMINSRV_NAMES_H
#define ADMINSRV_NAMES_H

#include "base/error.h"

enum { NAMES_LOCAL_SIZE = 65, NAMES_DOMAIN_SIZE = 256 };

struct names_address {
	char local[NAMES_LOCAL_SIZE];
	char domain[NAMES_DOMAIN_SIZE];
};

/*
 * A domain name of letters, digits and '-' (RFC 5321 4.1.2, RFC 1035 2.3.4), or
 * an internationalized one; domain_out gets its one spelling (control/idn.h).
 * 0, or -1 with what is wrong.
 */
int names_domain(
    const char *domain, char domain_out[NAMES_DOMAIN_SIZE], struct error *err);

/*
 * Takes user@domain apart at the last '@', or without one user%domain at the
 * last '%', as logins do; folds the local part to lower case, and does the
 * domain as names_domain().  The local part only has to fit, so
 * that every user that exists can be named.  0, or -1 with what is wrong.
 */
int names_address(
    const char *address, struct names_address *address_out, struct error *err);

/*
 * May there be a new user of this name (lower case)?  Letters, digits and the
 * characters of the environment variable ALLOWCHARS (default "._-"), of which
 * those count that RFC 5321 4.1.2 knows in an atom, but never '/'; a dot only
 * between others, no '-' in front.  0, or -1 with what is wrong.
 */
int names_check_new_user(const char *local, struct error *err);

#endif
