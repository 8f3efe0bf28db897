/* SPDX-License-Identifier: ISC */
/* The folders of a domain's users. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "adminsrv/vpasswd_file.h"
#include "base/mem.h"
#include "svctool/check_domain.h"

/* One domain's users. */
struct users {
	struct check *check;
	const struct check_assign *domain;
	struct check_crowd crowd;
};

/*
 * A folder that belongs to the domain's owner, without the forbidden bits.
 * True when it is there; what is missing is the caller's matter.
 */
static bool
check_folder(struct users *users, const char *path, mode_t forbidden)
{
	const struct check_assign *domain = users->domain;
	struct stat st;

	if (lstat(path, &st) == -1)
		return false;
	if (!S_ISDIR(st.st_mode)) {
		if (check_crowd_has_room(&users->crowd)) {
			check_find(users->check, CHECK_ERROR, path, 0,
			    "it is no folder, so mail for the user waits");
			check_remedy(users->check, "move it away");
		}
		return true;
	}
	if (st.st_uid != domain->uid && check_crowd_has_room(&users->crowd)) {
		check_find(users->check, CHECK_ERROR, path, 0,
		    "it belongs to uid %lu, and should to uid %lu",
		    (unsigned long)st.st_uid, (unsigned long)domain->uid);
		check_remedy(users->check, "chown -R %lu:%lu '%s'",
		    (unsigned long)domain->uid, (unsigned long)domain->gid,
		    path);
	}
	if ((st.st_mode & forbidden) != 0 &&
	    check_crowd_has_room(&users->crowd)) {
		check_find(users->check, CHECK_ERROR, path, 0,
		    "its mode is %03o, which lets others %s it",
		    st.st_mode & 07777,
		    (st.st_mode & forbidden & 0022) != 0 ? "change" : "read");
		check_remedy(users->check, "chmod %03o '%s'",
		    st.st_mode & 07777 & ~forbidden, path);
	} else if ((st.st_mode & 0700) != 0700 &&
	    check_crowd_has_room(&users->crowd)) {
		check_find(users->check, CHECK_ERROR, path, 0,
		    "its mode is %03o, so mail for the user waits",
		    st.st_mode & 07777);
		check_remedy(users->check, "chmod 700 '%s'", path);
	}
	return true;
}

static void
check_user(struct users *users, const struct vpasswd_entry *entry)
{
	static const char *const parts[] = { "Maildir", "Maildir/tmp",
		"Maildir/new", "Maildir/cur" };

	if (!check_folder(users, entry->dir, 0022)) {
		int failure = errno;

		if (check_crowd_has_room(&users->crowd)) {
			check_find(users->check, CHECK_ERROR, entry->dir, 0,
			    "the folder of '%s@%s': %s, so mail for the user "
			    "waits",
			    entry->name, users->domain->user,
			    strerror(failure));
			check_remedy(users->check,
			    "put it back, or 'mkdir -m 700 %s && chown %lu:%lu "
			    "%s' for an empty one",
			    entry->dir, (unsigned long)users->domain->uid,
			    (unsigned long)users->domain->gid, entry->dir);
		}
		return;
	}
	/* These a delivery makes when they are missing. */
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		char *path = xasprintf("%s/%s", entry->dir, parts[i]);

		check_folder(users, path, 0077);
		free(path);
	}
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
	check_crowd_end(check, &users.crowd, domain->home,
	    "mend those above, then check again");
}
