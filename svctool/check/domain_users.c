/* SPDX-License-Identifier: ISC */
/* The folders of a domain's users. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "adminsrv/vpasswd_file.h"
#include "base/mem.h"
#include "svctool/check/domain.h"

/* One domain's users. */
struct users {
	struct check *check;
	const struct check_assign *domain;
	struct check_crowd crowd;
	char *parent;    /* of the last user's folder */
	bool is_reached; /* what is in it can be got at */
};

static void
check_owner(struct users *users, const char *path, const struct stat *st)
{
	const struct check_assign *domain = users->domain;

	if (st->st_uid == domain->uid || !check_crowd_has_room(&users->crowd))
		return;
	check_find(users->check, CHECK_ERROR, path, 0,
	    "it belongs to uid %lu, and should to uid %lu",
	    (unsigned long)st->st_uid, (unsigned long)domain->uid);
	check_remedy(users->check, "chown -R %lu:%lu '%s'",
	    (unsigned long)domain->uid, (unsigned long)domain->gid, path);
}

static void
check_mode(struct users *users, const char *path, mode_t mode, mode_t forbidden)
{
	bool is_open = (mode & forbidden) != 0;

	if ((!is_open && (mode & 0700) == 0700) ||
	    !check_crowd_has_room(&users->crowd))
		return;
	if (is_open)
		check_find(users->check, CHECK_ERROR, path, 0,
		    "its mode is %03o, which lets others %s it", mode & 07777,
		    (mode & forbidden & 0022) != 0 ? "change" : "read");
	else
		check_find(users->check, CHECK_ERROR, path, 0,
		    "its mode is %03o, so mail for the user waits",
		    mode & 07777);
	check_remedy(users->check, "chmod %03o '%s'",
	    ((mode & 07777) | 0700) & ~forbidden, path);
}

/*
 * A folder that belongs to the domain's owner, without the forbidden bits.  1;
 * 0 when it is not there; -1 when what is below need not be looked at, since
 * the remedy mends that too.
 */
static int
check_folder(struct users *users, const char *path, mode_t forbidden)
{
	struct stat st;

	if (lstat(path, &st) == -1)
		return 0;
	if (!S_ISDIR(st.st_mode)) {
		if (check_crowd_has_room(&users->crowd)) {
			check_find(users->check, CHECK_ERROR, path, 0,
			    "it is no folder, so mail for the user waits");
			check_remedy(users->check, "move it away");
		}
		return -1;
	}
	check_owner(users, path, &st);
	if (st.st_uid != users->domain->uid)
		return -1;
	check_mode(users, path, st.st_mode, forbidden);
	return 1;
}

/*
 * The folders between the domain's and the user's, which a hundred users share.
 * True when what is in them can be got at.
 */
static bool
check_parents(struct users *users, const char *dir)
{
	const char *slash = strrchr(dir, '/');
	size_t length = (size_t)(slash - dir), at;

	if (users->parent != NULL && strlen(users->parent) == length &&
	    strncmp(users->parent, dir, length) == 0)
		return users->is_reached;
	free(users->parent);
	users->parent = xstrndup(dir, length);
	users->is_reached = true;
	for (at = strlen(users->domain->home) + 1;
	     users->is_reached && at <= length; at++) {
		char *path;

		if (dir[at] != '/')
			continue;
		path = xstrndup(dir, at);
		users->is_reached = check_folder(users, path, 0022) != -1;
		free(path);
	}
	return users->is_reached;
}

/* qmail-vdeliver goes nowhere else, and follows no links. */
static bool
is_reachable(struct users *users, const struct vpasswd_entry *entry)
{
	const char *domains = users->check->node->home->domains;
	const struct check_assign *domain = users->domain;

	if (check_is_below(entry->dir, domain->home))
		return check_parents(users, entry->dir);
	if (check_is_below(entry->dir, domains))
		return true;
	if (check_crowd_has_room(&users->crowd)) {
		check_find(users->check, CHECK_ERROR, entry->dir, 0,
		    "the folder of '%s@%s' is not below '%s', so mail for the "
		    "user waits",
		    entry->name, domain->user, domains);
		check_remedy(users->check,
		    "move it below that, correct '%s/vpasswd', then vmkpasswd "
		    "%s",
		    domain->home, domain->user);
	}
	return false;
}

static void
find_missing(struct users *users, const struct vpasswd_entry *entry)
{
	const struct check_assign *domain = users->domain;
	int failure = errno;

	if (!check_crowd_has_room(&users->crowd))
		return;
	check_find(users->check, CHECK_ERROR, entry->dir, 0,
	    "the folder of '%s@%s': %s, so mail for the user waits",
	    entry->name, domain->user, strerror(failure));
	check_remedy(users->check,
	    "put it back, or 'mkdir -m 700 %s && chown %lu:%lu %s' for an "
	    "empty one",
	    entry->dir, (unsigned long)domain->uid, (unsigned long)domain->gid,
	    entry->dir);
}

static void
check_user(struct users *users, const struct vpasswd_entry *entry)
{
	static const char *const parts[] = { "tmp", "new", "cur" };
	char *maildir = xasprintf("%s/Maildir", entry->dir);
	int found = is_reachable(users, entry)
	    ? check_folder(users, entry->dir, 0022)
	    : -1;

	if (found == 0)
		find_missing(users, entry);
	if (found == 1)
		found = check_folder(users, maildir, 0077);
	/* Those that are missing a delivery makes. */
	for (size_t i = 0; found == 1 && i < sizeof(parts) / sizeof(parts[0]);
	     i++) {
		char *path = xasprintf("%s/%s", maildir, parts[i]);

		check_folder(users, path, 0077);
		free(path);
	}
	free(maildir);
}

void
check_domain_users(struct check *check, const struct check_assign *domain,
    const struct vpasswd_file *file)
{
	struct users users = { .check = check, .domain = domain };
	const struct vpasswd_entry *entry;
	size_t at = 0;

	while ((entry = vpasswd_file_next(file, &at)) != NULL)
		check_user(&users, entry);
	free(users.parent);
	check_crowd_end(check, &users.crowd, domain->home,
	    "mend those above, then check again");
}
