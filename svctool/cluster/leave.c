/* SPDX-License-Identifier: ISC */
/* svctool cluster leave and revoke: a node is no longer one of the cluster. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "adminsrv/database.h"
#include "base/mem.h"
#include "control/node_setting.h"
#include "control/settings.h"
#include "svctool/args.h"
#include "svctool/cluster/cluster.h"
#include "svctool/run/ports.h"
#include "svctool/run/service.h"
#include "svctool/svctool.h"

enum { SERVICE_S = 60 };

/* Stores that have no users go with their node. */
static int
remove_unused_stores(
    struct cluster_command *command, const char *name, const char *pin)
{
	struct error err;
	enum pg_status status = database_run(command->pg, NULL, &err,
	    "DELETE FROM mq.stores s USING mq.nodes n WHERE n.name = s.node "
	    "AND n.name = $1 AND ($2::text = '' OR $2::text = ANY(n.tls_pins)) "
	    "AND NOT EXISTS (SELECT FROM mq.users u WHERE u.store_id = s.id) "
	    "AND NOT EXISTS (SELECT FROM mq.moves m WHERE s.id IN "
	    "(m.from_store, m.to_store))",
	    name, pin, NULL);

	return status == PG_OK ? EXIT_FINE
			       : cluster_complain(command, status, &err);
}

/* What still hangs on a node: its stores.  Only if it has this pin, or "". */
static int
must_have_no_stores(
    struct cluster_command *command, const char *name, const char *pin)
{
	AUTO(pg_result_free) struct pg_result *rows = NULL;
	struct error err;
	enum pg_status status = database_run(command->pg, &rows, &err,
	    "SELECT s.name, coalesce(c.users, 0) FROM mq.stores s "
	    "LEFT JOIN mq.store_users c ON c.store_id = s.id "
	    "JOIN mq.nodes n ON n.name = s.node WHERE n.name = $1 "
	    "AND ($2::text = '' OR $2::text = ANY(n.tls_pins)) ORDER BY 1",
	    name, pin, NULL);

	if (status != PG_OK)
		return cluster_complain(command, status, &err);
	if (pg_rows(rows) == 0)
		return EXIT_FINE;
	error_set(&err,
	    "node '%s' serves the store '%s', which has %s users, and %zu "
	    "more: give its stores to other nodes, or move the users away",
	    name, pg_text(rows, 0, 0), pg_text(rows, 0, 1), pg_rows(rows) - 1);
	return complain(EXIT_TROUBLE, &err);
}

/* Where other nodes bring mail. */
static int
remove_listener(const struct node *node, struct error *err)
{
	OWN_TEXT name = NULL;
	struct port_address address;

	if (node_setting_address(node->home->control, SETTING_nodelisten,
		&address, err) != 1)
		return -1;
	name = service_listener_name(LISTENER_NODE, &address);
	return service_remove(node, name, SERVICE_S, err);
}

static int
remove_files(const struct node *node, struct error *err)
{
	static const enum layout_id files[] = { LAYOUT_nodecert_next,
		LAYOUT_cluster_key_next, LAYOUT_nodecert, LAYOUT_cluster_key,
		LAYOUT_cluster_domains, LAYOUT_cluster_nodes,
		LAYOUT_cluster_leases };
	OWN_TEXT setting = node_layout_path(node, LAYOUT_setting,
	    setting_rows[SETTING_nodename].name);

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (cluster_remove_file(node, files[i], err) == -1)
			return -1;
	/* At last: until then it is one of a cluster, which can leave again. */
	if (unlink(setting) == -1 && errno != ENOENT)
		return error_sys(err, "cannot remove '%s'", setting);
	make_say("removed", "%s", setting);
	return 0;
}

/* Another may have taken the name: then it is that one's row. */
static int
remove_own_row(
    struct cluster_command *command, const char *name, const char *pin)
{
	AUTO(pg_result_free) struct pg_result *result = NULL;
	struct error err;
	enum pg_status status = database_run(command->pg, &result, &err,
	    "DELETE FROM mq.nodes WHERE name = $1 AND $2::text = ANY(tls_pins)",
	    name, pin, NULL);

	if (status != PG_OK)
		return cluster_complain(command, status, &err);
	if (pg_changed(result) == 1)
		make_say("removed", "node %s of the cluster", name);
	else
		make_say("gone", "node %s, as the cluster knows it", name);
	return EXIT_FINE;
}

/* "none": it has no certificate any more. */
static void
read_own_pin(const struct node *node, char pin_out[CERTIFICATE_PIN_SIZE])
{
	OWN_TEXT path = node_layout_path(node, LAYOUT_nodecert);

	if (certificate_pin_of_file(path, pin_out, NULL) == -1)
		snprintf(pin_out, CERTIFICATE_PIN_SIZE, "none");
}

int
cluster_leave(int argc, char **argv)
{
	AUTO(cluster_release) struct cluster_command command = { .home = NULL };
	const struct arg_row rows[] = {
		CLUSTER_ROWS(command),
		{ NULL, ARG_FLAG, NULL },
	};
	char name[CLUSTER_NAME_SIZE], pin[CERTIFICATE_PIN_SIZE];
	struct error err;
	int code;

	if (args_parse(rows, argc, argv, NULL, &err) == -1)
		return complain(EXIT_USAGE, &err);
	code = cluster_open_named(&command, name);
	if (code != EXIT_FINE)
		return code;
	read_own_pin(command.node, pin);
	code = cluster_open_database(&command, NULL);
	if (code == EXIT_FINE)
		code = remove_unused_stores(&command, name, pin);
	if (code == EXIT_FINE)
		code = must_have_no_stores(&command, name, pin);
	if (code != EXIT_FINE)
		return code;
	if (remove_listener(command.node, &err) == -1 ||
	    service_remove(command.node, node_tasks_service, SERVICE_S, &err) ==
		-1 ||
	    service_remove(command.node, node_cluster_service, SERVICE_S,
		&err) == -1)
		return complain(EXIT_TROUBLE, &err);
	code = remove_own_row(&command, name, pin);
	if (code != EXIT_FINE)
		return code;
	if (remove_files(command.node, &err) == -1)
		return complain(EXIT_TROUBLE, &err);
	cluster_print(
	    &command, json_pack("{s:s, s:b}", "node", name, "has_left", 1));
	return EXIT_FINE;
}

/*
 * Its epoch ends what it holds with the next renewal.  The time of its lease
 * stays: until then it may act, and nobody else does.
 */
static const char revoke_sql[] =
    "UPDATE mq.nodes SET is_revoked = true, epoch = epoch + 1, "
    "instance = NULL WHERE name = $1";

static const char forget_sql[] =
    "DELETE FROM mq.nodes WHERE name = $1 AND is_revoked AND "
    "coalesce(lease_until < now(), true)";

static int
forget_node(struct cluster_command *command, const char *name)
{
	AUTO(pg_result_free) struct pg_result *result = NULL;
	int code = remove_unused_stores(command, name, "");
	struct error err;
	enum pg_status status;

	if (code == EXIT_FINE)
		code = must_have_no_stores(command, name, "");
	if (code != EXIT_FINE)
		return code;
	status = database_run(
	    command->pg, &result, &err, forget_sql, name, NULL);
	if (status != PG_OK)
		return cluster_complain(command, status, &err);
	if (pg_changed(result) == 0) {
		error_set(&err,
		    "node '%s' is revoked, but may act until its lease ends: "
		    "again in 15 seconds",
		    name);
		return complain(EXIT_TEMPORARY, &err);
	}
	make_say("removed", "node %s of the cluster", name);
	return EXIT_FINE;
}

static int
revoke_node(struct cluster_command *command, const char *name, bool is_forgotten)
{
	AUTO(pg_result_free) struct pg_result *result = NULL;
	struct error err;
	enum pg_status status = database_run(
	    command->pg, &result, &err, revoke_sql, name, NULL);

	if (status != PG_OK)
		return cluster_complain(command, status, &err);
	if (pg_changed(result) == 0) {
		error_set(&err, "the cluster has no node '%s'", name);
		return complain(EXIT_TROUBLE, &err);
	}
	make_say("revoked", "node %s: the others neither take mail from it nor "
			    "give it any",
	    name);
	puts("it still knows the database: change that password, too");
	return is_forgotten ? forget_node(command, name) : EXIT_FINE;
}

int
cluster_revoke(int argc, char **argv)
{
	AUTO(cluster_release) struct cluster_command command = { .home = NULL };
	AUTO(cluster_identity_release)
	struct cluster_identity identity = { .name = "" };
	bool is_forgotten = false;
	const struct arg_row rows[] = {
		{ "forget", ARG_FLAG, &is_forgotten },
		CLUSTER_ROWS(command),
		{ NULL, ARG_FLAG, NULL },
	};
	struct error err;
	int code, words;

	if (args_parse(rows, argc, argv, &words, &err) == -1)
		return complain(EXIT_USAGE, &err);
	if (words != 1)
		return EXIT_USAGE;
	code = cluster_open_member(&command, &identity);
	if (code != EXIT_FINE)
		return code;
	if (strcmp(argv[0], identity.name) == 0) {
		error_set(&err,
		    "'%s' is this node: 'svctool cluster leave', or revoke it "
		    "on another",
		    argv[0]);
		return complain(EXIT_TROUBLE, &err);
	}
	code = revoke_node(&command, argv[0], is_forgotten);
	if (code == EXIT_FINE)
		cluster_print(&command,
		    json_pack("{s:s, s:b, s:b}", "node", argv[0], "is_revoked",
			1, "is_forgotten", is_forgotten));
	return code;
}
