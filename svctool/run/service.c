/* SPDX-License-Identifier: ISC */
/* The services of a node. */
#include "svctool/run/service.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "svctool/run/run_script.h"
#include "svctool/run/spawn.h"
#include "svctool/run/supervise.h"

/* A row of variables/, the service's environment. */
struct variable {
	const char *name;
	const char *value;
};

static int
make_variables(struct maker *maker, const char *folder,
    const struct variable *rows, struct error *err)
{
	int result = make_folder(maker, LAYOUT_service_vars, folder, err);

	for (; result == 0 && rows->name != NULL; rows++) {
		OWN_TEXT path = xasprintf("%s/%s", folder, rows->name);
		OWN_TEXT text = xasprintf("%s\n", rows->value);

		result = make_file(maker, LAYOUT_service_var, path, text, err);
	}
	return result;
}

static int
make_log(struct maker *maker, const char *folder, const char *log_dir,
    struct error *err)
{
	OWN_TEXT path = xasprintf("%s/run", folder);
	AUTO(buf_release) struct buf script = BUF_INIT;

	run_script_log(&script,
	    geteuid() == 0 ? identity_name(IDENTITY_LOG) : NULL, log_dir);
	return make_folder(maker, LAYOUT_service_log, folder, err) == -1
	    ? -1
	    : make_file(maker, LAYOUT_service_log_run, path, script.data, err);
}

/* What is in a service's folder, whatever the folder's name is just now. */
static int
fill_service(struct maker *maker, const char *folder, const char *log_dir,
    const char *script, const struct variable *variables, struct error *err)
{
	OWN_TEXT vars = xasprintf("%s/variables", folder);
	OWN_TEXT log = xasprintf("%s/log", folder);
	OWN_TEXT run = xasprintf("%s/run", folder);

	return make_folder(maker, LAYOUT_service, folder, err) == -1 ||
		make_variables(maker, vars, variables, err) == -1 ||
		make_log(maker, log, log_dir, err) == -1
	    ? -1
	    : make_file(maker, LAYOUT_service_run, run, script, err);
}

static int
put_in_place(const char *hidden, const char *real, struct error *err)
{
	return rename(hidden, real) == -1
	    ? error_sys(err, "cannot rename '%s' to '%s'", hidden, real)
	    : file_sync_parent(real, err);
}

/*
 * A new service is made under a name that svscan skips, and appears whole:
 * svscan looks every five seconds, and looks for log/ only once.
 */
static int
make_service(struct maker *maker, const char *name, const char *script,
    const struct variable *variables, struct error *err)
{
	const struct home *home = maker->node->home;
	OWN_TEXT folder = xasprintf("%s/%s", home->service, name);
	OWN_TEXT hidden = xasprintf("%s/.new-%s", home->service, name);
	OWN_TEXT log_dir = xasprintf("%s/%s", home->log, name);
	OWN_TEXT real = node_path(maker->node, "%s", folder);
	OWN_TEXT real_hidden = node_path(maker->node, "%s", hidden);
	int result;

	if (make_folder(maker, LAYOUT_log, log_dir, err) == -1)
		return -1;
	if (access(real, F_OK) == 0)
		return fill_service(
		    maker, folder, log_dir, script, variables, err);
	maker->is_quiet = true;
	result = file_remove_tree(real_hidden, err);
	if (result == 0)
		result = fill_service(
		    maker, hidden, log_dir, script, variables, err);
	maker->is_quiet = false;
	if (result == -1 || put_in_place(real_hidden, real, err) == -1)
		return -1;
	make_say("made", "service %s", real);
	return 0;
}

/*
 * A queue is made under a hidden name, too: a run that was killed leaves no
 * half of one that the next would take for whole.
 */
static int
make_queue_dir(const struct maker *maker, const char *name, const char *real,
    struct error *err)
{
	const struct node *node = maker->node;
	OWN_TEXT hidden = node_path(
	    node, "%s/.new-%s", node->home->queue, name);
	OWN_TEXT fix = xasprintf("%s/queue-fix", node->programs);
	const char *argv[] = { fix, hidden, NULL };

	/* It names every folder that it makes: too much here. */
	return file_remove_tree(hidden, err) == -1 ||
		spawn_wait(argv, "/dev/null", err) == -1
	    ? -1
	    : put_in_place(hidden, real, err);
}

int
service_make_queue(struct maker *maker, const char *name, struct error *err)
{
	static const struct variable variables[] = { { NULL, NULL } };
	const struct node *node = maker->node;
	OWN_TEXT queue_dir = xasprintf("%s/%s", node->home->queue, name);
	OWN_TEXT real = node_path(node, "%s", queue_dir);
	AUTO(buf_release) struct buf script = BUF_INIT;

	run_script_queue(&script, node->global_vars, node->programs, queue_dir);
	if (access(real, F_OK) == 0)
		maker->kept++;
	else if (make_queue_dir(maker, name, real, err) == -1)
		return -1;
	else {
		make_say("made", "queue %s", real);
		maker->made++;
	}
	return make_service(maker, name, script.data, variables, err);
}

/* A service that all queues and listeners of the node share. */
static int
make_shared_service(struct maker *maker, const char *name, const char *what,
    const char *program, struct error *err)
{
	static const struct variable none[] = { { NULL, NULL } };
	const struct node *node = maker->node;
	struct buf script;
	int result;

	buf_init(&script);
	run_script_plain(
	    &script, what, node->global_vars, node->programs, program);
	result = make_service(maker, name, script.data, none, err);
	buf_release(&script);
	return result;
}

int
service_make_resolver(struct maker *maker, struct error *err)
{
	return make_shared_service(
	    maker, node_resolver_service, "the resolver", "resolverd", err);
}

int
service_make_remote(struct maker *maker, struct error *err)
{
	return make_shared_service(maker, node_remote_service,
	    "mail to other hosts", "qmail-rspawn", err);
}

int
service_make_lookup(struct maker *maker, struct error *err)
{
	return make_shared_service(
	    maker, node_lookup_service, "lookups of users", "lookupd", err);
}

int
service_make_cluster(struct maker *maker, struct error *err)
{
	return make_shared_service(maker, node_cluster_service,
	    "the node's place in its cluster", "clusterd", err);
}

int
service_make_admin(struct maker *maker, struct error *err)
{
	return make_shared_service(maker, node_admin_service,
	    "administration from afar", "adminsrv", err);
}

int
service_make_tasks(struct maker *maker, struct error *err)
{
	return make_shared_service(maker, node_tasks_service,
	    "work on files of the cluster's stores", "cluster-task", err);
}

int
service_make_imap(struct maker *maker, const char *dovecot, const char *conf,
    struct error *err)
{
	static const struct variable none[] = { { NULL, NULL } };
	AUTO(buf_release) struct buf script = BUF_INIT;
	OWN_TEXT base = node_layout_path(maker->node, LAYOUT_imap_base);
	OWN_TEXT pid_file = xasprintf("%s/master.pid", base);

	run_script_imap(
	    &script, maker->node->global_vars, dovecot, conf, pid_file);
	return make_service(maker, node_imap_service, script.data, none, err);
}

int
service_make_pgsql(struct maker *maker, const char *user, const char *programs,
    const char *data, struct error *err)
{
	static const struct variable none[] = { { NULL, NULL } };
	AUTO(buf_release) struct buf script = BUF_INIT;

	run_script_pgsql(
	    &script, maker->node->global_vars, user, programs, data);
	return make_service(maker, node_pgsql_service, script.data, none, err);
}

/* Under its name, with variables that it may have already. */
static int
make_listener(struct maker *maker, const char *name,
    const struct variable *variables, struct error *err)
{
	OWN_TEXT pid_file = xasprintf(
	    "%s/%s.pid", maker->node->home->run, name);
	AUTO(buf_release) struct buf script = BUF_INIT;

	run_script_listener(&script, maker->node->global_vars,
	    maker->node->programs,
	    node_is_pop3(name) ? "qmail-pop3d" : "qmail-smtpd", pid_file);
	return make_service(maker, name, script.data, variables, err);
}

int
service_complete_listener(
    struct maker *maker, const char *name, struct error *err)
{
	static const struct variable none[] = { { NULL, NULL } };

	return make_listener(maker, name, none, err);
}

char *
service_listener_name(
    enum listener_kind kind, const struct port_address *address)
{
	bool is_pop3 = kind == LISTENER_POP3 || kind == LISTENER_POP3S;

	return xasprintf(
	    "%s.%u", is_pop3 ? "qmail-pop3d" : "qmail-smtpd", address->port);
}

int
service_make_listener(struct maker *maker, enum listener_kind kind,
    const struct port_address *address, struct error *err)
{
	static const char *const options[] = {
		[LISTENER_SMTP] = "",
		[LISTENER_SUBMISSION] = "--submission",
		[LISTENER_SUBMISSIONS] = "--submission --smtps",
		[LISTENER_ODMR] = "--odmr",
		[LISTENER_NODE] = "--node",
		[LISTENER_SMTPS] = "--smtps",
		[LISTENER_LMTP] = "--lmtp",
		[LISTENER_QMTP] = "--qmtp",
		[LISTENER_QMQP] = "--qmqp",
		[LISTENER_POP3] = "",
		[LISTENER_POP3S] = "--pop3s",
	};
	bool is_v6 = strchr(address->ip, ':') != NULL;
	OWN_TEXT name = service_listener_name(kind, address);
	OWN_TEXT listen = xasprintf(
	    is_v6 ? "[%s]:%u" : "%s:%u", address->ip, address->port);
	const struct variable variables[] = {
		{ "LISTEN", listen },
		{ "OPTIONS", options[kind] },
		{ NULL, NULL },
	};

	return make_listener(maker, name, variables, err);
}

int
service_hangup(const struct node *node, const char *name, struct error *err)
{
	OWN_TEXT folder = node_path(node, "%s/%s", node->home->service, name);
	int result = supervise_send(folder, "h", err);

	if (result == 1)
		make_say("HUP", "%s", name);
	return result == -1 ? -1 : 0;
}
