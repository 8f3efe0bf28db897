/* SPDX-License-Identifier: ISC */
/*
 * What is on disk of a message in S5 (docs/queue.md):
 *
 *	info         = "F" sender NUL ["H" header lines NUL]
 *	local/remote = 1*(mark address NUL)
 *	mark         = "T" to be done / "D" done
 *
 * Nothing in the bytes is trusted; results point into them.
 */
#ifndef QUEUE_REMEMBERED_H
#define QUEUE_REMEMBERED_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

struct remembered {
	const char *address;
	size_t offset; /* of its mark, in the list */
	bool is_done;
};

/*
 * The recipient at *at (0: the first) of a local/ID or remote/ID; *at becomes
 * the next one's.  1; 0 when there is no more; -1 with the reason when the list
 * is damaged.  One that is empty is: a list is never written so, and it must
 * not pass for one whose recipients are all done.
 */
int remembered_next(const char *list, size_t length, size_t *at,
    struct remembered *recipient_out, struct error *err);

/*
 * The text of the first record of info/ID that has this type; NULL when there
 * is none, or when the last one is cut off: its text would be another one.
 */
const char *remembered_field(const char *info, size_t length, char type);

#endif
