/* SPDX-License-Identifier: ISC */
/* What the sessions of adminsrv share. */
#include "adminsrv/server/server.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth/verify.h"
#include "base/clock.h"
#include "base/listener_daemon.h"
#include "base/log.h"
#include "base/mem.h"
#include "control/layout.h"

const char admin_program[] = "adminsrv";

char *
admin_server_certificate(const struct home *home)
{
	const char *named = getenv("SERVERCERT");

	return named != NULL && *named != '\0'
	    ? xstrdup(named)
	    : layout_path(home, LAYOUT_servercert);
}

void
admin_config_release(struct admin_config **config_in)
{
	struct admin_config *config = *config_in;

	*config_in = NULL;
	if (config == NULL ||
	    __atomic_sub_fetch(&config->references, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	tls_context_free(&config->tls);
	settings_free(&config->settings);
	free(config);
}

static struct admin_config *
config_load(const struct home *home, struct error *err)
{
	struct admin_config *config = xcalloc(1, sizeof(*config));
	OWN_TEXT path = admin_server_certificate(home);

	config->references = 1;
	config->settings = settings_load(
	    home->control, admin_program, NULL, err);
	if (config->settings != NULL)
		config->tls = tls_context_new(path, err);
	if (config->tls == NULL ||
	    tls_context_set_ciphers(config->tls,
		settings_text(config->settings, SETTING_tlsserverciphers), NULL,
		err) == -1) {
		admin_config_release(&config);
		return NULL;
	}
	config->timeout_ms = (int)settings_number(
				 config->settings, SETTING_admintimeout) *
	    1000;
	return config;
}

static void
open_throttle(struct admin_server *server)
{
	const struct throttle_limits limits = throttle_limits_of(
	    server->config->settings);
	OWN_TEXT path = layout_path(server->home, LAYOUT_admin_logins);
	struct error err;

	server->throttle = throttle_new(THROTTLE_ENTRIES, &limits);
	if (throttle_share(server->throttle, path, &err) == -1)
		log_line("login: a restart forgets failures: %s", err.text);
}

/* The node's name in its cluster, or else its host name. */
static char *
node_name(const struct settings *settings)
{
	const char *name = settings_text(settings, SETTING_nodename);

	return xstrdup(
	    *name != '\0' ? name : settings_text(settings, SETTING_me));
}

struct admin_server *
admin_server_new(
    const struct home *home, struct runner *runner, struct error *err)
{
	struct admin_server *server = xcalloc(1, sizeof(*server));
	const char *conninfo;

	server->home = home;
	server->runner = runner;
	pthread_mutex_init(&server->lock, NULL);
	server->config = config_load(home, err);
	if (server->config == NULL)
		goto failed;
	conninfo = settings_text(server->config->settings, SETTING_pgsql);
	if (*conninfo == '\0') {
		error_set(err,
		    "'%s/pgsql' is missing or empty: administrators are in the "
		    "database, so write how to reach it into that",
		    home->control);
		goto failed;
	}
	server->admins = admins_new(conninfo, err);
	if (server->admins == NULL)
		goto failed;
	server->node = node_name(server->config->settings);
	open_throttle(server);
	return server;
failed:
	admin_server_free(&server);
	return NULL;
}

void
admin_server_free(struct admin_server **server_in)
{
	struct admin_server *server = *server_in;

	if (server == NULL)
		return;
	runner_free(&server->runner);
	admins_free(&server->admins);
	throttle_free(&server->throttle);
	admin_config_release(&server->config);
	pthread_mutex_destroy(&server->lock);
	free(server->node);
	free(server);
	*server_in = NULL;
}

int
admin_server_reload(struct admin_server *server, struct error *err)
{
	struct admin_config *config = config_load(server->home, err), *old;
	struct throttle_limits limits;

	if (config == NULL)
		return -1;
	limits = throttle_limits_of(config->settings);
	throttle_set_limits(server->throttle, &limits);
	pthread_mutex_lock(&server->lock);
	old = server->config;
	server->config = config;
	pthread_mutex_unlock(&server->lock);
	admin_config_release(&old);
	return 0;
}

struct admin_config *
admin_server_config(struct admin_server *server)
{
	struct admin_config *config;

	pthread_mutex_lock(&server->lock);
	config = server->config;
	__atomic_add_fetch(&config->references, 1, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&server->lock);
	return config;
}

/* -- logins */

static void
note_refused(struct admin_server *server, const char *name,
    const char *remote_ip, bool is_there, int64_t started_ms)
{
	struct admin_config *config = admin_server_config(server);
	int64_t delay_ms = throttle_fail(
	    server->throttle, remote_ip, name, clock_wall_ms());

	if (is_there)
		admins_note_failure(server->admins, name,
		    settings_number(config->settings, SETTING_loginfailures),
		    settings_number(config->settings, SETTING_loginlock));
	admin_config_release(&config);
	delay_ms -= clock_ms() - started_ms;
	if (delay_ms > 0)
		clock_sleep_ms((int)delay_ms);
}

/* Is it the password of one who may?  As much work whoever it is. */
static int
check_admin_password(const struct admin *admin, int found,
    const char *password, struct error *err)
{
	int is_right;

	if (found == 0) {
		verify_nothing(password, NULL);
		return 0;
	}
	is_right = verify_crypt(password, admin->hash, err);
	return is_right == 1 && (!admin->is_active || admin->is_locked)
	    ? 0
	    : is_right;
}

enum admin_login
admin_server_login(struct admin_server *server, const char *name,
    const char *password, const char *remote_ip,
    struct admin_session *session_out, struct error *err)
{
	int64_t started_ms = clock_ms();
	bool is_locked = throttle_locked_ms(server->throttle, remote_ip, name,
			     clock_wall_ms()) > 0;
	int found, is_right;

	*session_out = (struct admin_session){ .age_ms = 0 };
	found = admins_find(server->admins, name, &session_out->admin,
	    &session_out->age_ms, err);
	if (found == -1)
		return ADMIN_LOGIN_UNKNOWN;
	is_right = check_admin_password(
	    &session_out->admin, found, password, err);
	if (is_right == 1 && !is_locked) {
		throttle_pass(
		    server->throttle, remote_ip, name, clock_wall_ms());
		admins_note_login(server->admins, name);
		snprintf(session_out->remote_ip, sizeof(session_out->remote_ip),
		    "%s", remote_ip);
		return ADMIN_LOGIN_OK;
	}
	if (is_right == -1)
		log_line("%s: %d: user %s: %s", admin_program,
		    listener_daemon_id(), name, err->text);
	log_line("%s: %d: user %s password incorrect, from %s%s", admin_program,
	    listener_daemon_id(), name, remote_ip,
	    is_locked || (found == 1 && session_out->admin.is_locked)
		? " (locked out)"
		: found == 1 && !session_out->admin.is_active ? " (disabled)"
							      : "");
	admin_release(&session_out->admin);
	note_refused(server, name, remote_ip, found == 1, started_ms);
	return ADMIN_LOGIN_REFUSED;
}

/* -- orders */

static void
audit_order(struct admin_server *server, const struct admin_order *order,
    const char *result)
{
	const struct command *command = command_at(order->number);
	AUTO(buf_release) struct buf line = BUF_INIT;
	struct audit audit = { .node = server->node,
		.who = order->session->admin.name,
		.from_ip = order->session->remote_ip,
		.what = command->name,
		.result = result,
		.ms = clock_ms() - order->started_ms };
	struct error err;

	buf_init(&line);
	command_mask(command, order->argv, &line);
	audit.args = line.data;
	log_line("%s: %d: user %s from %s: %s [%s]: %s, %" PRId64 " ms",
	    admin_program, listener_daemon_id(), audit.who, audit.from_ip,
	    audit.what, audit.args, result, audit.ms);
	if (order->is_change &&
	    admins_audit(server->admins, &audit, &err) == -1)
		log_line("%s: %d: warning: not in mq.audit: %s", admin_program,
		    listener_daemon_id(), err.text);
}

static enum admin_verdict
judge_order(struct admin_server *server, const struct admin_order *order,
    struct error *err)
{
	const struct command *command = command_at(order->number);

	if (!runner_has(server->runner, order->number)) {
		error_set(err, "this node has no program '%s'", command->name);
		return ADMIN_ABSENT;
	}
	if (!admin_may(&order->session->admin, command, order->argv, err))
		return ADMIN_DENIED;
	if (order->is_change &&
	    (order->session->age_ms > 0 ||
		admins_ping(server->admins, err) == -1)) {
		error_set(err,
		    "the database is away, and nothing is changed meanwhile: "
		    "try again later");
		return ADMIN_UNCHANGING;
	}
	return ADMIN_ADMITTED;
}

enum admin_verdict
admin_server_admit(
    struct admin_server *server, struct admin_order *order, struct error *err)
{
	enum admin_verdict verdict;

	order->started_ms = clock_ms();
	order->is_change = command_is_change(
	    command_at(order->number), order->argv);
	verdict = judge_order(server, order, err);
	if (verdict == ADMIN_ADMITTED && order->is_change) {
		AUTO(buf_release) struct buf line = BUF_INIT;

		buf_init(&line);
		command_mask(command_at(order->number), order->argv, &line);
		log_line("%s: %d: executing command %d %s [%s]", admin_program,
		    listener_daemon_id(), order->number,
		    command_at(order->number)->name, line.data);
	} else if (verdict != ADMIN_ADMITTED)
		audit_order(server, order, "denied");
	return verdict;
}

void
admin_server_done(
    struct admin_server *server, const struct admin_order *order, int code)
{
	OWN_TEXT result = code == -1 ? xstrdup("ended")
				     : xasprintf("exit %d", code);

	audit_order(server, order, result);
}
