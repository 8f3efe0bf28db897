/* SPDX-License-Identifier: ISC */
/* svctool db local: a PostgreSQL of this node alone, under supervise. */
#include <errno.h>
#include <glob.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adminsrv/database.h"
#include "base/file.h"
#include "base/mem.h"
#include "lookupd/schema.h"
#include "svctool/db/db.h"
#include "svctool/make.h"
#include "svctool/run/run_script.h"
#include "svctool/run/service.h"
#include "svctool/run/spawn.h"
#include "svctool/svctool.h"

/* Where Debian's packages have the servers, one folder for each version. */
static const char server_glob[] = "/usr/lib/postgresql/*/bin/postgres";
/* The user that Debian's package makes; PostgreSQL does not run as root. */
static const char package_user[] = "postgres";

/* In the folder of sockets; all of it has to fit into a sockaddr_un. */
static const char socket_name[] = "/.s.PGSQL.5432.lock";
enum { SOCKET_PATH_SIZE = 108 };

struct local {
	struct maker *maker;
	const struct home *home;
	char *programs;   /* the folder of initdb and the rest */
	const char *user; /* NULL: who we are */
	uid_t uid;
	gid_t gid;
	char *data;   /* the server's folder */
	char *socket; /* the folder of its socket */
};

static void
release_local(struct local *local)
{
	free(local->programs);
	free(local->data);
	free(local->socket);
}

/* The newest, as its data must be read by the same later. */
static int
find_server(struct local *local, struct error *err)
{
	glob_t found;
	double newest = 0;

	if (glob(server_glob, 0, NULL, &found) != 0)
		return error_set(err,
		    "there is no PostgreSQL server on this host ('%s'): "
		    "apt-get install postgresql",
		    server_glob);
	for (size_t i = 0; i < found.gl_pathc; i++) {
		double version = strtod(
		    found.gl_pathv[i] + strcspn(server_glob, "*"), NULL);

		if (version < newest)
			continue;
		newest = version;
		free(local->programs);
		local->programs = xstrndup(found.gl_pathv[i],
		    (size_t)(strrchr(found.gl_pathv[i], '/') -
			found.gl_pathv[i]));
	}
	globfree(&found);
	return 0;
}

static int
choose_owner(struct local *local, struct error *err)
{
	const char *user = getenv("MQMAIL_USER");
	const struct passwd *entry;

	local->uid = geteuid();
	local->gid = getegid();
	if (geteuid() != 0)
		return 0;
	local->user = user != NULL && *user != '\0' && strcmp(user, "root") != 0
	    ? user
	    : package_user;
	entry = getpwnam(local->user);
	if (entry == NULL)
		return error_set(err,
		    "there is no user '%s' on this host: apt-get install "
		    "postgresql makes it",
		    local->user);
	local->uid = entry->pw_uid;
	local->gid = entry->pw_gid;
	return 0;
}

/* Runs a program of the server's as its user. */
static int
run_server_program(const struct local *local, const char *name,
    const char *const *arguments, struct error *err)
{
	OWN_TEXT path = xasprintf("%s/%s", local->programs, name);
	const char *argv[24];
	size_t count = 0;

	if (local->user != NULL) {
		argv[count++] = "setuidgid";
		argv[count++] = local->user;
	}
	argv[count++] = path;
	while (*arguments != NULL)
		argv[count++] = *arguments++;
	argv[count] = NULL;
	fflush(stdout);
	return spawn_wait(argv, "/dev/null", err);
}

static int
make_owned_folder(
    const struct local *local, const char *path, mode_t mode, struct error *err)
{
	if (mkdir(path, mode) == -1 && errno != EEXIST)
		return error_sys(err, "cannot make folder '%s'", path);
	if (chmod(path, mode) == -1 ||
	    (geteuid() == 0 && chown(path, local->uid, local->gid) == -1))
		return error_sys(err, "cannot give '%s' to its owner", path);
	return 0;
}

/*
 * Who may come in by the socket, as whom: root, and who looks up users, keeps
 * the node's place in a cluster or administers; a node of one user that user.
 * Nobody needs a password.
 */
static void
put_ident(const struct local *local, struct buf *text)
{
	static const enum identity_role roles[] = { IDENTITY_LOOKUP,
		IDENTITY_CLUSTER, IDENTITY_ADMIN };
	const struct passwd *entry = getpwuid(local->uid);
	const char *last = "";

	buf_adds(text, "# Made by svctool db local.\nmqmail \"root\" mqmail\n");
	if (entry != NULL)
		buf_addf(text, "mqmail \"%s\" mqmail\n", entry->pw_name);
	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
		const char *name = identity_name(roles[i]);

		/* One user for all is named once. */
		if (strcmp(name, last) != 0)
			buf_addf(text, "mqmail \"%s\" mqmail\n", name);
		last = name;
	}
}

static int
put_server_file(const struct local *local, const char *data, const char *name,
    const char *text, struct error *err)
{
	OWN_TEXT path = xasprintf("%s/%s", data, name);

	if (file_replace(path, text, strlen(text), 0600, err) == -1)
		return -1;
	if (geteuid() == 0 && chown(path, local->uid, local->gid) == -1)
		return error_sys(err, "cannot give '%s' to its owner", path);
	return 0;
}

/* postgresql.conf of initdb stays; ours is read behind it. */
static int
configure_server(const struct local *local, const char *data, struct error *err)
{
	AUTO(buf_release) struct buf ident = BUF_INIT;
	OWN_TEXT settings = xasprintf("# Made by svctool db local.\n"
				      "listen_addresses = ''\n"
				      "unix_socket_directories = '%s'\n"
				      "log_destination = 'stderr'\n"
				      "logging_collector = off\n"
				      "log_line_prefix = ''\n",
	    local->socket);

	put_ident(local, &ident);
	return put_server_file(local, data, "pg_hba.conf",
		   "# Made by svctool db local.\n"
		   "local all all peer map=mqmail\n",
		   err) == -1 ||
		put_server_file(
		    local, data, "pg_ident.conf", ident.data, err) == -1 ||
		put_server_file(
		    local, data, "postgresql.auto.conf", settings, err) == -1
	    ? -1
	    : 0;
}

/* Under a hidden name, so that a run that is killed leaves no half of one. */
static int
make_data(const struct local *local, struct error *err)
{
	OWN_TEXT hidden = xasprintf("%s/.new-pgsql", local->home->root);
	const char *const arguments[] = { "-D", hidden, "-U", "mqmail", "-E",
		"UTF8", "--locale=C.UTF-8", "-A", "peer", NULL };

	if (access(local->data, F_OK) == 0) {
		local->maker->kept++;
		return 0;
	}
	if (file_remove_tree(hidden, err) == -1 ||
	    make_owned_folder(local, hidden, 0700, err) == -1 ||
	    run_server_program(local, "initdb", arguments, err) == -1 ||
	    configure_server(local, hidden, err) == -1)
		return -1;
	if (rename(hidden, local->data) == -1)
		return error_sys(
		    err, "cannot rename '%s' to '%s'", hidden, local->data);
	if (file_sync_parent(local->data, err) == -1)
		return -1;
	make_say("made", "database %s", local->data);
	local->maker->made++;
	return 0;
}

/* The node's own programs must be able to read it, and nobody else. */
static int
make_setting(const struct local *local, struct error *err)
{
	OWN_TEXT path = layout_path(local->home, LAYOUT_pgsql);
	OWN_TEXT text = xasprintf(
	    "host=%s dbname=postgres user=mqmail\n", local->socket);
	bool is_one_user = getenv("MQMAIL_USER") != NULL;
	const struct group *group = getgrnam(layout_rows[LAYOUT_pgsql].group);
	struct buf old = BUF_INIT;
	int found = file_read(path, 4096, &old, err);
	bool is_ours = found == 1 && strcmp(old.data, text) == 0;

	buf_release(&old);
	if (found == -1)
		return -1;
	if (found == 1 && !is_ours)
		return error_set(err,
		    "'%s' names another database: remove it, or keep to that "
		    "one",
		    path);
	if (make_file(local->maker, LAYOUT_pgsql, path, text, err) == -1)
		return -1;
	if (geteuid() == 0 && (is_one_user || group != NULL) &&
	    chown(path, 0, is_one_user ? local->gid : group->gr_gid) == -1)
		return error_sys(err, "cannot give '%s' to its readers", path);
	return 0;
}

/* Before there is the service, which nobody may hinder, it runs for a moment.
 */
static int
start_for_now(const struct local *local, struct error *err)
{
	OWN_TEXT log = xasprintf("%s/start.log", local->data);
	const char *const arguments[] = { "-D", local->data, "-l", log, "-w",
		"-s", "start", NULL };

	return run_server_program(local, "pg_ctl", arguments, err) == -1
	    ? error_context(err, "see '%s'", log)
	    : 0;
}

static int
stop_again(const struct local *local, struct error *err)
{
	const char *const arguments[] = { "-D", local->data, "-m", "fast", "-w",
		"-s", "stop", NULL };

	return run_server_program(local, "pg_ctl", arguments, err);
}

static int
make_schema(const struct local *local, struct error *err)
{
	AUTO(pg_free) struct pg *pg = NULL;
	int version;

	if (database_connect(local->home->control, true, &pg, err) !=
		ADMIN_OK ||
	    schema_upgrade(pg, &version, err) != PG_OK ||
	    schema_grant_reader(pg, err) != PG_OK)
		return -1;
	if (version < schema_newest()) {
		make_say("made", "schema, version %d", schema_newest());
		local->maker->made++;
	}
	return 0;
}

static int
fill_database(const struct local *local, struct error *err)
{
	OWN_TEXT service = xasprintf("%s/pgsql", local->home->service);
	struct error ignored;
	int result;

	if (access(service, F_OK) == 0) {
		local->maker->kept++;
		return make_schema(local, err) == -1
		    ? error_context(err, "the service 'pgsql' is there, but")
		    : 0;
	}
	if (start_for_now(local, err) == -1)
		return -1;
	result = make_schema(local, err);
	if (stop_again(local, result == -1 ? &ignored : err) == -1)
		result = -1;
	return result;
}

static int
make_database(struct local *local, struct error *err)
{
	return find_server(local, err) == -1 ||
		choose_owner(local, err) == -1 ||
		make_owned_folder(local, local->socket, 0755, err) == -1 ||
		make_data(local, err) == -1 || make_setting(local, err) == -1 ||
		fill_database(local, err) == -1 ||
		service_make_pgsql(local->maker, local->user, local->programs,
		    local->data, err) == -1
	    ? -1
	    : 0;
}

int
db_local(const struct node *node)
{
	struct maker maker = { .node = node };
	AUTO(release_local)
	struct local local = { .maker = &maker, .home = node->home };
	struct error err;

	if (!node_is_ours(node, &err))
		return complain(EXIT_TROUBLE, &err);
	local.data = layout_path(node->home, LAYOUT_pgsql_data);
	local.socket = layout_path(node->home, LAYOUT_pgsql_socket);
	if (strlen(local.socket) + strlen(socket_name) >= SOCKET_PATH_SIZE) {
		error_set(&err,
		    "'%s' is too long for a socket's path: a node with a "
		    "database of its own needs a shorter one",
		    local.socket);
		return complain(EXIT_TROUBLE, &err);
	}
	maker.has_users = geteuid() == 0 && getenv("MQMAIL_USER") == NULL;
	if (make_database(&local, &err) == -1)
		return complain(EXIT_TROUBLE, &err);
	if (maker.made == 0)
		puts("nothing to do: the database is complete");
	else
		printf(
		    "the database runs with the node: 'svctool start' starts "
		    "it, 'vconvert --to pgsql' copies the users; then write "
		    "pgsql to '%s/userstore', and 'svctool init' and 'svctool "
		    "restart' have the daemons ask it\n",
		    node->home->control);
	return EXIT_FINE;
}
