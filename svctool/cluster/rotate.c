/* SPDX-License-Identifier: ISC */
/*
 * svctool cluster rotate-keys: new keys without a gap.
 *
 * The new ones are made beside the old and told to all in the database; when
 * the others know them, they take the place of the old, which stay good for an
 * hour, for what is under way.  Each step can be done again: who finds the files
 * of a run that was killed goes on with them.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "adminsrv/database.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/test_time.h"
#include "svctool/cluster/cluster.h"
#include "svctool/args.h"
#include "svctool/run/service.h"
#include "svctool/svctool.h"

/* By then each clusterd has written the files of its node anew, twice over. */
enum { KNOWN_MS = 12000 };

struct rotation {
	struct cluster_command *command;
	const char *name;
	char pin[CERTIFICATE_PIN_SIZE], key[CLUSTER_KEY_SIZE];
};

/*
 * $1 name, $2 the new pin, $3 the new key, $4 the pin that the node shows, by
 * which it is known to be that node.  What is there in front is in use.
 */
static const char announce_sql[] =
    "UPDATE mq.nodes SET old_keys_until = 'infinity', "
    "tls_pins = CASE WHEN tls_pins[1] = $2::text THEN tls_pins "
    "ELSE ARRAY[tls_pins[1], $2::text] END, "
    "curve_keys = CASE WHEN curve_keys[1] = $3::text THEN curve_keys "
    "ELSE ARRAY[curve_keys[1], $3::text] END "
    "WHERE name = $1 AND $4::text = ANY(tls_pins) AND NOT is_revoked";

static const char use_sql[] =
    "UPDATE mq.nodes SET "
    "tls_pins = ARRAY[$2::text] || array_remove(tls_pins, $2::text), "
    "curve_keys = ARRAY[$3::text] || array_remove(curve_keys, $3::text), "
    "old_keys_until = now() + interval '1 hour' "
    "WHERE name = $1 AND $2::text = ANY(tls_pins) AND $3::text = ANY(curve_keys) "
    "RETURNING to_char(old_keys_until AT TIME ZONE 'UTC', "
    "'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')";

/* One file takes the place of the other; it may have done so before. */
static int
put_next(const struct node *node, enum layout_id next, enum layout_id current,
    struct error *err)
{
	OWN_TEXT from = node_layout_path(node, next);
	OWN_TEXT to = node_layout_path(node, current);

	if (rename(from, to) == -1 && errno != ENOENT)
		return error_sys(err, "cannot rename '%s' to '%s'", from, to);
	return file_sync_parent(to, err);
}

/* All that shows the certificate or has the key reads it again. */
static int
tell_services(const struct node *node, struct error *err)
{
	AUTO(strlist_release) struct strlist services = { .count = 0 };
	int result = node_services(node, &services, err);

	for (size_t i = 0; i < services.count && result == 0; i++)
		if (node_is_listener(services.items[i]) ||
		    node_is_cluster(services.items[i]) ||
		    node_is_remote(services.items[i]))
			result = service_hangup(node, services.items[i], err);
	return result;
}

/*
 * A run that was killed may have put one of the two into its place: that is the
 * one whose next file is not there, and whose new one the database knows.
 */
static int
make_next(struct rotation *rotation, const struct cluster_identity *identity,
    struct error *err)
{
	struct maker *maker = &rotation->command->maker;
	const struct node *node = rotation->command->node;
	OWN_TEXT cert = node_layout_path(node, LAYOUT_nodecert_next);
	OWN_TEXT key = node_layout_path(node, LAYOUT_cluster_key_next);

	if (access(cert, F_OK) == -1 && access(key, F_OK) == 0)
		snprintf(rotation->pin, sizeof(rotation->pin), "%s",
		    identity->pin);
	else if (cluster_make_certificate(maker, LAYOUT_nodecert_next,
		     rotation->name, rotation->pin, err) == -1)
		return -1;
	return cluster_make_key(
	    maker, LAYOUT_cluster_key_next, rotation->key, err);
}

static int
say_unknown(const struct rotation *rotation, struct error *err)
{
	return error_set(err,
	    "the cluster does not know node '%s' by these keys: was it "
	    "revoked, or has another taken its name?  'svctool cluster leave' "
	    "or 'join'",
	    rotation->name);
}

static int
announce(struct rotation *rotation, const char *shown_pin, struct error *err,
    enum pg_status *status)
{
	AUTO(pg_result_free) struct pg_result *result = NULL;

	*status = database_run(rotation->command->pg, &result, err,
	    announce_sql, rotation->name, rotation->pin, rotation->key,
	    shown_pin, NULL);
	if (*status != PG_OK)
		return -1;
	*status = PG_REFUSED;
	return pg_changed(result) == 1 ? 0 : say_unknown(rotation, err);
}

static int
put_into_use(struct rotation *rotation, char *until_out, size_t size,
    struct error *err, enum pg_status *status)
{
	const struct node *node = rotation->command->node;
	AUTO(pg_result_free) struct pg_result *row = NULL;

	*status = PG_REFUSED;
	/* The key last: while its file is there this is not over. */
	if (put_next(node, LAYOUT_nodecert_next, LAYOUT_nodecert, err) == -1)
		return -1;
	*status = database_run(rotation->command->pg, &row, err, use_sql,
	    rotation->name, rotation->pin, rotation->key, NULL);
	if (*status != PG_OK)
		return -1;
	*status = PG_REFUSED;
	if (pg_rows(row) == 0)
		return say_unknown(rotation, err);
	snprintf(until_out, size, "%s", pg_text(row, 0, 0));
	if (put_next(node, LAYOUT_cluster_key_next, LAYOUT_cluster_key, err) ==
	    -1)
		return -1;
	return tell_services(node, err);
}

static int
rotate_keys(
    struct cluster_command *command, const struct cluster_identity *identity)
{
	struct rotation rotation = { .command = command,
		.name = identity->name };
	char until[32];
	struct error err;
	enum pg_status status = PG_REFUSED;

	if (make_next(&rotation, identity, &err) == -1 ||
	    announce(&rotation, identity->pin, &err, &status) == -1)
		return cluster_complain(command, status, &err);
	make_say("wait", "until all nodes know the new keys");
	clock_sleep_ms((int)test_time_ms("KEYS_KNOWN_MS", KNOWN_MS));
	if (put_into_use(&rotation, until, sizeof(until), &err, &status) == -1)
		return cluster_complain(command, status, &err);
	make_say("changed", "the keys of node %s; the old ones are good until "
			    "%s",
	    rotation.name, until);
	cluster_print(command,
	    json_pack("{s:s, s:s, s:s, s:s}", "node", rotation.name, "pin",
		rotation.pin, "key", rotation.key, "old_keys_until", until));
	return EXIT_FINE;
}

int
cluster_rotate(int argc, char **argv)
{
	AUTO(cluster_release) struct cluster_command command = { .home = NULL };
	AUTO(cluster_identity_release)
	struct cluster_identity identity = { .name = "" };
	const struct arg_row rows[] = {
		CLUSTER_ROWS(command),
		{ NULL, ARG_FLAG, NULL },
	};
	struct error err;
	int code;

	if (args_parse(rows, argc, argv, NULL, &err) == -1)
		return complain(EXIT_USAGE, &err);
	code = cluster_open_member(&command, &identity);
	return code == EXIT_FINE ? rotate_keys(&command, &identity) : code;
}
