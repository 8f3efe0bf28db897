/* SPDX-License-Identifier: ISC */
/* A user's quota as operators give it. */
#ifndef ADMINSRV_QUOTA_TEXT_H
#define ADMINSRV_QUOTA_TEXT_H

#include "base/buf.h"
#include "base/error.h"

/*
 * Reads NOQUOTA, or a size and a count, either of which may be missing:
 *
 *	size [k|m|g] [S]  ","  count C        50M   5000000S,1000C   1000C
 *
 * k, m, g are 2^10, 2^20, 2^30, in either case.  Puts the Maildir++ form
 * (5000000S,1000C or NOQUOTA) into quota_out.  0, or -1 with what is wrong.
 */
int quota_text_read(const char *text, struct buf *quota_out, struct error *err);

#endif
