/* SPDX-License-Identifier: ISC */
/* hostsync: compares stores with the database, and repairs what differs. */
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adminsrv/cli.h"
#include "adminsrv/database.h"
#include "adminsrv/owner.h"
#include "adminsrv/placement.h"
#include "adminsrv/user_dir.h"
#include "adminsrv/users_backend.h"
#include "adminsrv/view.h"
#include "base/mem.h"
#include "control/identity.h"

static const char usage[] =
    "usage: hostsync [-d domain] [--repair] [--adopt]\n";

static const struct option long_options[] = {
	{ "repair", no_argument, NULL, 'R' },
	{ "adopt", no_argument, NULL, 'A' },
	{ NULL, 0, NULL, 0 },
};

/* Folders of a domain: the levels of vpopmail, not more. */
enum { DEPTH_MAX = 4 };

struct sync {
	struct home *home;
	struct pg *pg;
	struct identity owner;
	struct buf own_node;
	const char *domain; /* "": all */
	bool repairs, adopts;
	size_t differences;
};

static bool
is_home(const char *path)
{
	OWN_TEXT maildir = xasprintf("%s/Maildir", path);
	struct stat st;

	return lstat(maildir, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Users of a store whose homes are missing: mail for them waits. */
static enum admin_result
check_users(struct sync *sync, const struct place *place, struct error *err)
{
	AUTO(pg_result_free) struct pg_result *rows = NULL;
	enum admin_result result = database_result(database_run(sync->pg, &rows,
	    err,
	    "SELECT u.name || '@' || d.name, u.dir FROM mq.users u "
	    "JOIN mq.domains d ON d.id = u.domain_id "
	    "WHERE u.store_id = $1::bigint AND ($2 = '' OR d.name = $2) "
	    "AND NOT EXISTS (SELECT FROM mq.moves m WHERE m.user_id = u.id) "
	    "AND NOT EXISTS (SELECT FROM mq.tasks t WHERE t.store_id = "
	    "u.store_id AND t.state IN ('waiting', 'running') "
	    "AND t.args->'dirs' ? u.dir) ORDER BY 1",
	    place->id, sync->domain, NULL));

	for (size_t i = 0; result == ADMIN_OK && i < pg_rows(rows); i++) {
		const char *dir = pg_text(rows, i, 1);

		if (is_home(dir))
			continue;
		sync->differences++;
		printf("%s: no home '%s'%s\n", pg_text(rows, i, 0), dir,
		    sync->repairs ? ": made" : "");
		if (!sync->repairs)
			continue;
		if (!users_is_within(dir, place->path) ||
		    strstr(dir, "/../") != NULL)
			result = admin_refuse(err,
			    "'%s' is not in the store's folder '%s'", dir,
			    place->path);
		if (result == ADMIN_OK)
			result = user_dir_fill(dir, err);
		if (result == ADMIN_OK &&
		    user_dir_sync(place->path, dir, err) == -1)
			result = ADMIN_FAILED;
	}
	return result;
}

/*
 * A home that is nobody's.  With --adopt it is a user's again, who cannot log
 * in until vpasswd gives a password.
 */
static enum admin_result
tell_home(struct sync *sync, const struct place *place, const char *domain,
    const char *dir, struct error *err)
{
	AUTO(pg_result_free) struct pg_result *row = NULL;
	const char *name = strrchr(dir, '/') + 1;
	struct error reason;
	bool can_adopt = names_check_new_user(name, &reason) == 0;

	if (database_run(sync->pg, &row, err,
		"SELECT EXISTS (SELECT FROM mq.users WHERE dir = $1) OR EXISTS "
		"(SELECT FROM mq.tasks t WHERE t.state <> 'done' AND "
		"t.args->'dirs' ? $1), EXISTS (SELECT FROM mq.users u "
		"JOIN mq.domains d ON d.id = u.domain_id WHERE d.name = $2 "
		"AND u.name = $3)",
		dir, domain, name, NULL) != PG_OK)
		return ADMIN_FAILED;
	if (pg_bool(row, 0, 0))
		return ADMIN_OK;
	sync->differences++;
	can_adopt = can_adopt && !pg_bool(row, 0, 1);
	printf("'%s': no user's%s\n", dir,
	    pg_bool(row, 0, 1)		   ? ": one of that name has another"
		: sync->adopts && can_adopt ? ": adopted"
					    : "");
	if (!sync->adopts || !can_adopt)
		return ADMIN_OK;
	return database_result(database_run(sync->pg, NULL, err,
	    "INSERT INTO mq.users (domain_id, name, hash, dir, gecos, "
	    "store_id) SELECT id, $2, '*', $3, $2, $4::bigint "
	    "FROM mq.domains WHERE name = $1",
	    domain, name, dir, place->id, NULL));
}

static enum admin_result
check_homes(struct sync *sync, const struct place *place, const char *domain,
    const char *path, unsigned depth, struct error *err)
{
	DIR *folder = opendir(path);
	const struct dirent *entry;
	enum admin_result result = ADMIN_OK;

	if (folder == NULL)
		return errno == ENOENT
		    ? ADMIN_OK
		    : admin_fail(err, "cannot open '%s'", path);
	while (result == ADMIN_OK && (entry = readdir(folder)) != NULL) {
		OWN_TEXT inner = xasprintf("%s/%s", path, entry->d_name);
		struct stat st;

		if (*entry->d_name == '.' || lstat(inner, &st) == -1 ||
		    !S_ISDIR(st.st_mode))
			continue;
		if (is_home(inner))
			result = tell_home(sync, place, domain, inner, err);
		else if (depth < DEPTH_MAX && strlen(entry->d_name) == 1)
			result = check_homes(
			    sync, place, domain, inner, depth + 1, err);
	}
	closedir(folder);
	return result;
}

static enum admin_result
check_store(struct sync *sync, const char *name, struct error *err)
{
	AUTO(place_release) struct place place = { .name = NULL };
	AUTO(pg_result_free) struct pg_result *rows = NULL;
	enum admin_result result = ADMIN_OK;

	if (place_of_store(
		sync->pg, sync->own_node.data, name, &place, err) == -1)
		return ADMIN_FAILED;
	if (!place.is_here || *place.path == '\0')
		return ADMIN_OK;
	if (access(place.path, X_OK) == -1)
		return admin_fail(
		    err, "cannot reach the store's folder '%s'", place.path);
	result = check_users(sync, &place, err);
	if (result == ADMIN_OK)
		result = database_result(database_run(sync->pg, &rows, err,
		    "SELECT name FROM mq.domains WHERE is_clustered "
		    "AND is_active AND ($1 = '' OR name = $1) ORDER BY 1",
		    sync->domain, NULL));
	for (size_t i = 0; result == ADMIN_OK && i < pg_rows(rows); i++) {
		OWN_TEXT path = xasprintf(
		    "%s/%s", place.path, pg_text(rows, i, 0));

		result = check_homes(
		    sync, &place, pg_text(rows, i, 0), path, 0, err);
	}
	return result;
}

static enum admin_result
check_all(struct sync *sync, struct error *err)
{
	AUTO(pg_result_free) struct pg_result *rows = NULL;
	int found = place_own_node(sync->home->control, &sync->own_node, err);
	enum admin_result result;

	if (found != 1)
		return found == 0
		    ? admin_refuse(err, "this node is in no cluster")
		    : ADMIN_FAILED;
	if (identity_find(IDENTITY_VIRTUAL, &sync->owner, err) != 1)
		return ADMIN_FAILED;
	result = database_result(database_run(sync->pg, &rows, err,
	    "SELECT name FROM mq.stores ORDER BY 1", NULL));
	if (result == ADMIN_OK)
		result = owner_enter(sync->owner.uid, sync->owner.gid, err);
	if (result != ADMIN_OK)
		return result;
	for (size_t i = 0; result == ADMIN_OK && i < pg_rows(rows); i++)
		result = check_store(sync, pg_text(rows, i, 0), err);
	owner_leave();
	return result;
}

int
main(int argc, char **argv)
{
	struct sync sync = { .domain = "" };
	char domain[NAMES_DOMAIN_SIZE];
	enum admin_result result;
	struct error err;
	int option;

	cli_start("hostsync", argv, usage);
	while ((option = getopt_long(argc, argv, "d:", long_options, NULL)) !=
	    -1) {
		if (option == 'd') {
			if (names_domain(optarg, domain, &err) == -1)
				return cli_end(ADMIN_REFUSED, &err);
			sync.domain = domain;
		} else if (option == 'R')
			sync.repairs = true;
		else if (option == 'A')
			sync.adopts = true;
		else
			cli_usage(usage);
	}
	if (argc != optind)
		cli_usage(usage);
	buf_init(&sync.own_node);
	result = view_open(&sync.home, &sync.pg, &err);
	if (result == ADMIN_OK)
		result = check_all(&sync, &err);
	if (result == ADMIN_OK)
		printf("%zu differences\n", sync.differences);
	pg_free(&sync.pg);
	buf_release(&sync.own_node);
	home_free(&sync.home);
	return cli_end(result, &err);
}
