/* SPDX-License-Identifier: ISC */
/* What a Maildir holds, found by looking at every message. */
#ifndef MAILBOX_QUOTA_SCAN_H
#define MAILBOX_QUOTA_SCAN_H

#include "base/error.h"
#include "mailbox/quota.h"

/*
 * Adds up new and cur of the Maildir and of its Maildir++ folders (.NAME);
 * see quota_recalculate() for what is left out.  A size comes from the file
 * name (",S=123") or else from the file.  Returns 0; or -1 with the reason.
 */
int quota_scan(
    int maildir_fd, struct quota_usage *usage_out, struct error *err);

#endif
