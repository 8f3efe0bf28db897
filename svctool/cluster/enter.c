/* SPDX-License-Identifier: ISC */
/*
 * svctool cluster init and join: the node becomes one of a cluster.
 *
 * First its keys are made, then the database takes its row, then its settings
 * and services; the name is written at last.  A run that was killed can be done
 * again: it finds its own keys in the row, and a token that it has used.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "adminsrv/database.h"
#include "adminsrv/domain_list.h"
#include "base/mem.h"
#include "base/usage.h"
#include "control/node_setting.h"
#include "control/settings.h"
#include "svctool/args.h"
#include "svctool/cluster/cluster.h"
#include "svctool/run/ports.h"
#include "svctool/run/service.h"
#include "svctool/svctool.h"

enum {
	CLOCK_MAX_US = 5 * 1000 * 1000, /* how far a clock may be off */
	SECRET_MAX = 8192
};

struct entry {
	struct cluster_command command;
	bool is_join;
	bool has_no_store; /* --no-store */
	/* options */
	const char *name, *host, *role, *listen, *bus;
	unsigned imap, pop3;
	char *conninfo, *token; /* ours; "" of a token: none was given */
	/* what they mean */
	struct port_address listen_at, bus_at;
	char pin[CERTIFICATE_PIN_SIZE], key[CLUSTER_KEY_SIZE];
	char *default_host, *default_name; /* owned */
};

static void
free_secret(char **secret)
{
	if (*secret != NULL)
		explicit_bzero(*secret, strlen(*secret));
	free(*secret);
	*secret = NULL;
}

static void
release_entry(struct entry *entry)
{
	free_secret(&entry->conninfo);
	free_secret(&entry->token);
	free(entry->default_host);
	free(entry->default_name);
	cluster_release(&entry->command);
}

/*
 * A secret of an option, or the next line of standard input instead of "-".
 * It leaves the arguments, which others can see.  *secret_out is NULL without
 * the option.
 */
static int
take_secret(const char *option, char *argument, char **secret_out,
    struct error *err)
{
	char line[SECRET_MAX];

	if (argument == NULL)
		return 0;
	if (strcmp(argument, "-") != 0) {
		*secret_out = xstrdup(argument);
		explicit_bzero(argument, strlen(argument));
		return 0;
	}
	if (fgets(line, sizeof(line), stdin) == NULL ||
	    strchr(line, '\n') == NULL)
		return error_set(err,
		    "--%s -: there is no such line on standard input", option);
	line[strcspn(line, "\r\n")] = '\0';
	*secret_out = xstrdup(line);
	explicit_bzero(line, sizeof(line));
	return 0;
}

/* -- what the options leave open */

static int
choose_host(struct entry *entry, struct error *err)
{
	AUTO(buf_release) struct buf me = BUF_INIT;

	if (node_setting_text(entry->command.node->home->control, SETTING_me,
		&me, err) == -1)
		return -1;
	entry->default_host = xstrdup(me.data);
	if (entry->host == NULL)
		entry->host = entry->default_host;
	entry->default_name = xstrndup(me.data, strcspn(me.data, "."));
	for (char *c = entry->default_name; *c != '\0'; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c += 'a' - 'A';
	if (entry->name == NULL)
		entry->name = entry->default_name;
	return settings_check_value(SETTING_nodename, entry->name, err) == -1
	    ? error_context(err, "--name")
	    : 0;
}

/* The option, or what the setting says. */
static int
choose_port(const struct entry *entry, const char *option, enum setting_id id,
    struct port_address *address_out, struct error *err)
{
	AUTO(buf_release) struct buf value = BUF_INIT;

	if (node_setting_text(
		entry->command.node->home->control, id, &value, err) == -1)
		return -1;
	return port_parse(option != NULL ? option : value.data, "0.0.0.0",
	    address_out, err);
}

static int
check_roles(const struct entry *entry, struct error *err)
{
	static const char *const roles[] = { "all", "front", "store" };

	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
		if (strcmp(entry->role, roles[i]) == 0)
			return 0;
	return error_set(err,
	    "'%s' is no role of a node: all, front (no mailboxes) or store",
	    entry->role);
}

/* -- may this node? */

/*
 * Its users have to be in the database: those in files would be nobody's once
 * the store is another.
 */
static int
check_store(const struct entry *entry, struct error *err)
{
	const struct home *home = entry->command.node->home;
	AUTO(strlist_release) struct strlist domains = { .count = 0 };
	int is_database = database_is_store(home->control, err);

	if (is_database != 0)
		return is_database == 1 ? 0 : -1;
	if (!entry->is_join)
		return error_set(err,
		    "'%s/userstore' does not say pgsql: a cluster needs its "
		    "users in a database.  Write how to reach it into "
		    "'%s/pgsql', then 'svctool db init', 'vconvert --to "
		    "pgsql', and pgsql into userstore",
		    home->control, home->control);
	if (domain_list(home, &domains, err) == -1)
		return -1;
	return domains.count == 0
	    ? 0
	    : error_set(err,
		  "the users of '%s' are in files: write the connection "
		  "string into '%s/pgsql', then 'vconvert --to pgsql', and "
		  "pgsql into '%s/userstore'",
		  domains.items[0], home->control, home->control);
}

/* The one database of the node is that of the cluster. */
static int
check_conninfo(struct entry *entry, struct error *err)
{
	const struct home *home = entry->command.node->home;
	AUTO(buf_release) struct buf value = BUF_INIT;

	if (node_setting_text(home->control, SETTING_pgsql, &value, err) == -1)
		return -1;
	if (entry->conninfo == NULL && *value.data == '\0')
		return error_set(err,
		    "there is no database: --db CONNINFO, or --db - to read it "
		    "from standard input");
	if (entry->conninfo == NULL)
		entry->conninfo = xstrdup(value.data);
	return *value.data == '\0' || strcmp(value.data, entry->conninfo) == 0
	    ? 0
	    : error_set(err,
		  "'%s/pgsql' names another database: remove it, or leave "
		  "--db away",
		  home->control);
}

static int
check_name(const struct entry *entry, struct error *err)
{
	char name[CLUSTER_NAME_SIZE];
	int found = cluster_name_read(entry->command.node->home, name, err);

	if (found != 1 || strcmp(name, entry->name) == 0)
		return found == -1 ? -1 : 0;
	return error_set(err,
	    "this node is '%s' in a cluster already: 'svctool cluster leave' "
	    "first",
	    name);
}

/* How the node's clock differs from the database's, by which leases are. */
static enum pg_status
check_clock(struct pg *pg, struct error *err)
{
	AUTO(pg_result_free) struct pg_result *row = NULL;
	struct timespec before, after;
	int64_t before_us, after_us, theirs_us, off_us;
	enum pg_status status;

	clock_gettime(CLOCK_REALTIME, &before);
	status = database_run(pg, &row, err,
	    "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint",
	    NULL);
	clock_gettime(CLOCK_REALTIME, &after);
	if (status != PG_OK)
		return status;
	before_us = before.tv_sec * INT64_C(1000000) + before.tv_nsec / 1000;
	after_us = after.tv_sec * INT64_C(1000000) + after.tv_nsec / 1000;
	theirs_us = pg_number(row, 0, 0);
	/* It was read between the two. */
	off_us = before_us > theirs_us ? before_us - theirs_us
	    : after_us < theirs_us     ? after_us - theirs_us
				       : 0;
	if (off_us <= CLOCK_MAX_US && off_us >= -CLOCK_MAX_US)
		return PG_OK;
	error_set(err,
	    "the clock of this host is %.1f seconds %s that of the database, "
	    "and %d are the most: set it, and keep it right by NTP",
	    (double)llabs(off_us) / 1e6, off_us > 0 ? "ahead of" : "behind",
	    CLOCK_MAX_US / 1000000);
	return PG_REFUSED;
}

/* -- the row */

/* $1 ours.  One that cannot talk with this release. */
static const char protocol_sql[] =
    "SELECT name, version, protocol FROM mq.nodes WHERE role <> 'legacy' "
    "AND NOT is_revoked AND abs(protocol - $1::int) > 1 AND name <> $2 "
    "ORDER BY 1 LIMIT 1";

static enum pg_status
check_protocol(struct entry *entry, struct error *err)
{
	AUTO(pg_result_free) struct pg_result *row = NULL;
	OWN_TEXT ours = xasprintf("%d", CLUSTER_PROTOCOL);
	enum pg_status status = database_run(entry->command.pg, &row, err,
	    protocol_sql, ours, entry->name, NULL);

	if (status != PG_OK || pg_rows(row) == 0)
		return status;
	error_set(err,
	    "node '%s' has mqmail %s, which does not understand %s: nodes may "
	    "be one release apart, so upgrade the older one first",
	    pg_text(row, 0, 0), pg_text(row, 0, 1), MQMAIL_VERSION);
	return PG_REFUSED;
}

/* Of init: no other may be there; of join: some other must be. */
static enum pg_status
check_others(struct entry *entry, struct error *err)
{
	AUTO(pg_result_free) struct pg_result *row = NULL;
	enum pg_status status = database_run(entry->command.pg, &row, err,
	    "SELECT name FROM mq.nodes WHERE role <> 'legacy' AND name <> $1 "
	    "ORDER BY joined LIMIT 1",
	    entry->name, NULL);

	if (status != PG_OK || (pg_rows(row) > 0) == entry->is_join)
		return status;
	if (entry->is_join)
		error_set(err,
		    "this database has no cluster yet: 'svctool cluster init' "
		    "on the first node");
	else
		error_set(err,
		    "this database has a cluster already, with node '%s': "
		    "'svctool cluster token' there, and 'svctool cluster join' "
		    "here",
		    pg_text(row, 0, 0));
	return PG_REFUSED;
}

/* Who is not we, and lives, keeps the name. */
static enum pg_status
check_living(struct entry *entry, struct error *err)
{
	AUTO(pg_result_free) struct pg_result *row = NULL;
	enum pg_status status = database_run(entry->command.pg, &row, err,
	    "SELECT coalesce(lease_until > now(), false), host, role, "
	    "$2::text = ANY(tls_pins) FROM mq.nodes WHERE name = $1",
	    entry->name, entry->pin, NULL);

	if (status != PG_OK || pg_rows(row) == 0 || pg_bool(row, 0, 3))
		return status;
	if (strcmp(pg_text(row, 0, 2), "legacy") == 0)
		error_set(err,
		    "'%s' is a legacy server of the cluster: choose another "
		    "--name",
		    entry->name);
	else if (pg_bool(row, 0, 0))
		error_set(err,
		    "a node named '%s' lives, at '%s': choose another --name, "
		    "or stop that one",
		    entry->name, pg_text(row, 0, 1));
	else if (!entry->is_join)
		error_set(err,
		    "this database has a node '%s' already, with other keys: "
		    "'svctool cluster join' makes this one that",
		    entry->name);
	else
		return PG_OK;
	return PG_REFUSED;
}

/*
 * $1 hash, $2 name, $3 pin.  A run of ours that was killed has used it, and its
 * keys are in the row.
 */
static const char token_sql[] =
    "UPDATE mq.join_tokens SET used_by = $2, used = now() WHERE hash = $1 "
    "AND expires > now() AND node IN ('', $2) AND (used_by IS NULL OR "
    "(used_by = $2 AND EXISTS (SELECT FROM mq.nodes WHERE name = $2 "
    "AND $3::text = ANY(tls_pins))))";

static const char why_token_sql[] =
    "SELECT used_by, node, expires <= now() FROM mq.join_tokens "
    "WHERE hash = $1";

static enum pg_status
use_token(struct entry *entry, struct error *err)
{
	AUTO(pg_result_free) struct pg_result *result = NULL;
	AUTO(pg_result_free) struct pg_result *row = NULL;
	char hash[CLUSTER_HASH_SIZE];
	enum pg_status status;

	cluster_token_hash(entry->token, hash);
	status = database_run(entry->command.pg, &result, err, token_sql, hash,
	    entry->name, entry->pin, NULL);
	if (status != PG_OK || pg_changed(result) == 1)
		return status;
	status = database_run(
	    entry->command.pg, &row, err, why_token_sql, hash, NULL);
	if (status != PG_OK)
		return status;
	if (pg_rows(row) == 0)
		error_set(err, "the cluster did not give out this token");
	else if (pg_text(row, 0, 0) != NULL)
		error_set(err, "the token is used: node '%s' joined with it",
		    pg_text(row, 0, 0));
	else if (pg_bool(row, 0, 2))
		error_set(err, "the token has expired");
	else
		error_set(err, "the token is for a node named '%s', not '%s'",
		    pg_text(row, 0, 1), entry->name);
	error_context(
	    err, "'svctool cluster token' on another node makes a new one");
	return PG_REFUSED;
}

/*
 * Who comes anew under the name of a node that is dead or revoked: what that
 * one held is over (epoch), and its keys are good no more.  Whose keys are the
 * row's goes on with what it holds.
 */
static const char enter_sql[] =
    "INSERT INTO mq.nodes AS n (name, host, role, smtp_port, imap_port, "
    "pop3_port, bus_port, tls_pins, curve_keys, version, protocol) "
    "VALUES ($1, $2, $3, $4::int, $5::int, $6::int, $7::int, "
    "ARRAY[$8::text], ARRAY[$9::text], $10, $11::int) "
    "ON CONFLICT (name) DO UPDATE SET host = excluded.host, "
    "role = excluded.role, smtp_port = excluded.smtp_port, "
    "imap_port = excluded.imap_port, pop3_port = excluded.pop3_port, "
    "bus_port = excluded.bus_port, tls_pins = excluded.tls_pins, "
    "curve_keys = excluded.curve_keys, old_keys_until = '-infinity', "
    "epoch = n.epoch + CASE WHEN n.tls_pins = excluded.tls_pins "
    "THEN 0 ELSE 1 END, "
    "instance = CASE WHEN n.tls_pins = excluded.tls_pins "
    "THEN n.instance END, "
    "version = excluded.version, protocol = excluded.protocol, "
    "is_revoked = false, is_draining = false, joined = now()";

static enum pg_status
put_row(struct entry *entry, struct error *err)
{
	OWN_TEXT smtp = xasprintf("%u", entry->listen_at.port);
	OWN_TEXT bus = xasprintf("%u", entry->bus_at.port);
	OWN_TEXT imap = xasprintf("%u", entry->imap);
	OWN_TEXT pop3 = xasprintf("%u", entry->pop3);
	OWN_TEXT protocol = xasprintf("%d", CLUSTER_PROTOCOL);

	return database_run(entry->command.pg, NULL, err, enter_sql,
	    entry->name, entry->host, entry->role, smtp, imap, pop3, bus,
	    entry->pin, entry->key, MQMAIL_VERSION, protocol, NULL);
}

/*
 * Its first store, in its own folder of domains.  One of that name that is
 * there stays what it is, also when another has taken it over.
 */
static enum pg_status
put_store(struct entry *entry, struct error *err)
{
	if (entry->has_no_store || strcmp(entry->role, "front") == 0)
		return PG_OK;
	return database_run(entry->command.pg, NULL, err,
	    "INSERT INTO mq.stores (name, path, node) SELECT $1, $2, $1 "
	    "WHERE NOT EXISTS (SELECT FROM mq.stores WHERE node = $1) "
	    "ON CONFLICT (name) DO NOTHING",
	    entry->name, entry->command.node->home->domains, NULL);
}

/* One at a time: of two that begin a cluster, or take a name, one sees it. */
static enum pg_status
enter_database(struct entry *entry, struct error *err)
{
	struct pg *pg = entry->command.pg;
	enum pg_status status = pg_begin(pg, err);

	if (status == PG_OK)
		status = database_run(pg, NULL, err,
		    "LOCK TABLE mq.nodes IN SHARE ROW EXCLUSIVE MODE", NULL);
	if (status == PG_OK)
		status = check_others(entry, err);
	if (status == PG_OK)
		status = check_protocol(entry, err);
	if (status == PG_OK)
		status = check_living(entry, err);
	if (status == PG_OK && entry->is_join)
		status = use_token(entry, err);
	if (status == PG_OK)
		status = put_row(entry, err);
	if (status == PG_OK)
		status = put_store(entry, err);
	return status == PG_OK ? pg_commit(pg, err) : status;
}

/* -- the node's files */

static int
write_setting(struct entry *entry, enum setting_id id, const char *value,
    struct error *err)
{
	struct maker *maker = &entry->command.maker;
	OWN_TEXT path = layout_path(
	    maker->node->home, LAYOUT_setting, setting_rows[id].name);
	OWN_TEXT text = xasprintf("%s\n", value);

	return make_file_again(maker, LAYOUT_setting, path, text, err);
}

static int
write_address(struct entry *entry, enum setting_id id, const char *option,
    const struct port_address *address, struct error *err)
{
	bool is_v6 = strchr(address->ip, ':') != NULL;
	OWN_TEXT value = xasprintf(
	    is_v6 ? "[%s]:%u" : "%s:%u", address->ip, address->port);

	return option == NULL ? 0 : write_setting(entry, id, value, err);
}

static int
write_conninfo(struct entry *entry, struct error *err)
{
	struct maker *maker = &entry->command.maker;
	OWN_TEXT path = layout_path(maker->node->home, LAYOUT_pgsql);
	AUTO(free_secret) char *text = xasprintf("%s\n", entry->conninfo);

	if (access(path, F_OK) == 0)
		return 0;
	return make_file(maker, LAYOUT_pgsql, path, text, err) == -1
	    ? -1
	    : make_readable(LAYOUT_pgsql, path, err);
}

/* What all nodes of the cluster begin with, unless it is there. */
static enum pg_status
fetch_settings(struct entry *entry, struct error *err)
{
	struct maker *maker = &entry->command.maker;
	AUTO(pg_result_free) struct pg_result *rows = NULL;
	enum pg_status status = database_run(entry->command.pg, &rows, err,
	    "SELECT name, value FROM mq.settings ORDER BY 1", NULL);

	for (size_t i = 0; status == PG_OK && i < pg_rows(rows); i++) {
		const char *name = pg_text(rows, i, 0);
		OWN_TEXT path = layout_path(
		    maker->node->home, LAYOUT_setting, name);
		enum setting_id id;

		/* One of a newer release is none of ours. */
		if (settings_find(name, &id) &&
		    make_file(maker, LAYOUT_setting, path, pg_text(rows, i, 1),
			err) == -1)
			status = PG_REFUSED;
	}
	return status;
}

static int
write_node(struct entry *entry, struct error *err)
{
	return write_conninfo(entry, err) == -1 ||
		write_setting(entry, SETTING_userstore, "pgsql", err) == -1 ||
		write_address(entry, SETTING_clusterlisten, entry->bus,
		    &entry->bus_at, err) == -1 ||
		write_address(entry, SETTING_nodelisten, entry->listen,
		    &entry->listen_at, err) == -1 ||
		service_make_lookup(&entry->command.maker, err) == -1 ||
		service_make_tasks(&entry->command.maker, err) == -1 ||
		write_setting(entry, SETTING_nodename, entry->name, err) ==
		    -1 ||
		service_make_listener(&entry->command.maker, LISTENER_NODE,
		    &entry->listen_at, err) == -1 ||
		service_make_cluster(&entry->command.maker, err) == -1
	    ? -1
	    : 0;
}

/* -- the verbs */

static int
prepare(struct entry *entry, struct error *err)
{
	return choose_host(entry, err) == -1 || check_roles(entry, err) == -1 ||
		choose_port(entry, entry->listen, SETTING_nodelisten,
		    &entry->listen_at, err) == -1 ||
		choose_port(entry, entry->bus, SETTING_clusterlisten,
		    &entry->bus_at, err) == -1 ||
		check_name(entry, err) == -1 || check_store(entry, err) == -1 ||
		check_conninfo(entry, err) == -1
	    ? -1
	    : 0;
}

static int
enter(struct entry *entry)
{
	struct cluster_command *command = &entry->command;
	struct error err;
	enum pg_status status;
	int code = cluster_open_node(command);

	if (code != EXIT_FINE)
		return code;
	if (prepare(entry, &err) == -1)
		return complain(EXIT_TROUBLE, &err);
	code = cluster_open_database(command, entry->conninfo);
	if (code != EXIT_FINE)
		return code;
	status = check_clock(command->pg, &err);
	if (status != PG_OK)
		return cluster_complain(command, status, &err);
	if (cluster_make_certificate(&command->maker, LAYOUT_nodecert,
		entry->name, entry->pin, &err) == -1 ||
	    cluster_make_key(
		&command->maker, LAYOUT_cluster_key, entry->key, &err) == -1)
		return complain(EXIT_TROUBLE, &err);
	status = enter_database(entry, &err);
	if (status == PG_OK && entry->is_join)
		status = fetch_settings(entry, &err);
	if (status != PG_OK)
		return cluster_complain(command, status, &err);
	if (write_node(entry, &err) == -1)
		return complain(EXIT_TROUBLE, &err);
	printf("this is node '%s' of the cluster in the database at '%s'; "
	       "'svctool restart' has it serve there\n",
	    entry->name, pg_host(command->pg));
	cluster_print(command,
	    json_pack("{s:s, s:s, s:s, s:i, s:i, s:s, s:s}", "node",
		entry->name, "host", entry->host, "role", entry->role,
		"smtp_port", entry->listen_at.port, "bus_port",
		entry->bus_at.port, "pin", entry->pin, "key", entry->key));
	return EXIT_FINE;
}

static int
run_entry(int argc, char **argv, bool is_join)
{
	AUTO(release_entry)
	struct entry entry = { .is_join = is_join, .role = "all" };
	char *db = NULL, *token = NULL;
	const struct arg_row rows[] = {
		{ "name", ARG_TEXT, &entry.name },
		{ "host", ARG_TEXT, &entry.host },
		{ "role", ARG_TEXT, &entry.role },
		{ "listen", ARG_TEXT, &entry.listen },
		{ "bus", ARG_TEXT, &entry.bus },
		{ "imap", ARG_NUMBER, &entry.imap },
		{ "pop3", ARG_NUMBER, &entry.pop3 },
		{ "no-store", ARG_FLAG, &entry.has_no_store },
		CLUSTER_ROWS(entry.command),
		/* The last two are of join alone. */
		{ is_join ? "db" : NULL, ARG_TEXT, &db },
		{ "token", ARG_TEXT, &token },
		{ NULL, ARG_FLAG, NULL },
	};
	struct error err;

	if (args_parse(rows, argc, argv, NULL, &err) == -1)
		return complain(EXIT_USAGE, &err);
	if (is_join && token == NULL) {
		error_set(&err,
		    "--token is missing: 'svctool cluster token' on a node of "
		    "the cluster gives one");
		return complain(EXIT_USAGE, &err);
	}
	if (take_secret("db", db, &entry.conninfo, &err) == -1 ||
	    take_secret("token", token, &entry.token, &err) == -1)
		return complain(EXIT_USAGE, &err);
	if (entry.imap > UINT16_MAX || entry.pop3 > UINT16_MAX) {
		error_set(&err, "--imap and --pop3 take a port");
		return complain(EXIT_USAGE, &err);
	}
	return enter(&entry);
}

int
cluster_init(int argc, char **argv)
{
	return run_entry(argc, argv, false);
}

int
cluster_join(int argc, char **argv)
{
	return run_entry(argc, argv, true);
}
