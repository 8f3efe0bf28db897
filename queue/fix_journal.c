/* SPDX-License-Identifier: ISC */
/* Envelopes that a killed qmail-send left in its journal. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "queue/fix_private.h"
#include "queue/journal.h"
#include "queue/journal_view.h"

/* As the queue's user: nothing in it leads to files of root's. */
static int
become_owner(const struct fix_options *options)
{
	if (geteuid() != 0 || options->uid == (uid_t)-1)
		return 0;
	return setegid(options->gid) == -1 || seteuid(options->uid) == -1 ? -1
									  : 0;
}

static int
become_caller(uid_t uid, gid_t gid)
{
	return seteuid(uid) == -1 || setegid(gid) == -1 ? -1 : 0;
}

static int
empty(struct fix *fix)
{
	struct queue_dir *dir = queue_dir_open_at(
	    fix->root, fix->path, fix->err);
	uid_t uid = geteuid();
	gid_t gid = getegid();
	struct journal *journal;
	int result = -1;

	if (dir == NULL)
		return -1;
	if (become_owner(fix->options) == 0) {
		result = journal_open(dir, true, &journal, fix->err);
		if (result == 0) /* it is empty: nothing can fail */
			journal_close(&journal);
	} else
		fix_failed(fix, "become the owner of", "lock");
	queue_dir_close(&dir);
	if (become_caller(uid, gid) == -1)
		return fix_failed(fix, "become the caller again in", "lock");
	return result;
}

int
fix_journal(struct fix *fix)
{
	int lock = openat(
	    fix->root, "lock", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	struct journal_view view;
	int result;

	if (lock == -1) /* a test makes no folders */
		return fix->options->is_test && errno == ENOENT
		    ? 0
		    : fix_failed(fix, "open", "lock");
	result = journal_view_read(lock, fix->path, &view, fix->err);
	close(lock);
	if (result == -1)
		return -1;
	if (view.count > 0)
		fix_say(
		    fix, "take the envelopes out of", "lock/" QUEUE_JOURNAL);
	else if (view.is_damaged)
		fix_say(fix, "keep for people", "lock/" QUEUE_JOURNAL);
	/* Also when nothing in it counts: that is made certain (journal.c). */
	if (view.data.length > 0 && !fix->options->is_test)
		result = empty(fix);
	journal_view_release(&view);
	return result;
}
