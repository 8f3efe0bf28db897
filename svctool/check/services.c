/* SPDX-License-Identifier: ISC */
/* Can every service run: its programs, port and certificate? */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/tls.h"
#include "svctool/check/check.h"
#include "svctool/run/dovecot.h"
#include "svctool/run/ports.h"
#include "svctool/run/ready.h"
#include "svctool/run/service_env.h"

enum { RUN_MAX_BYTES = 65536, WARN_BEFORE_S = 14 * 86400 };

/* What a run file names is begun by it; what that one starts lies beside it. */
static const struct {
	const char *named;
	const char *needed[4];
} programs[] = {
	{ "qmail-start", { "qmail-start", "qmail-send", "qmail-vdeliver" } },
	{ "qmail-smtpd", { "qmail-smtpd" } },
	{ "qmail-pop3d", { "qmail-pop3d" } },
	{ "resolverd", { "resolverd" } },
	{ "qmail-rspawn", { "qmail-rspawn" } },
	{ "lookupd", { "lookupd" } },
	{ "clusterd", { "clusterd" } },
	{ "adminsrv", { "adminsrv", "admin-run" } },
	{ "dovecot", { "dovecot" } },
};

static void
check_program(struct check *check, const char *folder, const char *name)
{
	OWN_TEXT path = xasprintf("%s/%s", folder, name);

	if (access(path, X_OK) == -1)
		check_find(check, CHECK_ERROR, path, 0,
		    "the program that services run is missing, or cannot be "
		    "run" REMEDY
		    "install mqmail there again ('make install'), or put its "
		    "present folder into the run files of '%s'",
		    check->node->home->service);
}

/* The folder of the program, as the run file quotes it; NULL: not named. */
static char *
named_folder(const char *text, const char *program)
{
	OWN_TEXT end_mark = xasprintf("/%s'", program);
	const char *end = strstr(text, end_mark);
	const char *begin = end;

	if (end == NULL)
		return NULL;
	while (begin > text && begin[-1] != '\'' && begin[-1] != '\n')
		begin--;
	return *begin == '/' || begin == end
	    ? xasprintf("%.*s", (int)(end - begin), begin)
	    : NULL;
}

static void
check_programs(struct check *check, const char *service)
{
	OWN_TEXT path = layout_path(
	    check->node->home, LAYOUT_service_run, service);
	AUTO(buf_release) struct buf text = BUF_INIT;

	if (file_read(path, RUN_MAX_BYTES, &text, NULL) != 1)
		return;
	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
		OWN_TEXT folder = named_folder(text.data, programs[i].named);

		for (size_t j = 0;
		     folder != NULL && programs[i].needed[j] != NULL; j++)
			check_program(check, folder, programs[i].needed[j]);
	}
}

static void
find_same_port(
    struct check *check, const char *one, const char *other, unsigned port)
{
	OWN_TEXT path = layout_path(
	    check->node->home, LAYOUT_service_var, one, "LISTEN");

	check_find(check, CHECK_ERROR, path, 0,
	    "port %u is also that of %s" REMEDY
	    "change one of them, then svctool restart",
	    port, other);
}

/* Can the listener have its port, or has the node it already? */
static void
check_port(struct check *check, const char *name, const char *path,
    const struct port_address *address)
{
	char taker[PORT_TAKER_SIZE];
	struct proc proc;
	struct error err;

	if (ready_has_down_file(check->node, name))
		;
	else if (!port_is_allowed(address, &err)) {
		check_find(check, CHECK_ERROR, path, 0,
		    "%s" REMEDY "correct LISTEN there, then svctool restart",
		    err.text);
	} else if (port_find_taker(
		       address, check->node->home->root, &proc, taker) == 1) {
		check_find(check, CHECK_ERROR, path, 0,
		    "port %u on %s is taken by %s, so the listener cannot start" REMEDY
		    "stop that, or write another port there, then svctool "
		    "restart",
		    address->port, address->ip, taker);
	}
}

/* Two listeners on one port: only one of them can start. */
static void
check_all_ports(struct check *check)
{
	AUTO(strlist_release) struct strlist services = { .count = 0 };

	check_names(check, node_services, &services);
	for (size_t i = 0; i < services.count; i++) {
		struct port_address a, b;
		OWN_TEXT path = NULL;
		struct error err;

		if (!node_is_listener(services.items[i]))
			continue;
		if (ready_listen_address(
			check->node, services.items[i], &a, &err) == -1) {
			check_reason(check, CHECK_ERROR, err.text, NULL);
			continue;
		}
		path = layout_path(check->node->home, LAYOUT_service_var,
		    services.items[i], "LISTEN");
		check_port(check, services.items[i], path, &a);
		for (size_t j = 0; j < i; j++)
			if (node_is_listener(services.items[j]) &&
			    ready_listen_address(check->node, services.items[j],
				&b, &err) == 0 &&
			    a.port == b.port &&
			    (strcmp(a.ip, b.ip) == 0 ||
				strcmp(a.ip, "0.0.0.0") == 0 ||
				strcmp(b.ip, "0.0.0.0") == 0))
				find_same_port(check, services.items[i],
				    services.items[j], a.port);
	}
}

/* The ports of Dovecot, where it runs for the node. */
static void
check_imap_ports(struct check *check, const char *service)
{
	OWN_TEXT path = layout_path(
	    check->node->home, LAYOUT_imap_file, "dovecot.conf");
	struct dovecot_listeners listeners;
	struct error err;

	if (!node_is_imap(service))
		return;
	if (dovecot_read_listeners(check->node, &listeners, &err) == -1) {
		check_reason(check, CHECK_ERROR, err.text, NULL);
		return;
	}
	if (listeners.imap.port != 0)
		check_port(check, service, path, &listeners.imap);
	if (listeners.imaps.port != 0)
		check_port(check, service, path, &listeners.imaps);
}

static void
check_has_service(struct check *check, const char *queue)
{
	OWN_TEXT path = layout_path(check->node->home, LAYOUT_service, queue);

	if (access(path, F_OK) == 0)
		return;
	check_find(check, CHECK_ERROR, path, 0,
	    "the queue has no service, so nothing delivers it" REMEDY
	    "svctool queue add %s",
	    queue);
}

/* The services that settings ask for, and what it means when one is missing. */
static void
check_wanted_services(struct check *check)
{
	const struct {
		const char *name;
		bool is_wanted;
		const char *text;
	} rows[] = {
		{ node_lookup_service,
		    strcmp(settings_text(check->settings, SETTING_userstore),
			"pgsql") == 0,
		    "userstore says pgsql, and there is no service that asks "
		    "the database, so nobody knows any user" REMEDY
		    "svctool init" },
		{ node_cluster_service,
		    *settings_text(check->settings, SETTING_nodename) != '\0',
		    "nodename says that this is a cluster's node, and there is "
		    "no service that keeps its place there" REMEDY
		    "'svctool cluster join' or 'init' again" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		OWN_TEXT path = layout_path(
		    check->node->home, LAYOUT_service, rows[i].name);

		if (rows[i].is_wanted && access(path, F_OK) == -1)
			check_find(check, CHECK_ERROR, path, 0, "%s",
			    rows[i].text);
	}
}

/* The way back to cdb leaves it. */
static void
check_needs_lookup(struct check *check)
{
	OWN_TEXT path = layout_path(
	    check->node->home, LAYOUT_service, node_lookup_service);
	OWN_TEXT down = xasprintf("%s/down", path);
	OWN_TEXT database = layout_path(
	    check->node->home, LAYOUT_service, node_pgsql_service);
	const char *store = settings_text(check->settings, SETTING_userstore);

	if (strcmp(store, "pgsql") == 0 || access(path, F_OK) == -1 ||
	    access(down, F_OK) == 0)
		return;
	check_find(check, CHECK_WARNING, path, 0,
	    "userstore says %s, and this still asks a database that nobody "
	    "needs%s" REMEDY
	    "'touch %s' and 'svc -d %s'%s, or write pgsql to userstore",
	    store,
	    access(database, F_OK) == 0 ? ", which is the service pgsql" : "",
	    down, path,
	    access(database, F_OK) == 0 ? ", and the same for pgsql" : "");
}

void
check_services(struct check *check)
{
	check_wanted_services(check);
	check_needs_lookup(check);
	check_each(check, node_services, check_programs);
	check_each(check, node_queues, check_has_service);
	check_all_ports(check);
	check_each(check, node_services, check_imap_ports);
}

/* Whether it loads its listener says (check_starts()); how long it lasts? */
static void
check_certificate(struct check *check, const char *path)
{
	AUTO(tls_context_free)
	struct tls_context *context = tls_context_new(path, NULL);
	int64_t left_s = context != NULL ? tls_context_valid_s(context)
					 : WARN_BEFORE_S;

	if (access(path, F_OK) == -1) {
		check_find(check, CHECK_WARNING, path, 0,
		    "there is none, so STARTTLS is not offered" REMEDY
		    "put certificate chain and key there, or run 'svctool "
		    "init' for a self-signed one");
	} else if (left_s < WARN_BEFORE_S) {
		check_find(check, left_s < 0 ? CHECK_ERROR : CHECK_WARNING,
		    path, 0,
		    "the certificate %s" REMEDY
		    "put a new one there, then svc -h the listeners",
		    left_s < 0 ? "has expired" : "expires within two weeks");
	}
}

static void
check_listener_tls(struct check *check, const char *name)
{
	const struct home *home = check->node->home;
	AUTO(service_env_release)
	struct service_env env = { .own_folder = NULL };
	OWN_TEXT path = NULL;
	const char *named;

	if (!node_is_listener(name))
		return;
	service_env_read(check->node, name, &env);
	named = service_env_get(&env, "SERVERCERT");
	path = named == NULL ? layout_path(home, LAYOUT_servercert)
	    : *named == '/'  ? xstrdup(named)
			    : xasprintf("%s/%s/%s", home->service, name, named);
	/* A missing one of another name check_starts() finds. */
	if (named == NULL || access(path, F_OK) == 0)
		check_certificate(check, path);
}

void
check_tls(struct check *check)
{
	check_each(check, node_services, check_listener_tls);
}
