/* SPDX-License-Identifier: ISC */
/* What a service's log got since a moment. */
#ifndef SVCTOOL_SHOW_LOG_TAIL_H
#define SVCTOOL_SHOW_LOG_TAIL_H

#include <sys/types.h>

#include "base/buf.h"
#include "svctool/node.h"

/* Where a log ended; zero means that there was none. */
struct log_mark {
	dev_t device;
	ino_t inode;
	off_t size;
};

void log_mark_set(
    const struct node *node, const char *name, struct log_mark *mark_out);

/*
 * Puts the last lines (at most LOG_TAIL_LINES of them) that came after the mark
 * behind what buf holds; nothing when none came.  A file that multilog has put
 * aside meanwhile is not looked for.
 */
enum { LOG_TAIL_LINES = 8 };
void log_tail(const struct node *node, const char *name,
    const struct log_mark *mark, struct buf *buf);

/*
 * The last line of the log, without its time and with '?' for what cannot be
 * printed; "" when there is none.  The caller frees.
 */
char *log_last_line(const struct node *node, const char *name);

#endif
