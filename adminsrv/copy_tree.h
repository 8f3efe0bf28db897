/* SPDX-License-Identifier: ISC */
/* A folder copied to another filesystem. */
#ifndef ADMINSRV_COPY_TREE_H
#define ADMINSRV_COPY_TREE_H

#include "adminsrv/progress.h"
#include "base/error.h"

/*
 * Makes the folder to (made if it is missing) hold what from does, with modes
 * and times, and nothing else; what is there already is not copied again.
 * Links are copied as links.  Counts files in progress, which may be NULL.  Not
 * durable yet.  0 or -1.
 */
int copy_tree(const char *from, const char *to, struct progress *progress,
    struct error *err);

/*
 * Copies what came into new of a Maildir's folders in from, after it was copied
 * to to: by deliveries that had it open.  Waits some seconds for those that are
 * under way.  0 or -1.
 */
int copy_late_mail(const char *from, const char *to, struct error *err);

#endif
