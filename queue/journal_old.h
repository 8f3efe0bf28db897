/* SPDX-License-Identifier: ISC */
/*
 * lock/journal of releases before journal.0: envelopes of messages whose bodies
 * are files.  Only those releases can read it; here it is told when there is
 * mail in it.
 */
#ifndef QUEUE_JOURNAL_OLD_H
#define QUEUE_JOURNAL_OLD_H

#include "base/error.h"

/* Does no envelope in it count?  0; -1 with the reason and what to do. */
int journal_old_check(
    int lock_folder, const char *queue_path, struct error *err);

/* Removes one without any.  The same results. */
int journal_old_remove(
    int lock_folder, const char *queue_path, struct error *err);

#endif
