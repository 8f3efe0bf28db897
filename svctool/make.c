/* SPDX-License-Identifier: ISC */
/* Steps that make parts of a node. */
#include "svctool/make.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"

enum { FILE_MAX = 1 << 20 };

void
make_say(const char *verb, const char *format, ...)
{
	va_list arguments;

	printf("%-8s ", verb);
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	putchar('\n');
	fflush(stdout);
}

int
make_owned(const struct maker *maker, const char *real_path,
    enum layout_owner owner, struct error *err)
{
	struct identity identity;

	if (!maker->has_users || owner == LAYOUT_OURS)
		return 0;
	if (identity_find((enum identity_role)owner, &identity, err) != 1)
		return -1;
	if (chown(real_path, identity.uid, identity.gid) == -1)
		return error_sys(err, "cannot give '%s' to the user '%s'",
		    real_path, identity.name);
	return 0;
}

int
make_readable(enum layout_id id, const char *real_path, struct error *err)
{
	const struct layout_row *row = &layout_rows[id];
	const char *user = getenv("MQMAIL_USER");
	bool is_one_user = user != NULL && *user != '\0';
	const struct passwd *entry = is_one_user ? getpwnam(user) : NULL;
	const struct group *group = is_one_user ? NULL : getgrnam(row->group);

	if (geteuid() != 0)
		return 0;
	if (entry == NULL && group == NULL)
		return error_set(err,
		    "no group '%s': make it with 'svctool init "
		    "--create-users'",
		    row->group);
	if (chown(real_path, 0,
		is_one_user ? entry->pw_gid : group->gr_gid) == -1 ||
	    chmod(real_path, row->mode) == -1)
		return error_sys(err, "cannot set the owner of '%s'", real_path);
	return 0;
}

/*
 * A folder that was there already.  Root's own, which should be another's, is
 * from a run that was killed between two steps.
 */
static int
keep_folder(struct maker *maker, const char *real, const struct stat *st,
    enum layout_owner owner, struct error *err)
{
	struct identity identity;

	if (!S_ISDIR(st->st_mode))
		return error_set(
		    err, "'%s' is not a folder: move it away", real);
	if (maker->has_users && owner != LAYOUT_OURS &&
	    identity_find((enum identity_role)owner, &identity, err) != 1)
		return -1;
	if (!maker->has_users || owner == LAYOUT_OURS ||
	    st->st_uid == identity.uid) {
		maker->kept++;
		return 0;
	}
	if (st->st_uid != 0)
		return error_set(err,
		    "'%s' belongs to user %lu, and should to '%s': chown it, or "
		    "move it away",
		    real, (unsigned long)st->st_uid, identity.name);
	maker->made++;
	make_say("owner", "%s: %s", real, identity.name);
	return make_owned(maker, real, owner, err);
}

int
make_folder(
    struct maker *maker, enum layout_id id, const char *path, struct error *err)
{
	const struct layout_row *row = &layout_rows[id];
	OWN_TEXT real = node_path(maker->node, "%s", path);
	struct stat st;
	mode_t mask;
	int result;

	if (stat(real, &st) == 0)
		return keep_folder(maker, real, &st, row->owner, err);
	/* At once: whoever comes after a kill keeps the mode that he finds. */
	mask = umask(0);
	result = file_make_dirs(real, row->mode, err);
	umask(mask);
	if (result == -1)
		return -1;
	if (make_owned(maker, real, row->owner, err) == -1 ||
	    file_sync_folder(real, err) == -1 ||
	    file_sync_parent(real, err) == -1)
		return -1;
	if (!maker->is_quiet)
		make_say("made", "folder %s", real);
	maker->made++;
	return 0;
}

int
make_file(struct maker *maker, enum layout_id id, const char *path,
    const char *text, struct error *err)
{
	const struct layout_row *row = &layout_rows[id];
	OWN_TEXT real = node_path(maker->node, "%s", path);

	if (access(real, F_OK) == 0) {
		maker->kept++;
		return 0;
	}
	if (file_replace(real, text, strlen(text), row->mode, err) == -1 ||
	    make_owned(maker, real, row->owner, err) == -1)
		return -1;
	if (!maker->is_quiet)
		make_say("made", "%s", real);
	maker->made++;
	return 0;
}

int
make_file_again(struct maker *maker, enum layout_id id, const char *path,
    const char *text, struct error *err)
{
	OWN_TEXT real = node_path(maker->node, "%s", path);
	AUTO(buf_release) struct buf old = BUF_INIT;
	int found = file_read(real, FILE_MAX, &old, err);

	if (found == -1)
		return -1;
	if (found == 0 || strcmp(old.data, text) == 0)
		return make_file(maker, id, path, text, err);
	if (file_replace(real, text, strlen(text), layout_rows[id].mode, err) ==
	    -1)
		return -1;
	make_say("changed", "%s", real);
	maker->made++;
	return 0;
}
