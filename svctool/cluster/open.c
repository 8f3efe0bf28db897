/* SPDX-License-Identifier: ISC */
/* What the verbs of svctool cluster begin with. */
#include <stdlib.h>
#include <unistd.h>

#include "adminsrv/database.h"
#include "base/mem.h"
#include "lookupd/schema.h"
#include "svctool/cluster/cluster.h"
#include "svctool/svctool.h"

enum { CONNECT_MS = 20000 };

int
cluster_open_node(struct cluster_command *command)
{
	struct error err;

	if (command->is_json) {
		int fd = dup(STDOUT_FILENO);

		command->json_out = fd == -1 ? NULL : fdopen(fd, "w");
		if (command->json_out == NULL ||
		    dup2(STDERR_FILENO, STDOUT_FILENO) == -1) {
			error_sys(&err, "cannot keep the standard output");
			return complain(EXIT_TROUBLE, &err);
		}
	}
	command->node = node_new(command->home, NULL, &err);
	if (command->node == NULL || !node_exists(command->node, &err) ||
	    !node_is_ours(command->node, &err))
		return complain(EXIT_TROUBLE, &err);
	command->maker = (struct maker){ .node = command->node,
		.has_users = geteuid() == 0 };
	return EXIT_FINE;
}

static enum pg_status
connect_to(struct cluster_command *command, const char *conninfo,
    struct error *err)
{
	const struct pg_options options = { .conninfo = conninfo,
		.program = "mqmail cluster",
		.is_writer = true };
	int version = 0;
	enum pg_status status;

	command->pg = pg_new(&options, err);
	if (command->pg == NULL)
		return PG_REFUSED;
	status = pg_connect(command->pg, CONNECT_MS, err);
	if (status == PG_OK)
		status = schema_version(command->pg, &version, err);
	if (status != PG_OK || version == schema_newest())
		return status;
	if (version == 0)
		error_set(err,
		    "the database has no tables of mqmail: 'svctool cluster "
		    "init' on the first node, after 'svctool db init'");
	else
		error_set(err,
		    "the database has version %d of the schema, and this "
		    "program needs %d: %s",
		    version, schema_newest(),
		    version < schema_newest()
			? "run 'svctool db upgrade' once all nodes have this "
			  "version of mqmail"
			: "upgrade mqmail on this node");
	return PG_REFUSED;
}

int
cluster_open_database(struct cluster_command *command, const char *conninfo)
{
	struct error err;
	enum admin_result result;
	enum pg_status status;

	if (conninfo == NULL) {
		result = database_open(
		    command->node->home->control, true, &command->pg, &err);
		return result == ADMIN_OK ? EXIT_FINE
					  : complain(result == ADMIN_FAILED
						    ? EXIT_TEMPORARY
						    : EXIT_TROUBLE,
						&err);
	}
	status = connect_to(command, conninfo, &err);
	return status == PG_OK ? EXIT_FINE
			       : cluster_complain(command, status, &err);
}

int
cluster_open_named(
    struct cluster_command *command, char name_out[CLUSTER_NAME_SIZE])
{
	int code = cluster_open_node(command);
	struct error err;
	int found;

	if (code != EXIT_FINE)
		return code;
	found = cluster_name_read(command->node->home, name_out, &err);
	if (found == 0)
		error_set(&err, "this node is in no cluster");
	return found == 1 ? EXIT_FINE : complain(EXIT_TROUBLE, &err);
}

int
cluster_open_member(
    struct cluster_command *command, struct cluster_identity *identity_out)
{
	int code = cluster_open_node(command);
	struct error err;
	int found;

	if (code != EXIT_FINE)
		return code;
	found = cluster_identity_read(command->node->home, identity_out, &err);
	if (found == 0)
		error_set(&err,
		    "this node is in no cluster: 'svctool cluster init' makes "
		    "one, 'svctool cluster join' enters one");
	return found == 1 ? cluster_open_database(command, NULL)
			  : complain(EXIT_TROUBLE, &err);
}

void
cluster_release(struct cluster_command *command)
{
	pg_free(&command->pg);
	node_free(&command->node);
	if (command->json_out != NULL)
		fclose(command->json_out);
}

void
cluster_print(struct cluster_command *command, json_t *object)
{
	if (command->json_out != NULL) {
		json_dumpf(object, command->json_out, JSON_INDENT(2));
		putc('\n', command->json_out);
	}
	json_decref(object);
}

int
cluster_complain(struct cluster_command *command, enum pg_status status,
    const struct error *err)
{
	int code = complain(
	    status == PG_UNKNOWN ? EXIT_TEMPORARY : EXIT_TROUBLE, err);

	if (command->pg != NULL)
		pg_rollback(command->pg);
	return code;
}
