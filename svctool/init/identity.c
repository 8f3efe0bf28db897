/* SPDX-License-Identifier: ISC */
/*
 * Who a node runs as: one user for each kind of process, or the one of
 * control/global_vars/MQMAIL_USER, which is the first file that init makes.
 */
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "svctool/init/init.h"

/* Is there such a user, and may we have a node run as that user? */
static int
check_user_option(const char *name, struct error *err)
{
	const struct passwd *pw;

	errno = 0;
	pw = getpwnam(name);
	if (pw == NULL && errno != 0 && errno != ENOENT && errno != ESRCH)
		return error_sys(err, "cannot look up the user '%s'", name);
	if (pw == NULL)
		return error_set(err,
		    "no system user '%s' (--user, or MQMAIL_USER): make it, or "
		    "name another",
		    name);
	if (geteuid() != 0 && geteuid() != pw->pw_uid)
		return error_set(err,
		    "only root can make a node that runs as '%s': run this as "
		    "root or as that user",
		    name);
	return 0;
}

/* Whoever made the node owns this folder. */
static int
check_maker(const struct node *node, struct error *err)
{
	OWN_TEXT folder = node_layout_path(node, LAYOUT_global_vars);
	struct stat st;

	if (stat(folder, &st) == -1)
		return errno == ENOENT
		    ? 0
		    : error_sys(err, "cannot look at '%s'", folder);
	if (st.st_uid == geteuid())
		return 0;
	return error_set(err,
	    "the node at '%s' is that of user %lu ('%s'): run this as that "
	    "user",
	    node->home->root, (unsigned long)st.st_uid, folder);
}

/* The owners of what is there already cannot be those of another identity. */
static int
check_same(const struct node *node, const char *user, struct error *err)
{
	OWN_TEXT made = node_global_variable(node, "MQMAIL_USER");

	if (user == NULL || (made != NULL && strcmp(made, user) == 0))
		return 0;
	if (made == NULL)
		return error_set(err,
		    "the node at '%s' runs with one user for each kind of "
		    "process, and init changes no owners: leave '%s' (--user, "
		    "MQMAIL_USER) away, or make another node",
		    node->home->root, user);
	return error_set(err,
	    "the node at '%s' runs as '%s' ('%s/MQMAIL_USER'), and init "
	    "changes no owners: leave '%s' (--user, MQMAIL_USER) away, or make "
	    "another node",
	    node->home->root, made, node->global_vars, user);
}

int
init_check_identity(
    const struct node *node, const char *user, struct error *err)
{
	/* Made after the identity's file, and before anything of others. */
	OWN_TEXT first = node_layout_path(node, LAYOUT_queues);

	if (check_maker(node, err) == -1 ||
	    (user != NULL && check_user_option(user, err) == -1))
		return -1;
	return access(first, F_OK) == 0 && geteuid() == 0
	    ? check_same(node, user, err)
	    : 0;
}

int
init_prepare_users(
    const struct init_options *options, struct maker *maker, struct error *err)
{
	int missing;

	if (geteuid() != 0)
		return 0;
	missing = options->user != NULL ? 0 : users_missing(err);
	if (missing > 0 && options->create_users) {
		if (users_create(false, err) == -1)
			return -1;
		missing = 0;
	}
	if (missing == -1)
		return -1;
	if (missing > 0 && *maker->node->destdir == '\0') {
		printf("the system lacks users or groups; these make them:\n");
		users_create(true, err);
		return error_set(err,
		    "users are missing: run the commands above, or "
		    "'svctool init' again with --create-users, or with "
		    "--user NAME to run everything as one user");
	}
	if (missing > 0)
		printf("owners are not set: the system lacks users\n");
	maker->has_users = missing == 0;
	return 0;
}
