/* SPDX-License-Identifier: ISC */
/* What the parts of a repair share: private to queue/fix*.c. */
#ifndef QUEUE_FIX_PRIVATE_H
#define QUEUE_FIX_PRIVATE_H

#include <stdint.h>

#include "control/layout.h"
#include "queue/dir.h"
#include "queue/fix.h"
#include "queue/idmap.h"

enum { FIX_PATH_SIZE = 128 };

struct fix {
	const char *path;
	const struct fix_options *options;
	int root;
	int changes;
	bool is_begun;    /* QUEUE_FIXING is there, and says how */
	bool is_by_inode; /* as asked, or as an interrupted one began */
	uid_t caller_uid;
	gid_t caller_gid, *groups;
	int group_count;
	struct error *err;
	/* by the name that files have, N or fix.N: the message's inode */
	struct idmap by_name, by_fix_name;
	/* inodes of messages, for those already called fix.INODE */
	struct idmap by_inode;
};

/* -- fix_step.c; names are paths inside the queue */

/* A line for a change, that is made or would be; the fault is its reason. */
void fix_say(
    struct fix *fix, const char *verb, const char *what, const char *fault);
/* The same for a file that goes, as its message is not there. */
void fix_say_orphan(struct fix *fix, const char *what, const char *fault);
/* The same for what is left alone, since it is no such thing. */
void fix_leave(struct fix *fix, const char *no_what, const char *what);
/* A line for what stays as it is. */
void fix_tell(struct fix *fix, const char *text, const char *what);
/* Were as many files of the folder, or numbered one, looked at as shall be? */
bool fix_has_enough(const struct fix *fix, const char *folder, unsigned files);
/* -1, with errno's reason. */
int fix_failed(struct fix *fix, const char *verb, const char *what);

/* Opens a folder of the queue, following no link on the way; -1 with errno. */
int fix_open_folder(struct fix *fix, const char *name);
/* queue_list() of a folder, which is opened so. */
int fix_list(
    struct fix *fix, const char *name, queue_visit *visit, void *context);
/*
 * From here on as the queue's owner, or as the caller again; nothing when the
 * caller is not root.  0 or -1.
 */
int fix_as_owner(struct fix *fix);
int fix_as_caller(struct fix *fix);

/*
 * Is there a repair that was interrupted, and by inodes?  To be asked first.
 * 0 or -1.
 */
int fix_resume(struct fix *fix);
/*
 * Before the first change that makes messages lie elsewhere than a qmail-send
 * would look: until fix_end() none may work here.  0 or -1.
 */
int fix_begin(struct fix *fix);
/* All is in its place, and synced. */
int fix_end(struct fix *fix);
/* Gives it the mode of its row. */
int fix_mode(struct fix *fix, enum layout_id id, const char *name);
int fix_rename(struct fix *fix, const char *from, const char *to);
int fix_unlink(struct fix *fix, const char *name, int flags);

/* -- fix_owner.c */

/* Gives one thing to the owner, if it is there.  0 or -1. */
int fix_owner(struct fix *fix, const char *name);
/* And all that is in a queue. */
int fix_owners(struct fix *fix);

/* -- fix_journal.c */

/*
 * Fresh messages that a killed qmail-send left get their files, and what an
 * older release left goes.  All folders are there.  0 or -1.
 */
int fix_journal(struct fix *fix);

/* -- fix_message.c */

/* Reads ID or fix.INODE; which one is told. */
bool fix_read_name(const char *name, uint64_t *id_out, bool *is_fix_out);
/* Each message's files get their names, in their folders.  0 or -1. */
int fix_messages(struct fix *fix);

#endif
