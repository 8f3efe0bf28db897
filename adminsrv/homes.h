/* SPDX-License-Identifier: ISC */
/*
 * Where folders of users are: the domain's own folder, or a base path on
 * another filesystem, BASE/PREFIX/DOMAIN with IndiMail's prefix of the name's
 * first letter (A2E F2K L2P Q2S T2Zsym); in either, vpopmail's levels
 * (adminsrv/dirhash.h).
 */
#ifndef ADMINSRV_HOMES_H
#define ADMINSRV_HOMES_H

#include "base/buf.h"
#include "base/error.h"

/*
 * The base path of a domain's new users: base if that is not NULL, else the
 * first line of .base_path in the domain's folder, else the variable
 * BASE_PATH; "" for the domain's own folder.  0, or -1: not an absolute path,
 * or not in a folder where deliveries may go (setting homeroots).
 */
int homes_base(const char *control_dir, const char *domain_dir,
    const char *base, struct buf *base_out, struct error *err);

/* May a user's folder be there?  0, or -1 with the reason. */
int homes_check(const char *control_dir, const char *domain_dir,
    const char *path, struct error *err);

/* "A2E" and so on, of a user's name. */
const char *homes_prefix(const char *name);

#endif
