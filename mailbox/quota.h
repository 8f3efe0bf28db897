/* SPDX-License-Identifier: ISC */
/*
 * The Maildir++ quota: what a Maildir may hold, and the file maildirsize in
 * it, which remembers what it does hold.
 *
 * maildirsize is text.  Its first line is the quota it was made for
 * ("1000000S,1000C"), each other line a change: bytes, a blank, messages; the
 * sum is what is stored.  Deliveries and deletions are appended.  It is a
 * cache: it is never synced, and is made again by looking at every message
 * when it is missing, damaged, of another quota, over 5120 bytes, or when it
 * says "full" and is older than 15 minutes, dated in the future, or of several
 * lines.
 *
 * Two processes that change it agree by flock() on the Maildir's folder:
 * shared to append, exclusive to make it again.  Nobody here waits long for it,
 * because a delivery process serves all users and another may hold it for as
 * long as a huge Maildir is counted:
 *
 * - Adding goes on at once without the lock.  Who counts meanwhile takes over
 * all lines that were appended to the old file since the count began (an empty
 *   one is made for that when there is none).  A message that was counted and
 *   added is so in twice, as it may be with the lock: too much is found out
 *   when the Maildir seems full.  Lost is only a line written in the instant
 *   between rename and taking over, no more than when a process is killed
 *   between delivering and adding.
 * - Counting needs the lock: without it, after 100 ms, "could not tell", a
 *   temporary failure.
 *   What maildirsize says is still believed as long as it says "fits".
 */
#ifndef MAILBOX_QUOTA_H
#define MAILBOX_QUOTA_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "base/error.h"

/* 0: no limit of that kind. */
struct quota {
	uint64_t bytes;
	uint64_t count;
};

struct quota_usage {
	int64_t bytes;
	int64_t count;
};

/*
 * Reads a user's quota as Maildir++, vpopmail and IndiMail know it, in either
 * case; each kind of term at most once:
 *
 *	quota = "" / "NOQUOTA" / "unlimited" / "none" / term *( "," term )
 *	term  = number [ "k" / "m" / "g" / "t" ] [ "b" ] [ "s" ]	bytes
 *	      / number "c"						messages
 *
 * k is 2^10 and so on; 0 is no limit.  Returns 1 when there is a limit, 0 when
 * there is none, -1 with what would be right when the text is something else.
 */
int quota_read(const char *text, struct quota *quota_out, struct error *err);

/*
 * What deliveries go by: quota_read(), but a text that is no quota, which is
 * our trouble and not the user's, is none.  A log line says so, at most one a
 * minute.  Returns 1 or 0.
 */
int quota_parse(const char *text, struct quota *quota_out);

enum quota_answer {
	QUOTA_FITS,
	QUOTA_FULL,       /* the messages were looked at as described above */
	QUOTA_SEEMS_FULL, /* but they ought to be looked at before one says so
			   */
	QUOTA_UNKNOWN,    /* there is no maildirsize of use; no usage */
	QUOTA_FAILED      /* with the reason and errno; no usage */
};

/*
 * Whether added fits beside what maildirsize says that the Maildir holds, which
 * is *usage_out then.  now is the wall clock.
 */
enum quota_answer quota_look(int maildir_fd, const struct quota *quota,
    const struct quota_usage *added, time_t now, struct quota_usage *usage_out,
    struct error *err);

/* Whether added fits beside what is stored. */
bool quota_fits(const struct quota *quota, const struct quota_usage *usage,
    const struct quota_usage *added);

/*
 * Remembers that added was delivered (or, negative, removed).  Call it after
 * the messages are in place.  A maildirsize that does not exist stays so: it
 * will be made, by looking, when it is asked.  Returns 0 or -1.
 */
int quota_add(
    int maildir_fd, const struct quota_usage *added, struct error *err);

/*
 * Looks at every message and makes maildirsize anew.  Messages in .Trash are
 * not counted (Maildir++), unless the variable INCLUDE_TRASH is set, nor are
 * those with the flag T.  In a thread beside others that use the Maildir,
 * maildir_fd must have been opened for this alone: the lock is the open
 * file's.  Returns 0, or -1 with the reason and errno
 * (EWOULDBLOCK: another process has the lock).
 */
int quota_recalculate(int maildir_fd, const struct quota *quota,
    struct quota_usage *usage_out, struct error *err);

/* Reads the text of a maildirsize.  False when it is damaged. */
bool quota_read_text(const char *text, size_t length, struct quota *quota_out,
    struct quota_usage *usage_out, unsigned *lines_out);

#endif
