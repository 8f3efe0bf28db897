/* SPDX-License-Identifier: ISC */
/* A user's answer in absence (autoresponder(8)). */
#ifndef ADMINSRV_VACATION_H
#define ADMINSRV_VACATION_H

#include "adminsrv/result.h"
#include "adminsrv/users.h"
#include "base/buf.h"
#include "base/error.h"

/*
 * The text of the answer, of the file, or with "+" of descriptor 0; or "-":
 * there is to be none, and *text_out is empty.  0 or -1.
 */
int vacation_read(const char *path, struct buf *text_out, struct error *err);

/*
 * Sets the answer up, in .qmail and vacation/.vacation.msg of the user's
 * folder; an empty text: takes it away.  Refused when the user has another
 * .qmail.
 */
enum admin_result vacation_put(struct users *users, const char *name,
    const struct buf *text, struct error *err);

#endif
