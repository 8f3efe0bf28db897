/* SPDX-License-Identifier: ISC */
/*
 * Options of svctool init that change nothing, because what they are about is
 * there already and says otherwise: each is named, with what to do instead.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "control/settings.h"
#include "svctool/init/init.h"
#include "svctool/run/ports.h"
#include "svctool/run/ready.h"
#include "svctool/run/service_env.h"

enum { RULES_MAX = 16 * 1024 * 1024 };

static const char verb[] = "unused";

static void
say_name(const struct node *node, const struct init_options *options)
{
	char me[NAMES_DOMAIN_SIZE], wanted[NAMES_DOMAIN_SIZE];
	struct error unused;

	if (options->me == NULL || init_read_me(node, me, &unused) != 1 ||
	    names_domain(options->me, wanted, &unused) == -1 ||
	    strcmp(me, wanted) == 0)
		return;
	make_say(verb,
	    "--me %s: the node keeps the name %s; to change it write it to "
	    "'%s/me', put a certificate for it into '%s', and svctool restart",
	    options->me, me, node->home->control, node->home->tls);
}

static void
say_queues(const struct node *node, const struct init_options *options)
{
	OWN_TEXT control = node_path(node, "%s", node->home->control);
	AUTO(settings_free)
	struct settings *settings = settings_load_all(
	    control, NULL, NULL, NULL);
	unsigned count = (unsigned)settings_number(
	    settings, SETTING_queue_count);

	/* More are refused (init_take_existing()). */
	if (options->queues < count &&
	    settings_is_set(settings, SETTING_queue_count))
		make_say(verb,
		    "--queues %u: the node has %u, and keeps them; 'svctool "
		    "queue remove' takes the last away",
		    options->queues, count);
}

static bool
has_service(const struct node *node, const char *name)
{
	OWN_TEXT path = node_path(node, "%s/%s", node->home->service, name);

	return access(path, F_OK) == 0;
}

/* A listener that is there, and is not what the option asks for. */
static void
say_listener(const struct node *node, const char *option, const char *text,
    enum listener_kind kind, const struct port_address *wanted)
{
	OWN_TEXT name = service_listener_name(kind, wanted);
	struct smtp_options options;
	struct port_address address;
	AUTO(service_env_release)
	struct service_env env = { .own_folder = NULL };
	struct error err;
	bool is_same;

	if (!has_service(node, name)) {
		return;
	}
	service_env_read(node, name, &env);
	is_same = ready_listen_address(node, name, &address, &err) == 0 &&
	    strcmp(address.ip, wanted->ip) == 0 &&
	    address.port == wanted->port &&
	    service_env_options(&env, &options, &err) == 0 &&
	    options.kind.is_lmtp == (kind == LISTENER_LMTP) &&
	    options.kind.is_qmtp == (kind == LISTENER_QMTP) &&
	    options.kind.is_qmqp == (kind == LISTENER_QMQP) &&
	    options.kind.is_odmr == (kind == LISTENER_ODMR) &&
	    options.kind.is_node == (kind == LISTENER_NODE) &&
	    options.kind.is_submission ==
		(kind == LISTENER_SUBMISSION ||
		    kind == LISTENER_SUBMISSIONS) &&
	    options.kind.has_tls_first ==
		(kind == LISTENER_SMTPS || kind == LISTENER_SUBMISSIONS ||
		    kind == LISTENER_POP3S);
	if (!is_same)
		make_say(verb,
		    "--%s %s: the listener %s is there, and stays what it is; "
		    "change LISTEN ('%s') and OPTIONS ('%s') in '%s', then "
		    "svctool restart",
		    option, text, name, service_env_text(&env, "LISTEN"),
		    service_env_text(&env, "OPTIONS"), env.own_folder);
}

static void
say_listeners(const struct node *node, const struct init_options *options)
{
	const struct {
		const char *option;
		enum listener_kind kind;
		const struct strlist *ports;
	} rows[] = {
		{ "port", LISTENER_SMTP, &options->smtp },
		{ "submission", LISTENER_SUBMISSION, &options->submission },
		{ "submissions", LISTENER_SUBMISSIONS, &options->submissions },
		{ "odmr", LISTENER_ODMR, &options->odmr },
		{ "smtps", LISTENER_SMTPS, &options->smtps },
		{ "lmtp", LISTENER_LMTP, &options->lmtp },
		{ "qmtp", LISTENER_QMTP, &options->qmtp },
		{ "qmqp", LISTENER_QMQP, &options->qmqp },
		{ "pop3", LISTENER_POP3, &options->pop3 },
		{ "pop3s", LISTENER_POP3S, &options->pop3s },
	};
	bool is_any = false;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (size_t j = 0; j < rows[i].ports->count; j++) {
			const char *text = rows[i].ports->items[j];
			struct port_address wanted;
			struct error unused;

			is_any = true;
			if (port_parse(
				text, options->address, &wanted, &unused) == 0)
				say_listener(node, rows[i].option, text,
				    rows[i].kind, &wanted);
		}
	if (options->has_address && !is_any && options->is_existing)
		make_say(verb,
		    "--address %s: it is for listeners that are made now, and "
		    "none is asked for; change LISTEN in the variables/ of "
		    "those that are there, then svctool restart",
		    options->address);
}

/* Does a line of the rules begin with it? */
static bool
has_relay_rule(const char *rules, const char *network)
{
	size_t length = strlen(network);

	for (const char *at = rules; at != NULL; at = strchr(at, '\n')) {
		at += *at == '\n';
		if (strncmp(at, network, length) == 0 && at[length] == ':')
			return true;
	}
	return false;
}

static void
say_relay(const struct node *node, const struct init_options *options)
{
	OWN_TEXT path = node_layout_path(node, LAYOUT_access);
	AUTO(buf_release) struct buf rules = BUF_INIT;

	if (file_read(path, RULES_MAX, &rules, NULL) == 1)
		for (size_t i = 0; i < options->relay.count; i++)
			if (!has_relay_rule(
				rules.data, options->relay.items[i]))
				make_say(verb,
				    "--relay %s: '%s' is there, and stays as "
				    "it is; write '%s:allow,RELAYCLIENT=\"\"' "
				    "above its last line, and run 'tcprules "
				    "%s.cdb %s.tmp < %s'",
				    options->relay.items[i], path,
				    options->relay.items[i], path, path, path);
}

static void
say_users(const struct init_options *options)
{
	if (options->create_users && (geteuid() != 0 || options->user != NULL))
		make_say(verb,
		    "--create-users: everything of this node runs as one "
		    "user, %s",
		    options->user != NULL ? options->user : "you");
}

void
init_say_unused(const struct node *node, const struct init_options *options)
{
	say_name(node, options);
	say_queues(node, options);
	say_listeners(node, options);
	say_relay(node, options);
	say_users(options);
}
