/* SPDX-License-Identifier: ISC */
/* Settings that still name a domain which was removed. */
#ifndef ADMINSRV_LEFTOVER_H
#define ADMINSRV_LEFTOVER_H

#include "base/buf.h"
#include "base/error.h"
#include "control/home.h"

/*
 * Puts a line with file, domain and remedy behind what buf holds for each
 * control file that names the domain, or a mailbox of it.  0, or -1 when a file
 * cannot be read.
 */
int leftover_find(const struct home *home, const char *domain,
    struct buf *lines, struct error *err);

#endif
