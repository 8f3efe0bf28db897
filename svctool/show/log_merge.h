/* SPDX-License-Identifier: ISC */
/* The lines of several services' logs, in the order of their times. */
#ifndef SVCTOOL_SHOW_LOG_MERGE_H
#define SVCTOOL_SHOW_LOG_MERGE_H

#include <stdbool.h>
#include <time.h>

#include "base/error.h"
#include "base/strlist.h"
#include "svctool/show/log_reader.h"

struct log_merge;

/*
 * folder: the node's log/.  names: the services whose logs are read; when empty
 * all that have one, also those that are made while it is_following.  since: as
 * in log_reader_new().  NULL with the reason.
 */
struct log_merge *log_merge_new(const char *folder, const struct strlist *names,
    const struct timespec *since, bool is_following, struct error *err);
void log_merge_free(struct log_merge **merge);

/*
 * 1 and the earliest line that is there, valid until the next call; 0: there is
 * none (yet); -1 with the reason: that log is left out from then on.
 */
int log_merge_next(struct log_merge *merge, const char **service_out,
    struct log_entry *entry_out, struct error *err);

/* Waits until a log may have more.  0 or -1. */
int log_merge_wait(struct log_merge *merge, struct error *err);

#endif
