/* SPDX-License-Identifier: ISC */
/*
 * One message for many users, kept once: each Maildir has a name of the same
 * file, where filesystems allow it.  Who removes the message removes a name.
 */
#ifndef MAILBOX_BULLETIN_H
#define MAILBOX_BULLETIN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct bulletin;

/*
 * Reads the message from the file at path.  Users' folders are below root.
 * name: what tells it apart, so that nobody gets it twice (letters, digits,
 * '-', '_'; NULL: a new one); host: the node's, for names of files.  NULL with
 * the reason.
 */
struct bulletin *bulletin_open(const char *path, const char *root,
    const char *name, const char *host, struct error *err);
void bulletin_close(struct bulletin **bulletin);

/*
 * Puts it into new/ of the Maildir in user_dir, durably.  1; 0 when it is there
 * already, in new or cur; -1 with the reason.  The quota gets to know it.  The
 * first name on a filesystem is a copy, the others are names of that.
 */
int bulletin_put(
    struct bulletin *bulletin, const char *user_dir, struct error *err);

#endif
