/* SPDX-License-Identifier: ISC */
/* What the parts of a repair share: private to queue/fix*.c. */
#ifndef QUEUE_FIX_PRIVATE_H
#define QUEUE_FIX_PRIVATE_H

#include <stdint.h>
#include <sys/stat.h>

#include "queue/dir.h"
#include "queue/fix.h"
#include "queue/idmap.h"

enum { FIX_PATH_SIZE = 128 };

struct fix {
	const char *path;
	const struct fix_options *options;
	int root;
	int changes;
	bool is_begun; /* QUEUE_FIXING is there */
	struct error *err;
	/* by the name that files have, N or fix.N: the message's inode */
	struct idmap by_name, by_fix_name;
	/* inodes of messages, for those already called fix.INODE */
	struct idmap by_inode;
};

/* -- fix_step.c; what are paths inside the queue */

/* A line for a change, that is made or would be. */
void fix_say(struct fix *fix, const char *verb, const char *what);
/* A line for what stays as it is. */
void fix_tell(struct fix *fix, const char *text, const char *what);
/* -1, with errno's reason. */
int fix_failed(struct fix *fix, const char *verb, const char *what);
/*
 * Before the first change that makes messages lie elsewhere than a qmail-send
 * would look: until fix_end() none may work here.  0 or -1.
 */
int fix_begin(struct fix *fix);
/* All is in its place, and synced. */
int fix_end(struct fix *fix);
int fix_owner(struct fix *fix, const char *name, mode_t mode);
int fix_rename(struct fix *fix, const char *from, const char *to);
int fix_unlink(struct fix *fix, const char *name, int flags);

/* -- fix_journal.c */

/* Envelopes that a killed qmail-send left get their files.  0 or -1. */
int fix_journal(struct fix *fix);

/* -- fix_message.c */

/* Each message's files get their names, in their folders.  0 or -1. */
int fix_messages(struct fix *fix);

#endif
