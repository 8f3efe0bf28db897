/* SPDX-License-Identifier: ISC */
/*
 * The Maildirs a delivery process has open, least recently used first to go.
 *
 * A user's folder is looked up again, by two stats, whenever it is asked for
 * and not in use: a Maildir that was removed, moved or replaced meanwhile, or
 * whose new or tmp was, is opened anew.  When it is opened, and once a day
 * while it is in the cache, old files in its tmp are removed
 * (mailbox/maildir_tmp.h).  Used by one thread.
 */
#ifndef MAILBOX_MAILDIR_CACHE_H
#define MAILBOX_MAILDIR_CACHE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "mailbox/maildir.h"

struct maildir_cache;

/* Descriptors that one cached Maildir keeps open. */
enum { MAILDIR_CACHE_FDS = 3 };

/*
 * A cache of at most limit Maildirs (more while more are in use), all below
 * the folder root (absolute; it may itself be reached by symbolic links) or
 * another that is added.
 * NULL, with the reason, when root cannot be opened.
 */
struct maildir_cache *maildir_cache_new(
    const char *root, size_t limit, struct error *err);

/* One more such folder, before the first Maildir is asked for.  0 or -1. */
int maildir_cache_add_root(
    struct maildir_cache *cache, const char *root, struct error *err);

/* Nothing may be in use any more. */
void maildir_cache_free(struct maildir_cache **cache);

/*
 * The Maildir in the folder user_dir (absolute, below a root), made if it is
 * missing; user_dir itself must exist.  It stays open until
 * maildir_cache_put().  NULL with the reason and errno; EXDEV when user_dir is
 * below none.
 */
struct maildir *maildir_cache_get(
    struct maildir_cache *cache, const char *user_dir, struct error *err);
void maildir_cache_put(struct maildir_cache *cache, struct maildir *maildir);

/*
 * Closes the longest unused Maildir, for one who lacks descriptors; false when
 * all are in use.
 */
bool maildir_cache_drop_oldest(struct maildir_cache *cache);

#endif
