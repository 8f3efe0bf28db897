/* SPDX-License-Identifier: ISC */
/*
 * What a queue's journal holds, for those who only look: queue tools, svctool,
 * queue-fix.  While a qmail-send works a view may miss what comes, and show
 * what has just ended.
 */
#ifndef QUEUE_JOURNAL_VIEW_H
#define QUEUE_JOURNAL_VIEW_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "queue/journal.h"

struct journal_view {
	struct journal_message *messages; /* those that count, oldest first */
	size_t count;
	bool is_damaged; /* something that counted cannot be read, and is not
			  * kept aside yet; or, while a qmail-send works, has
			  * just been written */
	struct buf data; /* where texts point to */
};

/*
 * A journal that is not there is an empty one.  0, and the caller releases; or
 * -1 with the reason, also when lock/journal of an older release holds mail.
 */
int journal_view_open(const struct queue_dir *dir,
    struct journal_view *view_out, struct error *err);
void journal_view_release(struct journal_view *view);

/* Is a file of lock/ called so kept for people? */
bool queue_is_kept(const char *name);

#endif
