/* SPDX-License-Identifier: ISC */
/* A user's quota as operators give it. */
#ifndef ADMINSRV_QUOTA_TEXT_H
#define ADMINSRV_QUOTA_TEXT_H

#include "base/buf.h"
#include "base/error.h"

/*
 * Reads what quota_read() does, but for what may be a mistake ("" and "0"), and
 * puts the Maildir++ form (5000000S,1000C or NOQUOTA) into quota_out.  0, or -1
 * with what is wrong.
 */
int quota_text_read(const char *text, struct buf *quota_out, struct error *err);

/*
 * The same of a quota that may be more or less than the old one: "+10M" and
 * "-10M" change its bytes.  0 or -1.
 */
int quota_text_change(const char *text, const char *old, struct buf *quota_out,
    struct error *err);

#endif
