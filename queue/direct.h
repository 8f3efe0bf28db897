/* SPDX-License-Identifier: ISC */
/*
 * Puts a message into a queue by writing its files, as qmail-queue always did:
 * for when no qmail-send answers (docs/queue.md, S1 to S4).
 */
#ifndef QUEUE_DIRECT_H
#define QUEUE_DIRECT_H

#include <stddef.h>

#include "base/error.h"

struct direct;

/*
 * Results are enum qq; *direct_out is set with QQ_OK only.  A queue that is
 * neither ours nor root's, or that others may write to, is not used
 * (QQ_CHDIR), and below it no symbolic link is followed: in a set-user-id
 * program the path is the caller's.
 */
int direct_open(
    const char *queue_path, struct direct **direct_out, struct error *err);
int direct_write(
    struct direct *direct, const char *data, size_t length, struct error *err);
/* record: a whole todo record.  Durable with QQ_OK.  Ends it in any case. */
int direct_commit(struct direct **direct, const char *record, size_t length,
    struct error *err);
void direct_abort(struct direct **direct);

#endif
