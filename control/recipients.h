/* SPDX-License-Identifier: ISC */
/*
 * users/recipients: addresses that exist although no user store knows them, one
 * a line, "@DOMAIN" for all of a domain; and users/recipients.cdb, made of it.
 */
#ifndef CONTROL_RECIPIENTS_H
#define CONTROL_RECIPIENTS_H

#include "base/error.h"
#include "control/cdbmap.h"
#include "control/home.h"

/*
 * 0; -1 with errno and the reason, and the old cdb stays.  EINVAL: a line is
 * bad; ENOENT: there is no such file.
 */
int recipients_compile(const struct home *home, struct error *err);

/*
 * Is the mailbox, whose domain has its one spelling (control/idn.h), among
 * them?  1, 0, or -1 could not tell.
 */
int recipients_find(
    const struct cdbmap *map, const char *mailbox, struct error *err);

#endif
