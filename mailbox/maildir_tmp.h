/* SPDX-License-Identifier: ISC */
/* What killed deliveries leave in a Maildir's tmp. */
#ifndef MAILBOX_MAILDIR_TMP_H
#define MAILBOX_MAILDIR_TMP_H

#include <time.h>

enum { MAILDIR_TMP_AGE_S = 36 * 3600, MAILDIR_TMP_NAMES_MAX = 100 };

/*
 * Removes the files in tmp that nobody has touched for 36 hours, as the
 * Maildir convention asks of readers and writers.  now is the wall clock.  At
 * most 100 names are looked at: the rest, and any trouble, waits for the next
 * time.
 */
void maildir_tmp_clean(int tmp_fd, time_t now);

#endif
