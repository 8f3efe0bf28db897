/* SPDX-License-Identifier: ISC */
/* May only those write and read who should? */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "control/identity.h"
#include "svctool/check/check.h"
#include "svctool/make.h"

bool
check_owner_uid(struct check *check, const char *path, enum make_owner owner,
    uid_t *uid_out)
{
	struct identity identity;
	struct error err;

	*uid_out = geteuid(); /* root's, or all of it ours */
	if (owner == MAKE_OURS)
		return true;
	if (identity_find((enum identity_role)owner, &identity, &err) == 1) {
		*uid_out = identity.uid;
		return true;
	}
	check_find(check, CHECK_ERROR, path, 0,
	    "it cannot be told whose it should be: %s", err.text);
	check_remedy(check, "svctool init --create-users");
	return false;
}

/* A path's state, by lstat() or stat(), and what it should be. */
static void
check_state(struct check *check, const char *path, const struct stat *st,
    enum make_owner owner, mode_t forbidden, mode_t needed)
{
	uid_t uid;

	if ((st->st_mode & forbidden) != 0) {
		check_find(check, CHECK_ERROR, path, 0,
		    "its mode is %03o, which lets others %s it",
		    st->st_mode & 07777,
		    (st->st_mode & forbidden & 0222) != 0 ? "change" : "read");
		check_remedy(check, "chmod %03o '%s'",
		    (st->st_mode & 07777 & ~forbidden) | needed, path);
	}
	if (check_owner_uid(check, path, owner, &uid) && st->st_uid != uid) {
		check_find(check, CHECK_ERROR, path, 0,
		    "it belongs to uid %lu, and should to uid %lu (%s)",
		    (unsigned long)st->st_uid, (unsigned long)uid,
		    geteuid() != 0 ? "you"
			: owner == MAKE_OURS
			? "root"
			: identity_name((enum identity_role)owner));
		check_remedy(check, "chown %lu '%s'", (unsigned long)uid, path);
	}
}

static void
check_path_mode(struct check *check, const char *path, enum make_owner owner,
    mode_t forbidden, mode_t needed)
{
	struct stat st;

	if (lstat(path, &st) == -1) {
		check_find(check, CHECK_ERROR, path, 0, "%s", strerror(errno));
		check_remedy(check, "'svctool init' makes it");
		return;
	}
	check_state(check, path, &st, owner, forbidden, needed);
}

void
check_path(struct check *check, const char *path, enum make_owner owner,
    mode_t forbidden)
{
	check_path_mode(check, path, owner, forbidden, 0);
}

/*
 * The files in a folder, hidden ones (of commands at work) left out: root obeys
 * them.  Of a link it counts where it leads.
 */
static void
check_files_in(struct check *check, const char *folder)
{
	DIR *dir = opendir(folder);
	const struct dirent *entry;
	struct stat st;

	/* Missing, or not to be read: others find that. */
	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		char *path;

		if (entry->d_name[0] == '.' ||
		    fstatat(dirfd(dir), entry->d_name, &st, 0) == -1 ||
		    !S_ISREG(st.st_mode))
			continue;
		path = xasprintf("%s/%s", folder, entry->d_name);
		check_state(check, path, &st, MAKE_OURS, 0022, 0);
		free(path);
	}
	if (dir != NULL)
		closedir(dir);
}

/* Below a folder: whatever a service runs or reads as root. */
static void
check_services_files(struct check *check)
{
	const struct home *home = check->node->home;
	struct arg_list services;

	check_names(check, node_services, &services);
	for (size_t i = 0; i < services.count; i++) {
		const char *name = services.items[i];
		const char *const parts[] = { "", "/run", "/log", "/log/run",
			"/variables" };
		char *variables = xasprintf(
		    "%s/%s/variables", home->service, name);

		for (size_t j = 0; j < sizeof(parts) / sizeof(parts[0]); j++) {
			char *path = xasprintf(
			    "%s/%s%s", home->service, name, parts[j]);

			/* All of these are to be entered, or run. */
			check_path_mode(check, path, MAKE_OURS, 0022, 0111);
			free(path);
		}
		check_files_in(check, variables);
		free(variables);
	}
	arg_list_release(&services);
}

void
check_owners(struct check *check)
{
	const struct home *home = check->node->home;
	char *key = xasprintf("%s/servercert.pem", home->tls);
	const struct {
		const char *path;
		enum make_owner owner;
	} rows[] = {
		{ home->root, MAKE_OURS },
		{ home->control, MAKE_OURS },
		{ check->node->global_vars, MAKE_OURS },
		{ home->users, MAKE_OURS },
		{ home->domains, MAKE_VIRTUAL },
		{ home->queue, MAKE_OURS },
		{ home->service, MAKE_OURS },
		{ home->run, MAKE_OURS },
		{ home->log, MAKE_OURS },
		{ home->tls, MAKE_OURS },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		check_path(check, rows[i].path, rows[i].owner, 0022);
	if (access(key, F_OK) == 0)
		check_path(check, key,
		    getenv("MQMAIL_USER") != NULL ? MAKE_SMTPD : MAKE_OURS,
		    0027);
	free(key);
	check_files_in(check, home->control);
	check_files_in(check, check->node->global_vars);
	check_files_in(check, home->users);
	check_services_files(check);
}
