/* SPDX-License-Identifier: ISC */
/*
 * Would the services start?  Their own code says so, in a process that has the
 * service's environment and becomes the service's user.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "control/identity.h"
#include "delivery/vdeliver.h"
#include "lookupd/store.h"
#include "pop3/listen.h"
#include "queue/route.h"
#include "remote/rules.h"
#include "smtp/listen.h"
#include "svctool/check/check.h"
#include "svctool/run/place.h"
#include "svctool/run/ready.h"
#include "svctool/run/service_env.h"

static const char variable_mark[] = "variable ";

/* What a daemon does before it serves.  0, or -1 with its reason. */
typedef int try_start(const struct node *node, const char *service,
    const struct service_env *env, struct error *err);

static int
try_smtpd(const struct node *node, const char *service,
    const struct service_env *env, struct error *err)
{
	char *folder = layout_path(node->home, LAYOUT_service, service);
	struct smtp_options options;

	if (service_env_options(env, &options, err) == -1)
		return -1;
	/* Relative names of files are meant from there. */
	if (chdir(folder) == -1)
		return error_sys(err, "cannot work in '%s'", folder);
	return smtp_listen_check(home_new(), &options, err);
}

static int
try_pop3d(const struct node *node, const char *service,
    const struct service_env *env, struct error *err)
{
	char *folder = layout_path(node->home, LAYOUT_service, service);
	struct smtp_options options;

	if (service_env_options(env, &options, err) == -1)
		return -1;
	if (chdir(folder) == -1)
		return error_sys(err, "cannot work in '%s'", folder);
	return pop3_listen_check(home_new(), &options, err);
}

static int
try_send(const struct node *node, const char *service,
    const struct service_env *env, struct error *err)
{
	struct settings *settings;

	(void)env;
	if (!place_fits_queue(node, service, err) ||
	    identity_become(IDENTITY_QUEUE, err) == -1)
		return -1;
	settings = settings_load(
	    home_new()->control, "qmail-send", service, err);
	return settings == NULL || route_new(settings, err) == NULL ? -1 : 0;
}

static int
try_vdeliver(const struct node *node, const char *service,
    const struct service_env *env, struct error *err)
{
	struct vdeliver_options options;

	(void)node;
	(void)service;
	(void)env;
	if (identity_become(IDENTITY_VIRTUAL, err) == -1 ||
	    vdeliver_read_options(&options, err) == -1)
		return -1;
	return store_open(home_new()->root, err) == NULL ? -1 : 0;
}

static int
try_resolver(const struct node *node, const char *service,
    const struct service_env *env, struct error *err)
{
	struct settings *settings;
	const char *anchor;

	(void)node;
	(void)service;
	(void)env;
	settings = settings_load(home_new()->control, "resolverd", NULL, err);
	if (settings == NULL)
		return -1;
	anchor = settings_text(settings, SETTING_dnsanchor);
	return *anchor == '\0' || access(anchor, R_OK) == 0
	    ? 0
	    : error_sys(err,
		  "cannot read dnsanchor '%s' (Debian's package dns-root-data "
		  "has one; an empty dnsanchor means no DNSSEC)",
		  anchor);
}

static int
try_remote(const struct node *node, const char *service,
    const struct service_env *env, struct error *err)
{
	(void)node;
	(void)service;
	(void)env;
	if (identity_become(IDENTITY_REMOTE, err) == -1)
		return -1;
	return rules_new(home_new(), "qmail-rspawn", err) == NULL ? -1 : 0;
}

static int
try_lookup(const struct node *node, const char *service,
    const struct service_env *env, struct error *err)
{
	struct settings *settings;

	(void)node;
	(void)service;
	(void)env;
	settings = settings_load(home_new()->control, "lookupd", NULL, err);
	if (settings == NULL || identity_become(IDENTITY_LOOKUP, err) == -1)
		return -1;
	return *settings_text(settings, SETTING_pgsql) == '\0'
	    ? error_set(err,
		  "pgsql is empty: write how to reach the database into it, "
		  "for example host=db.example.org dbname=mqmail user=mqmail")
	    : 0;
}

enum kind { QUEUE, LISTENER, POP3, RESOLVER, REMOTE, LOOKUP, OTHER };

static const struct {
	enum kind kind;
	try_start *try;
} programs[] = {
	{ LISTENER, try_smtpd },
	{ POP3, try_pop3d },
	{ QUEUE, try_send },
	{ QUEUE, try_vdeliver },
	{ RESOLVER, try_resolver },
	{ REMOTE, try_remote },
	{ LOOKUP, try_lookup },
};

static enum kind
service_kind(const struct node *node, const char *service)
{
	if (node_is_pop3(service))
		return POP3;
	if (node_is_listener(service))
		return LISTENER;
	if (node_is_resolver(service))
		return RESOLVER;
	if (node_is_remote(service))
		return REMOTE;
	if (node_is_lookup(service))
		return LOOKUP;
	return ready_is_queue(node, service) ? QUEUE : OTHER;
}

/* In the child: the reason, or nothing, goes into the pipe. */
static void
try_and_say(try_start *try, const struct node *node, const char *service,
    const struct service_env *env, int fd)
{
	struct error err = { .text = "" };

	service_env_take(env, node);
	if (try(node, service, env, &err) == 0)
		_exit(0);
	_exit(write(fd, err.text, strlen(err.text)) > 0 ? 1 : 2);
}

/* 0, or -1 with the reason why it would not start, or why that is not known. */
static int
try_in_child(try_start *try, const struct node *node, const char *service,
    const struct service_env *env, struct error *err)
{
	int fds[2], status;
	ssize_t length;
	pid_t pid;

	if (pipe(fds) == -1)
		return error_sys(err, "cannot make a pipe");
	pid = fork();
	if (pid == 0)
		try_and_say(try, node, service, env, fds[1]);
	close(fds[1]);
	if (pid == -1) {
		close(fds[0]);
		return error_sys(err, "cannot fork");
	}
	/* It is one write, of no more than a pipe takes at once. */
	length = read(fds[0], err->text, sizeof(err->text) - 1);
	close(fds[0]);
	err->text[length > 0 ? length : 0] = '\0';
	while (waitpid(pid, &status, 0) == -1 && errno == EINTR)
		continue;
	if (length <= 0 && status != 0)
		error_set(err,
		    "it cannot be told whether %s would start: looking ended "
		    "with status %d",
		    service, status);
	return status == 0 ? 0 : -1;
}

/* A reason that begins with "variable NAME" belongs where that is set. */
static void
find_reason(
    struct check *check, const struct service_env *env, const char *reason)
{
	const size_t length = sizeof(variable_mark) - 1;
	OWN_TEXT text = NULL;
	OWN_TEXT file = NULL;
	OWN_TEXT name = NULL;
	const char *remedy;

	if (strncmp(reason, variable_mark, length) != 0) {
		check_reason_unless_known(check, CHECK_ERROR, reason);
		return;
	}
	reason += length;
	name = xstrndup(reason, strcspn(reason, ": "));
	file = service_env_file(env, name);
	text = xstrdup(reason);
	remedy = check_cut_remedy(text);
	if (!check_has_error(check, file)) {
		check_find(check, CHECK_ERROR, file, 0, "%s", text);
		if (remedy != NULL)
			check_remedy(check, "%s, then svctool restart", remedy);
		else
			check_remedy(check,
			    "correct it, or rm '%s', then svctool restart",
			    file);
	}
}

static void
check_service_start(struct check *check, const char *service)
{
	const struct node *node = check->node;
	enum kind kind = service_kind(node, service);
	AUTO(service_env_release)
	struct service_env env = { .own_folder = NULL };

	if (kind == OTHER)
		return;
	service_env_read(node, service, &env);
	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
		struct error reason = { .text = "" };

		if (programs[i].kind == kind &&
		    try_in_child(
			programs[i].try, node, service, &env, &reason) == -1)
			find_reason(check, &env, reason.text);
	}
}

void
check_starts(struct check *check)
{
	check_each(check, node_services, check_service_start);
}
