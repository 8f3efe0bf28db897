/* SPDX-License-Identifier: ISC */
/* vmoveuser: moves users of clustered domains to another store. */
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "adminsrv/cli.h"
#include "adminsrv/database.h"
#include "adminsrv/move.h"
#include "adminsrv/placement.h"
#include "adminsrv/tasks.h"
#include "base/log.h"
#include "base/mem.h"
#include "control/global_vars.h"

static const char usage[] =
    "usage: vmoveuser [--resume] [--no-wait] [--json] user@domain store\n"
    "       vmoveuser --from store --all [--no-wait] [--json] store\n";

static const struct option long_options[] = {
	{ "resume", no_argument, NULL, 'r' },
	{ "json", no_argument, NULL, 'j' },
	{ "from", required_argument, NULL, 'f' },
	{ "all", no_argument, NULL, 'a' },
	{ "no-wait", no_argument, NULL, 'w' },
	{ NULL, 0, NULL, 0 },
};

struct mover {
	struct home *home;
	struct pg *pg;
	struct buf own_node;
	const char *to_store, *from_store;
	bool resumes, is_all, no_wait, is_json;
	size_t moved, failed;
	struct task_ids ids; /* those that other nodes do */
};

static const char user_sql[] =
    "SELECT u.id, u.name || '@' || d.name, coalesce(f.id, s.id), "
    "coalesce(f.name, s.name), coalesce(m.state, '') FROM mq.users u "
    "JOIN mq.domains d ON d.id = u.domain_id "
    "LEFT JOIN mq.stores s ON s.id = u.store_id "
    "LEFT JOIN mq.moves m ON m.user_id = u.id "
    "LEFT JOIN mq.stores f ON f.id = m.from_store ";

/* Here, or as a task of the node that has the files. */
static enum admin_result
move_row(struct mover *mover, const struct pg_result *rows, size_t row,
    struct progress *progress, struct error *err)
{
	AUTO(place_release) struct place place = { .name = NULL };
	const char *id = pg_text(rows, row, 0);
	const char *from = pg_text(rows, row, 3);
	int found;

	if (from == NULL)
		return admin_refuse(err,
		    "'%s' is in no store: the domain is one node's alone",
		    pg_text(rows, row, 1));
	if (*pg_text(rows, row, 4) == '\0' && strcmp(from, mover->to_store) == 0)
		return ADMIN_OK; /* there already */
	found = place_of_store(
	    mover->pg, mover->own_node.data, from, &place, err);
	if (found != 1)
		return found == 0 ? admin_refuse(err, "no store '%s'", from)
				  : ADMIN_FAILED;
	if (place.is_here)
		return move_user(mover->home, mover->pg, mover->own_node.data,
		    id, mover->to_store, progress, err);
	return task_add_move(mover->pg, pg_text(rows, row, 2), id,
		   mover->to_store, &mover->ids, err) == PG_OK
	    ? ADMIN_OK
	    : ADMIN_FAILED;
}

static enum admin_result
move_one(struct mover *mover, const char *argument, struct error *err)
{
	AUTO(pg_result_free) struct pg_result *rows = NULL;
	OWN_TEXT sql = xasprintf("%sWHERE u.name = $1 AND d.name = "
				 "coalesce((SELECT r.name FROM "
				 "mq.domain_aliases a JOIN mq.domains r "
				 "ON r.id = a.domain_id WHERE a.name = $2), $2)",
	    user_sql);
	struct names_address address;
	struct progress progress;
	enum admin_result result;

	if (names_address(argument, &address, err) == -1)
		return ADMIN_REFUSED;
	if (database_run(mover->pg, &rows, err, sql, address.local,
		address.domain, NULL) != PG_OK)
		return ADMIN_FAILED;
	if (pg_rows(rows) == 0)
		return admin_refuse(err, "no user '%s'", argument);
	if (mover->resumes && *pg_text(rows, 0, 4) == '\0')
		return admin_refuse(err,
		    "'%s' is not on the way to another store: nothing to "
		    "resume",
		    argument);
	progress_begin(&progress, "copying files", 0);
	result = move_row(mover, rows, 0, &progress, err);
	progress_end(&progress);
	return result;
}

/* Those that were begun first; one that fails does not stop the others. */
static enum admin_result
move_all(struct mover *mover, struct error *err)
{
	AUTO(pg_result_free) struct pg_result *rows = NULL;
	OWN_TEXT sql = xasprintf(
	    "%sWHERE coalesce(f.name, s.name) = $1 "
	    "ORDER BY m.state IS NULL, u.id",
	    user_sql);
	struct progress progress;
	struct error last;

	if (database_run(
		mover->pg, &rows, err, sql, mover->from_store, NULL) != PG_OK)
		return ADMIN_FAILED;
	progress_begin(&progress, "moving users", pg_rows(rows));
	for (size_t i = 0; i < pg_rows(rows); i++) {
		if (move_row(mover, rows, i, NULL, &last) == ADMIN_OK)
			mover->moved++;
		else {
			mover->failed++;
			log_line("%s: %s", pg_text(rows, i, 1), last.text);
			*err = last;
		}
		progress_add(&progress, 1);
	}
	progress_end(&progress);
	if (mover->failed == 0)
		return ADMIN_OK;
	error_set(err, "%zu of %zu users stay in '%s': the same again goes on",
	    mover->failed, pg_rows(rows), mover->from_store);
	return ADMIN_FAILED;
}

static enum admin_result
open_mover(struct mover *mover, struct error *err)
{
	int found = place_own_node(
	    mover->home->control, &mover->own_node, err);

	if (found != 1)
		return found == 0 ? admin_refuse(err, "this node is in no "
						      "cluster")
				  : ADMIN_FAILED;
	return database_open(mover->home->control, true, &mover->pg, err);
}

static enum admin_result
run_mover(struct mover *mover, const char *argument, struct error *err)
{
	enum admin_result result = open_mover(mover, err);
	enum admin_result waited;
	struct error other;

	if (result != ADMIN_OK)
		return result;
	result = mover->is_all ? move_all(mover, err)
			       : move_one(mover, argument, err);
	waited = mover->no_wait ? ADMIN_OK
				: tasks_wait(mover->pg, &mover->ids, &other);
	if (result == ADMIN_OK && waited != ADMIN_OK) {
		*err = other;
		result = waited;
	}
	return result;
}

int
main(int argc, char **argv)
{
	struct mover mover = { .home = NULL };
	enum admin_result result;
	struct error err = { .text = "" };
	int option;

	cli_start("vmoveuser", argv, usage);
	while ((option = getopt_long(argc, argv, "v", long_options, NULL)) !=
	    -1) {
		if (option == 'r')
			mover.resumes = true;
		else if (option == 'j')
			mover.is_json = true;
		else if (option == 'f')
			mover.from_store = optarg;
		else if (option == 'a')
			mover.is_all = true;
		else if (option == 'w')
			mover.no_wait = true;
		else if (option == 'v')
			cli_be_verbose();
		else
			cli_usage(usage);
	}
	if (mover.is_all != (mover.from_store != NULL) ||
	    argc - optind != (mover.is_all ? 1 : 2) ||
	    (mover.is_all && mover.resumes))
		cli_usage(usage);
	mover.to_store = argv[argc - 1];
	mover.home = global_vars_home();
	buf_init(&mover.own_node);
	result = run_mover(&mover, argv[optind], &err);
	if (mover.is_json)
		printf("{\"store\": \"%s\", \"moved\": %zu, \"failed\": %zu, "
		       "\"tasks\": %zu, \"is_done\": %s}\n",
		    result == ADMIN_REFUSED ? "" : mover.to_store,
		    mover.is_all ? mover.moved : result == ADMIN_OK,
		    mover.is_all ? mover.failed : result != ADMIN_OK,
		    mover.ids.count, result == ADMIN_OK ? "true" : "false");
	result = (enum admin_result)cli_end_change(mover.home, "vmoveuser",
	    result, &err, argv[optind], mover.to_store, NULL);
	task_ids_release(&mover.ids);
	pg_free(&mover.pg);
	buf_release(&mover.own_node);
	home_free(&mover.home);
	return (int)result;
}
