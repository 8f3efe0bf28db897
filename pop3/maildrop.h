/* SPDX-License-Identifier: ISC */
/*
 * What a session sees of a Maildir: the messages that were in new and cur when
 * it began, in the order in which they came.
 *
 * Nothing is locked: others deliver, read, move and remove messages meanwhile.
 * A message that another reader has moved is found again; one that is gone is
 * said to be.  Messages are removed, and new ones moved to cur, only by
 * maildrop_finish().
 *
 * A message's name in the UIDL listing is that of its file up to the ':', which
 * no reader changes and which goes with it to another folder or node; one that
 * would be no unique-id (RFC 1939 7: 1 to 70 printable characters) is hashed.
 * Its size is that which ",W=" in the name says, else ",S=" or the file's: as
 * stored, without what line ends gain on the way.
 */
#ifndef POP3_MAILDROP_H
#define POP3_MAILDROP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/budget.h"
#include "base/error.h"

enum { MAILDROP_UID_SIZE = 70 + 1 };

struct maildrop_message {
	const char *name;    /* of the file */
	uint64_t size_bytes; /* as told */
	int64_t time_s;
	bool is_new; /* in new, not in cur */
	bool is_deleted;
	bool is_gone; /* another reader has removed it */
};

struct maildrop {
	int dir_fd, new_fd, cur_fd;
	struct maildrop_message *items;
	size_t count;
	/* not deleted */
	size_t kept_count;
	uint64_t kept_bytes;
	struct arena names;
	struct budget *memory;
	uint64_t taken_bytes;
};

/*
 * The Maildir in the folder user_dir, made if it is missing.  What the list
 * takes of memory is taken from the budget.  0, or -1 with the reason.
 */
int maildrop_open(struct maildrop *maildrop, const char *user_dir,
    struct budget *memory, struct error *err);
/* The same of the Maildir at a path, which must exist. */
int maildrop_open_at(struct maildrop *maildrop, const char *path,
    struct budget *memory, struct error *err);
void maildrop_release(struct maildrop *maildrop);

/*
 * The file of a message, which the caller closes: 1; 0 it is gone, and is not
 * looked for again; -1 with the reason.
 */
int maildrop_read(
    struct maildrop *maildrop, size_t index, int *fd_out, struct error *err);

void maildrop_delete(struct maildrop *maildrop, size_t index);
void maildrop_undelete_all(struct maildrop *maildrop);
void maildrop_uid(
    const struct maildrop *maildrop, size_t index, char out[MAILDROP_UID_SIZE]);

/*
 * Removes what was deleted, from the Maildir++ quota too, and moves what was
 * new to cur.  0; -1, with the first reason, when some could
 * not be.
 */
int maildrop_finish(
    struct maildrop *maildrop, size_t *removed_out, struct error *err);

#endif
