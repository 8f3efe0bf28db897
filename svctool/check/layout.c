/* SPDX-License-Identifier: ISC */
/*
 * Is all there, and may only those write and read who should?  By the rows of
 * control/layout.tbl.  And is the node where it was made for, and its user's?
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adminsrv/owner.h"
#include "base/mem.h"
#include "svctool/check/check.h"
#include "svctool/queue/count.h"
#include "svctool/run/place.h"
#include "svctool/run/ready.h"

int
check_as_owner(struct check *check, struct error *err)
{
	const struct node *node = check->node;
	uid_t uid;
	gid_t gid;

	if (geteuid() != 0 || !node_is_users(node, &uid, &gid))
		return 0;
	if (owner_enter(uid, gid, err) != ADMIN_OK)
		return -1;
	check_find(check, CHECK_WARNING, node->home->root, 0,
	    "the node belongs to user %lu, and is looked at as that user's" REMEDY
	    "run svctool as that user, never as root, who would run programs "
	    "that the user can change",
	    (unsigned long)uid);
	return 0;
}

static void
see_place(const char *file, const char *other, void *context)
{
	struct check *check = context;
	const char *root = check->node->home->root;

	check_find(check, CHECK_ERROR, file, 0,
	    "it names '%s', which is not of this node (was the node moved or "
	    "copied?)" REMEDY
	    "put the folder back where it was, or rm '%s', and 'svctool init "
	    "--home %s' makes it for this place",
	    other, file, root);
}

void
check_place(struct check *check)
{
	place_find(check->node, see_place, check);
}

bool
check_owner_uid(struct check *check, const char *path, enum layout_owner owner,
    uid_t *uid_out)
{
	struct error err;

	if (layout_uid(owner, uid_out, &err) == 0)
		return true;
	check_find(check, CHECK_ERROR, path, 0,
	    "it cannot be told whose it should be: %s" REMEDY
	    "svctool init --create-users",
	    err.text);
	return false;
}

bool
check_state(struct check *check, enum layout_id id, const char *path,
    const struct stat *st, const struct check_whose *whose)
{
	struct layout_faults faults;

	if (layout_judge(id, st, whose->uid, &faults))
		return true;
	if (whose->crowd != NULL && !check_crowd_has_room(whose->crowd))
		return false;
	if (*faults.kind != '\0') {
		check_find(check, CHECK_ERROR, path, 0,
		    "%s%s" REMEDY "move it away", faults.kind, whose->effect);
		return false;
	}
	if (*faults.mode != '\0') {
		if (faults.is_closed && *whose->effect != '\0')
			check_find(check, CHECK_ERROR, path, 0,
			    "its mode is %03o%s", (unsigned)st->st_mode & 07777,
			    whose->effect);
		else
			check_find(
			    check, CHECK_ERROR, path, 0, "%s", faults.mode);
		check_remedy(check, "chmod %03o '%s'",
		    (unsigned)faults.right_mode, path);
	}
	if (*faults.owner != '\0') {
		check_find(check, CHECK_ERROR, path, 0, "%s%s", faults.owner,
		    whose->name);
		if (whose->has_gid)
			check_remedy(check, "chown%s %lu:%lu '%s'",
			    id >= LAYOUT_user ? " -R" : "",
			    (unsigned long)whose->uid,
			    (unsigned long)whose->gid, path);
		else
			check_remedy(check, "chown %lu '%s'",
			    (unsigned long)whose->uid, path);
	}
	return false;
}

/* What the row says of a path whose state is st. */
static void
check_row(struct check *check, enum layout_id id, const char *path,
    const struct stat *st)
{
	enum layout_owner owner = layout_rows[id].owner;
	struct check_whose whose = { .effect = "" };
	char name[64];

	/* Who serves TLS reads it by a group, or is the one user. */
	if (id == LAYOUT_servercert && getenv("MQMAIL_USER") != NULL)
		owner = LAYOUT_SMTPD;
	if (!check_owner_uid(check, path, owner, &whose.uid))
		return;
	snprintf(name, sizeof(name), " (%s)",
	    geteuid() != 0 ? "you"
		: owner == LAYOUT_OURS
		? "root"
		: identity_name((enum identity_role)owner));
	whose.name = name;
	check_state(check, id, path, st, &whose);
}

/* It must be there, made by svctool or by the operator, and as its row says. */
static void
check_path(
    struct check *check, enum layout_id id, const char *path, bool is_ours)
{
	struct stat st;

	if (lstat(path, &st) == 0) {
		check_row(check, id, path, &st);
		return;
	}
	check_find(check, CHECK_ERROR, path, 0, "%s", strerror(errno));
	if (is_ours)
		check_remedy(check, "'svctool init' makes it");
	else
		check_remedy(check, "make it, with mode %03o",
		    (unsigned)layout_rows[id].mode);
}

/*
 * The files in a folder, hidden ones (of commands at work) left out: root obeys
 * them.  Of a link it counts where it leads.
 */
static void
check_files_in(struct check *check, enum layout_id id, const char *folder)
{
	DIR *dir = opendir(folder);
	const struct dirent *entry;
	struct stat st;

	/* Missing, or not to be read: others find that. */
	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		OWN_TEXT path = NULL;

		if (entry->d_name[0] == '.' ||
		    fstatat(dirfd(dir), entry->d_name, &st, 0) == -1 ||
		    !S_ISREG(st.st_mode))
			continue;
		path = xasprintf("%s/%s", folder, entry->d_name);
		check_row(check, id, path, &st);
	}
	if (dir != NULL)
		closedir(dir);
}

/* Whatever a service runs or reads as root. */
static void
check_service_files(struct check *check, const char *service)
{
	const struct home *home = check->node->home;
	OWN_TEXT vars = layout_path(home, LAYOUT_service_vars, service);
	bool is_ours = queue_count_number(service) != 0 ||
	    node_is_made_service(check->node, service);

	for (unsigned id = LAYOUT_service; id <= LAYOUT_service_vars; id++) {
		OWN_TEXT path = layout_path(home, id, service);

		check_path(check, id, path, is_ours);
	}
	check_files_in(check, LAYOUT_service_var, vars);
}

void
check_owners(struct check *check)
{
	static const struct {
		enum layout_id folder, file;
	} rows[] = {
		{ LAYOUT_control, LAYOUT_setting },
		{ LAYOUT_global_vars, LAYOUT_global_var },
		{ LAYOUT_users, LAYOUT_assign },
	};
	const struct home *home = check->node->home;
	OWN_TEXT key = layout_path(home, LAYOUT_servercert);
	OWN_TEXT logins = layout_path(home, LAYOUT_login_table);

	for (unsigned id = 0; id <= LAYOUT_tls; id++) {
		OWN_TEXT path = layout_path(home, id);

		if (id != LAYOUT_alias)
			check_path(check, id, path, true);
	}
	check_path(check, LAYOUT_login_table, logins, true);
	if (access(key, F_OK) == 0)
		check_path(check, LAYOUT_servercert, key, true);
	for (unsigned id = LAYOUT_pgsql; id <= LAYOUT_pgsqllisten; id++) {
		OWN_TEXT path = layout_path(home, id);

		if (access(path, F_OK) == 0)
			check_path(check, id, path, true);
	}
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		OWN_TEXT path = layout_path(home, rows[i].folder);

		check_files_in(check, rows[i].file, path);
	}
	check_each(check, node_services, check_service_files);
}
