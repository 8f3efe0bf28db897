/* SPDX-License-Identifier: ISC */
/* svctool cluster store, group, takeover, run-tasks: mailbox trees. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adminsrv/database.h"
#include "adminsrv/placement.h"
#include "adminsrv/tasks.h"
#include "base/file.h"
#include "base/mem.h"
#include "control/identity.h"
#include "control/node_setting.h"
#include "svctool/args.h"
#include "svctool/cluster/cluster.h"
#include "svctool/svctool.h"

/* What add and set say of one; NULL: as it is, or the standard. */
struct store_options {
	struct cluster_command command;
	struct cluster_identity identity;
	const char *node, *path, *group, *weight, *max_users, *max_bytes;
	bool is_many_served, is_open, is_closed;
};

#define STORE_ROWS(options)                                          \
	{ "group", ARG_TEXT, &(options).group },                     \
	    { "weight", ARG_TEXT, &(options).weight },               \
	    { "max-users", ARG_TEXT, &(options).max_users },         \
	    { "max-bytes", ARG_TEXT, &(options).max_bytes }, CLUSTER_ROWS( \
		(options).command)

static void
release_options(struct store_options *options)
{
	cluster_identity_release(&options->identity);
	cluster_release(&options->command);
}

static const char *
or_empty(const char *text)
{
	return text == NULL ? "" : text;
}

/* -- a store's folder on the node that serves it */

/*
 * The folder, its owner's, and the line of control/homeroots: deliveries go
 * nowhere else.
 */
int
cluster_make_store_folder(
    const struct node *node, const char *path, struct error *err)
{
	const struct home *home = node->home;
	OWN_TEXT roots = layout_path(home, LAYOUT_setting, "homeroots");
	AUTO(buf_release) struct buf text = BUF_INIT;
	struct strlist lines = { NULL, 0 };
	struct identity owner;
	struct stat st;
	size_t length = strlen(home->domains);
	bool is_in = strncmp(path, home->domains, length) == 0 &&
	    (path[length] == '\0' || path[length] == '/');
	int result = 0;

	if (identity_find(IDENTITY_VIRTUAL, &owner, err) != 1 ||
	    file_make_dirs(path, 0755, err) == -1)
		return -1;
	if (stat(path, &st) == -1)
		return error_sys(err, "cannot look at '%s'", path);
	if (st.st_uid == geteuid() && st.st_uid != owner.uid && !is_in &&
	    chown(path, owner.uid, owner.gid) == -1)
		return error_sys(err, "cannot give '%s' to '%s'", path,
		    owner.name);
	if (is_in)
		return 0;
	if (node_setting_lines(
		home->control, SETTING_homeroots, &lines, err) == -1)
		return -1;
	if (!strlist_has(&lines, path)) {
		if (file_read(roots, 1024 * 1024, &text, err) == -1)
			result = -1;
		if (text.length > 0 && text.data[text.length - 1] != '\n')
			buf_addc(&text, '\n');
		buf_addf(&text, "%s\n", path);
		if (result == 0)
			result = file_replace(
			    roots, text.data, text.length, 0644, err);
		if (result == 0)
			make_say("changed",
			    "%s; the queues take it after 'svctool restart'",
			    roots);
	}
	strlist_release(&lines);
	return result;
}

/* -- add */

/* $1 name, $2 group, $3 path, $4 node, $5.. weight, users, bytes, many */
static const char add_sql[] =
    "WITH g AS (INSERT INTO mq.store_groups (name) SELECT $2 WHERE $2 <> '' "
    "ON CONFLICT DO NOTHING) "
    "INSERT INTO mq.stores (name, group_name, path, node, weight, max_users, "
    "max_bytes, is_many_served) VALUES ($1, nullif($2, ''), $3, "
    "nullif($4, ''), coalesce(nullif($5, '')::int, 100), "
    "coalesce(nullif($6, '')::bigint, 0), "
    "coalesce(nullif($7, '')::bigint, 0), $8::boolean)";

static int
check_node_of(struct store_options *options, const char *node)
{
	AUTO(pg_result_free) struct pg_result *row = NULL;
	struct error err;
	enum pg_status status = database_run(options->command.pg, &row, &err,
	    "SELECT role FROM mq.nodes WHERE name = $1 AND NOT is_revoked",
	    node, NULL);

	if (status != PG_OK)
		return cluster_complain(&options->command, status, &err);
	if (pg_rows(row) == 1 && strcmp(pg_text(row, 0, 0), "front") != 0 &&
	    strcmp(pg_text(row, 0, 0), "legacy") != 0)
		return EXIT_FINE;
	if (pg_rows(row) == 0)
		error_set(&err, "the cluster has no node '%s'", node);
	else
		error_set(&err,
		    "node '%s' is of role %s, which serves no stores", node,
		    pg_text(row, 0, 0));
	return complain(EXIT_TROUBLE, &err);
}

static int
add_store(struct store_options *options, const char *name)
{
	struct cluster_command *command = &options->command;
	const char *node = options->node != NULL ? options->node
	    : options->is_many_served		 ? ""
						 : options->identity.name;
	bool is_ours = strcmp(node, options->identity.name) == 0;
	struct error err;
	enum pg_status status;
	int code = *node == '\0' ? EXIT_FINE : check_node_of(options, node);

	if (code != EXIT_FINE)
		return code;
	if ((is_ours || options->is_many_served) &&
	    cluster_make_store_folder(command->node, options->path, &err) == -1)
		return complain(EXIT_TROUBLE, &err);
	status = database_run(command->pg, NULL, &err, add_sql, name,
	    or_empty(options->group), options->path, node,
	    or_empty(options->weight), or_empty(options->max_users),
	    or_empty(options->max_bytes),
	    options->is_many_served ? "true" : "false", NULL);
	if (status == PG_DUPLICATE)
		error_set(&err, "there is a store '%s' already", name);
	if (status != PG_OK)
		return cluster_complain(command, status, &err);
	make_say("made", "store %s in %s of node %s", name, options->path,
	    *node == '\0' ? "any of its group" : node);
	if (!is_ours)
		printf("on node %s: the folder, of the user vmail, and its "
		       "line in control/homeroots\n",
		    *node == '\0' ? "by node" : node);
	cluster_print(command,
	    json_pack("{s:s, s:s, s:s}", "store", name, "node", node, "path",
		options->path));
	return EXIT_FINE;
}

static int
run_add(int argc, char **argv)
{
	AUTO(release_options) struct store_options options = { .path = NULL };
	const struct arg_row rows[] = {
		{ "node", ARG_TEXT, &options.node },
		{ "path", ARG_TEXT, &options.path },
		{ "many-served", ARG_FLAG, &options.is_many_served },
		STORE_ROWS(options),
		{ NULL, ARG_FLAG, NULL },
	};
	struct error err;
	int code, words;

	if (args_parse(rows, argc, argv, &words, &err) == -1)
		return complain(EXIT_USAGE, &err);
	if (words != 1 || options.path == NULL)
		return EXIT_USAGE;
	code = cluster_open_member(&options.command, &options.identity);
	return code == EXIT_FINE ? add_store(&options, argv[0]) : code;
}

/* -- set, remove */

static const char set_sql[] =
    "WITH g AS (INSERT INTO mq.store_groups (name) SELECT $2 "
    "WHERE $2 NOT IN ('', '-') ON CONFLICT DO NOTHING) "
    "UPDATE mq.stores SET group_name = CASE $2 WHEN '' THEN group_name "
    "WHEN '-' THEN NULL ELSE $2 END, "
    "weight = coalesce(nullif($3, '')::int, weight), "
    "max_users = coalesce(nullif($4, '')::bigint, max_users), "
    "max_bytes = coalesce(nullif($5, '')::bigint, max_bytes), "
    "is_accepting = coalesce(nullif($6, '')::boolean, is_accepting) "
    "WHERE name = $1";

static int
run_set(int argc, char **argv)
{
	AUTO(release_options) struct store_options options = { .path = NULL };
	AUTO(pg_result_free) struct pg_result *result = NULL;
	const struct arg_row rows[] = {
		{ "open", ARG_FLAG, &options.is_open },
		{ "close", ARG_FLAG, &options.is_closed },
		STORE_ROWS(options),
		{ NULL, ARG_FLAG, NULL },
	};
	struct error err;
	enum pg_status status;
	int code, words;

	if (args_parse(rows, argc, argv, &words, &err) == -1)
		return complain(EXIT_USAGE, &err);
	if (words != 1 || (options.is_open && options.is_closed))
		return EXIT_USAGE;
	code = cluster_open_member(&options.command, &options.identity);
	if (code != EXIT_FINE)
		return code;
	status = database_run(options.command.pg, &result, &err, set_sql,
	    argv[0], or_empty(options.group), or_empty(options.weight),
	    or_empty(options.max_users), or_empty(options.max_bytes),
	    options.is_open	    ? "true"
		: options.is_closed ? "false"
				    : "",
	    NULL);
	if (status == PG_OK && pg_changed(result) == 0) {
		error_set(&err, "no store '%s'", argv[0]);
		status = PG_REFUSED;
	}
	if (status != PG_OK)
		return cluster_complain(&options.command, status, &err);
	make_say("changed", "store %s", argv[0]);
	cluster_print(&options.command, json_pack("{s:s}", "store", argv[0]));
	return EXIT_FINE;
}

static const char remove_sql[] =
    "DELETE FROM mq.stores s WHERE name = $1 "
    "AND NOT EXISTS (SELECT FROM mq.users u WHERE u.store_id = s.id) "
    "AND NOT EXISTS (SELECT FROM mq.moves m WHERE s.id IN "
    "(m.from_store, m.to_store)) "
    "AND NOT EXISTS (SELECT FROM mq.tasks t WHERE t.store_id = s.id "
    "AND t.state IN ('waiting', 'running'))";

static const char why_stays_sql[] =
    "SELECT coalesce(c.users, 0), (SELECT count(*) FROM mq.moves m "
    "WHERE s.id IN (m.from_store, m.to_store)), (SELECT count(*) "
    "FROM mq.tasks t WHERE t.store_id = s.id "
    "AND t.state IN ('waiting', 'running')) FROM mq.stores s "
    "LEFT JOIN mq.store_users c ON c.store_id = s.id WHERE s.name = $1";

static int
remove_store(struct store_options *options, const char *name)
{
	AUTO(pg_result_free) struct pg_result *result = NULL;
	AUTO(pg_result_free) struct pg_result *row = NULL;
	struct error err;
	enum pg_status status = database_run(
	    options->command.pg, &result, &err, remove_sql, name, NULL);

	if (status == PG_OK && pg_changed(result) == 1) {
		make_say("removed", "store %s; its folder stays", name);
		cluster_print(
		    &options->command, json_pack("{s:s}", "store", name));
		return EXIT_FINE;
	}
	if (status == PG_OK)
		status = database_run(options->command.pg, &row, &err,
		    why_stays_sql, name, NULL);
	if (status != PG_OK)
		return cluster_complain(&options->command, status, &err);
	if (pg_rows(row) == 0)
		error_set(&err, "no store '%s'", name);
	else
		error_set(&err,
		    "store '%s' has %s users, %s users are on their way, and "
		    "%s tasks wait: 'vmoveuser --from %s --all STORE' moves "
		    "the users away",
		    name, pg_text(row, 0, 0), pg_text(row, 0, 1),
		    pg_text(row, 0, 2), name);
	return complain(EXIT_TROUBLE, &err);
}

/* A verb whose words are counted, and which has no options of its own. */
static int
open_words(struct store_options *options, int argc, char **argv, int wanted)
{
	const struct arg_row rows[] = {
		CLUSTER_ROWS(options->command),
		{ NULL, ARG_FLAG, NULL },
	};
	struct error err;
	int words;

	if (args_parse(rows, argc, argv, &words, &err) == -1)
		return complain(EXIT_USAGE, &err);
	if (words != wanted)
		return EXIT_USAGE;
	return cluster_open_member(&options->command, &options->identity);
}

static int
run_remove(int argc, char **argv)
{
	AUTO(release_options) struct store_options options = { .path = NULL };
	int code = open_words(&options, argc, argv, 1);

	return code == EXIT_FINE ? remove_store(&options, argv[0]) : code;
}

/* -- list */

static const char list_sql[] =
    "SELECT s.name, coalesce(s.node, ''), s.path, coalesce(s.group_name, ''), "
    "s.weight, coalesce(c.users, 0), s.max_users, (SELECT coalesce("
    "sum(g.bytes), 0) FROM mq.usage g JOIN mq.users u ON u.id = g.user_id "
    "WHERE u.store_id = s.id), s.max_bytes, s.is_many_served, "
    "s.is_accepting, coalesce(n.is_alive, s.is_many_served), s.epoch, "
    "coalesce(s.lease_until > now(), false), coalesce(g.takeover, false), "
    "(SELECT count(*) FROM mq.tasks t WHERE t.store_id = s.id "
    "AND t.state IN ('waiting', 'running')) FROM mq.stores s "
    "LEFT JOIN mq.live_nodes n ON n.name = s.node "
    "LEFT JOIN mq.store_groups g ON g.name = s.group_name "
    "LEFT JOIN mq.store_users c ON c.store_id = s.id ORDER BY 1";

static json_t *
store_json(const struct pg_result *rows, size_t i)
{
	return json_pack(
	    "{s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:b, s:b, s:b, s:I, "
	    "s:b, s:b, s:I}",
	    "store", pg_text(rows, i, 0), "node", pg_text(rows, i, 1), "path",
	    pg_text(rows, i, 2), "group", pg_text(rows, i, 3), "weight",
	    (json_int_t)pg_number(rows, i, 4), "users",
	    (json_int_t)pg_number(rows, i, 5), "max_users",
	    (json_int_t)pg_number(rows, i, 6), "bytes",
	    (json_int_t)pg_number(rows, i, 7), "max_bytes",
	    (json_int_t)pg_number(rows, i, 8), "is_many_served",
	    pg_bool(rows, i, 9), "is_accepting", pg_bool(rows, i, 10),
	    "is_alive", pg_bool(rows, i, 11), "epoch",
	    (json_int_t)pg_number(rows, i, 12), "has_lease",
	    pg_bool(rows, i, 13), "has_takeover", pg_bool(rows, i, 14), "tasks",
	    (json_int_t)pg_number(rows, i, 15));
}

static void
print_store(const struct pg_result *rows, size_t i)
{
	OWN_TEXT most = pg_number(rows, i, 6) == 0
	    ? xstrdup("")
	    : xasprintf(" of %s", pg_text(rows, i, 6));

	printf("%-16s %-16s %s users%s, weight %s, %s%s%s%s%s%s\n",
	    pg_text(rows, i, 0),
	    *pg_text(rows, i, 1) == '\0' ? "-" : pg_text(rows, i, 1),
	    pg_text(rows, i, 5), most, pg_text(rows, i, 4), pg_text(rows, i, 2),
	    pg_bool(rows, i, 9) ? ", many-served" : "",
	    pg_bool(rows, i, 10) ? "" : ", closed",
	    pg_bool(rows, i, 11) ? "" : ", node away",
	    *pg_text(rows, i, 3) == '\0' ? "" : ", group ", pg_text(rows, i, 3));
}

static int
run_list(int argc, char **argv)
{
	AUTO(release_options) struct store_options options = { .path = NULL };
	AUTO(pg_result_free) struct pg_result *rows = NULL;
	struct error err;
	enum pg_status status;
	json_t *array;
	int code = open_words(&options, argc, argv, 0);

	if (code != EXIT_FINE)
		return code;
	status = database_run(
	    options.command.pg, &rows, &err, list_sql, NULL);
	if (status != PG_OK)
		return cluster_complain(&options.command, status, &err);
	array = json_array();
	for (size_t i = 0; i < pg_rows(rows); i++) {
		if (!options.command.is_json)
			print_store(rows, i);
		json_array_append_new(array, store_json(rows, i));
	}
	cluster_print(&options.command, array);
	return EXIT_FINE;
}

/* svctool cluster store group NAME --takeover | --no-takeover */
static int
run_group(int argc, char **argv)
{
	AUTO(release_options) struct store_options options = { .path = NULL };
	bool takes = false, takes_not = false;
	const struct arg_row rows[] = {
		{ "takeover", ARG_FLAG, &takes },
		{ "no-takeover", ARG_FLAG, &takes_not },
		CLUSTER_ROWS(options.command),
		{ NULL, ARG_FLAG, NULL },
	};
	struct error err;
	enum pg_status status;
	int code, words;

	if (args_parse(rows, argc, argv, &words, &err) == -1)
		return complain(EXIT_USAGE, &err);
	if (words != 1 || takes == takes_not)
		return EXIT_USAGE;
	code = cluster_open_member(&options.command, &options.identity);
	if (code != EXIT_FINE)
		return code;
	status = database_run(options.command.pg, NULL, &err,
	    "INSERT INTO mq.store_groups (name, takeover) "
	    "VALUES ($1, $2::boolean) ON CONFLICT (name) DO UPDATE "
	    "SET takeover = excluded.takeover",
	    argv[0], takes ? "true" : "false", NULL);
	if (status != PG_OK)
		return cluster_complain(&options.command, status, &err);
	make_say("changed", "group %s: a dead node's stores are %s", argv[0],
	    takes ? "taken over by others" : "left to it");
	cluster_print(&options.command,
	    json_pack("{s:s, s:b}", "group", argv[0], "takeover", takes));
	return EXIT_FINE;
}

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} store_verbs[] = {
	{ "add", run_add },
	{ "list", run_list },
	{ "set", run_set },
	{ "remove", run_remove },
	{ "group", run_group },
};

int
cluster_store(int argc, char **argv)
{
	for (size_t i = 0;
	     argc > 0 && i < sizeof(store_verbs) / sizeof(store_verbs[0]); i++)
		if (strcmp(argv[0], store_verbs[i].name) == 0)
			return store_verbs[i].run(argc - 1, argv + 1);
	return EXIT_USAGE;
}

/* -- takeover */

/*
 * $1 store, $2 node.  Its epoch ends what the one before it may still think
 * that it holds; the lease is the new node's to take.
 */
static const char takeover_sql[] =
    "UPDATE mq.stores s SET node = $2, epoch = s.epoch + 1, "
    "lease_until = NULL WHERE s.name = $1 AND s.node IS DISTINCT FROM $2 "
    "AND (s.lease_until IS NULL OR s.lease_until <= now()) "
    "AND NOT EXISTS (SELECT FROM mq.live_nodes n WHERE n.name = s.node "
    "AND n.is_alive) "
    "AND EXISTS (SELECT FROM mq.live_nodes n WHERE n.name = $2 "
    "AND n.role IN ('all', 'store') AND (n.is_alive OR n.name = $3))";

static const char why_not_sql[] =
    "SELECT coalesce(s.node, ''), coalesce(s.lease_until > now(), false) OR "
    "coalesce(o.is_alive, false), n.name IS NOT NULL, "
    "coalesce(n.role, ''), coalesce(extract(epoch FROM greatest("
    "s.lease_until, o.lease_until) - now()), 0)::int FROM mq.stores s "
    "LEFT JOIN mq.live_nodes o ON o.name = s.node "
    "LEFT JOIN mq.live_nodes n ON n.name = $2 WHERE s.name = $1";

static int
say_no_takeover(struct store_options *options, const char *store)
{
	AUTO(pg_result_free) struct pg_result *row = NULL;
	struct error err;
	enum pg_status status = database_run(options->command.pg, &row, &err,
	    why_not_sql, store, options->node, NULL);

	if (status != PG_OK)
		return cluster_complain(&options->command, status, &err);
	if (pg_rows(row) == 0)
		error_set(&err, "no store '%s'", store);
	else if (strcmp(pg_text(row, 0, 0), options->node) == 0)
		error_set(&err, "node '%s' serves store '%s' already",
		    options->node, store);
	else if (!pg_bool(row, 0, 2))
		error_set(&err, "the cluster has no node '%s'", options->node);
	else if (pg_bool(row, 0, 1)) {
		error_set(&err,
		    "node '%s' serves store '%s', and its lease lives for %s "
		    "seconds: stop that node first, or wait until it is dead",
		    pg_text(row, 0, 0), store, pg_text(row, 0, 4));
		return complain(EXIT_TEMPORARY, &err);
	} else
		error_set(&err,
		    "node '%s' cannot serve it: it is away, or of role %s",
		    options->node, pg_text(row, 0, 3));
	return complain(EXIT_TROUBLE, &err);
}

static int
take_over(struct store_options *options, const char *store)
{
	struct cluster_command *command = &options->command;
	AUTO(place_release) struct place place = { .name = NULL };
	AUTO(pg_result_free) struct pg_result *result = NULL;
	bool is_ours = strcmp(options->node, options->identity.name) == 0;
	struct error err;
	enum pg_status status;
	int found = place_of_store(
	    command->pg, options->identity.name, store, &place, &err);

	if (found == -1)
		return cluster_complain(command, PG_UNKNOWN, &err);
	if (found == 1 && is_ours && access(place.path, X_OK) == -1) {
		error_sys(&err,
		    "the store's folder '%s' cannot be reached on this node",
		    place.path);
		return complain(EXIT_TROUBLE, &err);
	}
	status = database_run(command->pg, &result, &err, takeover_sql, store,
	    options->node, options->identity.name, NULL);
	if (status != PG_OK)
		return cluster_complain(command, status, &err);
	if (pg_changed(result) == 0)
		return say_no_takeover(options, store);
	if (is_ours &&
	    cluster_make_store_folder(command->node, place.path, &err) == -1)
		return complain(EXIT_TROUBLE, &err);
	make_say("changed", "store %s: node %s serves it", store,
	    options->node);
	cluster_print(command,
	    json_pack("{s:s, s:s}", "store", store, "node", options->node));
	return EXIT_FINE;
}

int
cluster_takeover(int argc, char **argv)
{
	AUTO(release_options) struct store_options options = { .path = NULL };
	const struct arg_row rows[] = {
		{ "to", ARG_TEXT, &options.node },
		CLUSTER_ROWS(options.command),
		{ NULL, ARG_FLAG, NULL },
	};
	struct error err;
	int code, words;

	if (args_parse(rows, argc, argv, &words, &err) == -1)
		return complain(EXIT_USAGE, &err);
	if (words != 1 || options.node == NULL)
		return EXIT_USAGE;
	code = cluster_open_member(&options.command, &options.identity);
	return code == EXIT_FINE ? take_over(&options, argv[0]) : code;
}

/* -- run-tasks */

int
cluster_run_tasks(int argc, char **argv)
{
	AUTO(release_options) struct store_options options = { .path = NULL };
	struct tasks_count count;
	struct error err;
	enum admin_result result;
	int code = open_words(&options, argc, argv, 0);

	if (code != EXIT_FINE)
		return code;
	result = tasks_run(options.command.node->home, options.command.pg,
	    options.identity.name, TASKS_ALL, &count, &err);
	if (result != ADMIN_OK)
		return complain(result == ADMIN_FAILED ? EXIT_TEMPORARY
						       : EXIT_TROUBLE,
		    &err);
	if (count.done + count.failed + count.retried > 0)
		make_say("done", "%zu tasks; %zu failed, %zu are tried again",
		    count.done, count.failed, count.retried);
	cluster_print(&options.command,
	    json_pack("{s:I, s:I, s:I}", "done", (json_int_t)count.done,
		"failed", (json_int_t)count.failed, "retried",
		(json_int_t)count.retried));
	return EXIT_FINE;
}
