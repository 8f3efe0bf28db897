/* SPDX-License-Identifier: ISC */
/* The node that svctool works on. */
#include "svctool/node.h"

#include <dirent.h>
#include <errno.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/scan.h"
#include "control/global_vars.h"

struct node *
node_new(const char *home_root, const char *destdir, struct error *err)
{
	struct node *node = xcalloc(1, sizeof(*node));
	char *vars, *root;

	node->home = home_root != NULL ? home_at(home_root) : home_new();
	setenv("MQMAIL_HOME", node->home->root, 1);
	node->programs = file_program_dir();
	node->global_vars = layout_path(node->home, LAYOUT_global_vars);
	node->destdir = xstrdup("");
	if (destdir != NULL) {
		free(node->destdir);
		node->destdir = realpath(destdir, NULL);
	}
	if (node->destdir == NULL) {
		error_sys(
		    err, "cannot find the folder '%s' of --destdir", destdir);
		node_free(&node);
		return NULL;
	}
	vars = node_path(node, "%s", node->global_vars);
	global_vars_take(vars);
	free(vars);
	/* Again: they may name other folders. */
	root = xstrdup(node->home->root);
	home_free(&node->home);
	node->home = home_at(root);
	free(root);
	return node;
}

void
node_free(struct node **node)
{
	if (*node == NULL)
		return;
	home_free(&(*node)->home);
	free((*node)->destdir);
	free((*node)->programs);
	free((*node)->global_vars);
	free(*node);
	*node = NULL;
}

char *
node_path(const struct node *node, const char *format, ...)
{
	va_list arguments;
	char *path, *whole;

	va_start(arguments, format);
	if (vasprintf(&path, format, arguments) == -1)
		abort();
	va_end(arguments);
	whole = xasprintf("%s%s", node->destdir, path);
	free(path);
	return whole;
}

char *
node_layout_path(const struct node *node, enum layout_id id, ...)
{
	va_list names;
	char *path, *whole;

	va_start(names, id);
	path = layout_vpath(node->home, id, names);
	va_end(names);
	whole = xasprintf("%s%s", node->destdir, path);
	free(path);
	return whole;
}

bool
node_exists(const struct node *node, struct error *err)
{
	OWN_TEXT me = node_layout_path(node, LAYOUT_setting, "me");
	bool is_there = access(me, F_OK) == 0;
	AUTO(strlist_release) struct strlist services = { .count = 0 };

	/* One that lost a file is none the less a node, which may run. */
	if (!is_there && node_services(node, &services, NULL) == 0)
		is_there = services.count > 0;
	if (!is_there)
		error_set(err,
		    "no node at '%s' (there is no '%s'): make one with "
		    "'svctool init --home %s', or name another with --home",
		    node->home->root, me, node->home->root);
	return is_there;
}

bool
node_has_name(const struct node *node, struct error *err)
{
	OWN_TEXT me = node_layout_path(node, LAYOUT_setting, "me");
	bool is_there = access(me, F_OK) == 0 || errno != ENOENT;

	if (!is_there)
		error_set(err,
		    "the node at '%s' has lost '%s', its host name: put it "
		    "back, as it was ('openssl x509 -noout -subject -in "
		    "%s/servercert.pem' may show it)",
		    node->home->root, me, node->home->tls);
	return is_there;
}

bool
node_is_ours(const struct node *node, struct error *err)
{
	OWN_TEXT root = node_path(node, "%s", node->home->root);
	bool is_ours = false;
	struct stat st;

	if (stat(root, &st) == -1)
		error_sys(err, "cannot look at '%s'", root);
	else if (geteuid() != 0 && geteuid() != st.st_uid)
		error_set(err,
		    "'%s' belongs to user %lu: run this as that "
		    "user, or as root",
		    root, (unsigned long)st.st_uid);
	else
		is_ours = true;
	return is_ours;
}

bool
node_is_users(const struct node *node, uid_t *uid_out, gid_t *gid_out)
{
	OWN_TEXT root = node_path(node, "%s", node->home->root);
	OWN_TEXT vars = node_layout_path(node, LAYOUT_global_vars);
	struct stat home, made;
	bool is_users = stat(root, &home) == 0 && stat(vars, &made) == 0 &&
	    home.st_uid != 0 && home.st_uid == made.st_uid;

	if (is_users) {
		*uid_out = home.st_uid;
		*gid_out = home.st_gid;
	}
	return is_users;
}

bool
node_is_ours_to_start(const struct node *node, struct error *err)
{
	const struct passwd *pw;
	uid_t uid;
	gid_t gid;

	if (!node_is_ours(node, err))
		return false;
	if (geteuid() != 0 || !node_is_users(node, &uid, &gid))
		return true;
	pw = getpwuid(uid);
	if (pw != NULL)
		error_set(err,
		    "the node at '%s' is that of the user '%s': run this as "
		    "that user, never as root, who would run programs that the "
		    "user can change: runuser -u %s -- svctool ... --home %s",
		    node->home->root, pw->pw_name, pw->pw_name,
		    node->home->root);
	else
		error_set(err,
		    "the node at '%s' is that of user %lu: run this as that "
		    "user, never as root, who would run programs that the user "
		    "can change",
		    node->home->root, (unsigned long)uid);
	return false;
}

static int
compare_as_people(const void *a, const void *b)
{
	return strverscmp(*(char *const *)a, *(char *const *)b);
}

/* The folders in that of the row. */
static int
list_row(const struct node *node, enum layout_id id, struct strlist *names,
    struct error *err)
{
	OWN_TEXT folder = node_layout_path(node, id);
	DIR *dir = opendir(folder);
	const struct dirent *entry;
	int result = 0;

	if (dir == NULL && errno != ENOENT)
		result = error_sys(err, "cannot read folder '%s'", folder);
	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		OWN_TEXT path = NULL;
		struct stat st;

		if (entry->d_name[0] == '.')
			continue;
		path = xasprintf("%s/%s", folder, entry->d_name);
		if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
			strlist_add(names, entry->d_name);
	}
	if (dir != NULL)
		closedir(dir);
	if (names->count > 1)
		qsort(names->items, names->count, sizeof(*names->items),
		    compare_as_people);
	return result;
}

int
node_services(
    const struct node *node, struct strlist *names_out, struct error *err)
{
	return list_row(node, LAYOUT_services, names_out, err);
}

int
node_queues(
    const struct node *node, struct strlist *names_out, struct error *err)
{
	return list_row(node, LAYOUT_queues, names_out, err);
}

char *
node_queue_name(const char *word)
{
	uint64_t number;

	return scan_u64(word, UINT32_MAX, &number) ? xasprintf("queue%s", word)
						   : xstrdup(word);
}

char *
node_variable(const struct node *node, const char *service, const char *name)
{
	OWN_TEXT path = node_layout_path(
	    node, LAYOUT_service_var, service, name);
	char *value = global_vars_read(path);

	return value != NULL ? value : xstrdup("");
}

char *
node_global_variable(const struct node *node, const char *name)
{
	OWN_TEXT path = node_layout_path(node, LAYOUT_global_var, name);
	char *value = global_vars_read(path);

	return value;
}

bool
node_is_listener(const char *service)
{
	return strncmp(service, "qmail-smtpd.", 12) == 0 ||
	    node_is_pop3(service);
}

bool
node_is_pop3(const char *service)
{
	return strncmp(service, "qmail-pop3d.", 12) == 0;
}

const char node_resolver_service[] = "resolver";

bool
node_is_resolver(const char *service)
{
	return strcmp(service, node_resolver_service) == 0;
}

const char node_remote_service[] = "remote";

bool
node_is_remote(const char *service)
{
	return strcmp(service, node_remote_service) == 0;
}

const char node_lookup_service[] = "lookup";

bool
node_is_lookup(const char *service)
{
	return strcmp(service, node_lookup_service) == 0;
}

const char node_cluster_service[] = "cluster";

bool
node_is_cluster(const char *service)
{
	return strcmp(service, node_cluster_service) == 0;
}

const char node_admin_service[] = "admin";

bool
node_is_admin(const char *service)
{
	return strcmp(service, node_admin_service) == 0;
}

const char node_tasks_service[] = "tasks";

const char node_imap_service[] = "imap";

bool
node_is_imap(const char *service)
{
	return strcmp(service, node_imap_service) == 0;
}

const char node_pgsql_service[] = "pgsql";

bool
node_is_made_service(const struct node *node, const char *service)
{
	char *lock = node_path(node, "%s/%s/lock", node->home->queue, service);
	bool is_queue = access(lock, F_OK) == 0;

	free(lock);
	return is_queue || node_is_listener(service) ||
	    node_is_resolver(service) || node_is_remote(service) ||
	    node_is_lookup(service) || node_is_cluster(service) ||
	    node_is_imap(service) || node_is_admin(service) ||
	    strcmp(service, node_tasks_service) == 0 ||
	    strcmp(service, node_pgsql_service) == 0;
}
