/* SPDX-License-Identifier: ISC */
/* svctool init: makes a node, or what is missing of it. */
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "control/layout.h"
#include "control/settings.h"
#include "svctool/init/init.h"
#include "svctool/run/place.h"
#include "svctool/run/ports.h"
#include "svctool/run/service.h"
#include "svctool/svctool.h"

enum { HOST_NAME_SIZE = 256 };

/* The name of this host, as DNS or /etc/hosts completes it. */
static char *
default_me(const struct strlist *domains)
{
	char host[HOST_NAME_SIZE];
	struct addrinfo hints = { .ai_flags = AI_CANONNAME };
	struct addrinfo *found = NULL;
	char *me = NULL;

	if (gethostname(host, sizeof(host)) == -1)
		snprintf(host, sizeof(host), "localhost");
	host[sizeof(host) - 1] = '\0';
	if (strchr(host, '.') != NULL)
		return xstrdup(host);
	if (domains->count > 0)
		return xasprintf("%s.%s", host, domains->items[0]);
	if (getaddrinfo(host, NULL, &hints, &found) == 0) {
		if (found->ai_canonname != NULL &&
		    strchr(found->ai_canonname, '.') != NULL)
			me = xstrdup(found->ai_canonname);
		freeaddrinfo(found);
	}
	return me != NULL ? me : xstrdup(host);
}

static int
make_listeners(
    struct maker *maker, const struct init_options *options, struct error *err)
{
	const struct {
		enum listener_kind kind;
		const struct strlist *ports;
	} rows[] = {
		{ LISTENER_SMTP, &options->smtp },
		{ LISTENER_SUBMISSION, &options->submission },
		{ LISTENER_SUBMISSIONS, &options->submissions },
		{ LISTENER_ODMR, &options->odmr },
		{ LISTENER_SMTPS, &options->smtps },
		{ LISTENER_LMTP, &options->lmtp },
		{ LISTENER_QMTP, &options->qmtp },
		{ LISTENER_QMQP, &options->qmqp },
		{ LISTENER_POP3, &options->pop3 },
		{ LISTENER_POP3S, &options->pop3s },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (size_t j = 0; j < rows[i].ports->count; j++) {
			struct port_address address;

			if (port_parse(rows[i].ports->items[j],
				options->address, &address, err) == -1 ||
			    service_make_listener(
				maker, rows[i].kind, &address, err) == -1)
				return -1;
		}
	return 0;
}

/* Its users are in a database: then there is one to ask. */
static int
make_lookup(struct maker *maker, struct error *err)
{
	OWN_TEXT control = node_path(
	    maker->node, "%s", maker->node->home->control);
	AUTO(settings_free)
	struct settings *settings = settings_load_all(
	    control, NULL, NULL, NULL);

	return strcmp(settings_text(settings, SETTING_userstore), "pgsql") == 0
	    ? service_make_lookup(maker, err)
	    : 0;
}

static int
make_address(struct maker *maker, const struct init_options *options,
    const char *name, const char *text, struct error *err)
{
	OWN_TEXT path = layout_path(maker->node->home, LAYOUT_setting, name);
	OWN_TEXT line = NULL;
	struct port_address address;

	if (text == NULL)
		return 0;
	if (port_parse(text, options->address, &address, err) == -1)
		return -1;
	line = xasprintf(strchr(address.ip, ':') != NULL ? "[%s]:%u\n"
							 : "%s:%u\n",
	    address.ip, address.port);
	return make_file(maker, LAYOUT_setting, path, line, err);
}

/* Administrators are in the database, too. */
static int
make_admin(
    struct maker *maker, const struct init_options *options, struct error *err)
{
	return make_address(
		   maker, options, "adminlisten", options->admin, err) == -1 ||
		make_address(maker, options, "adminapi", options->api, err) ==
		    -1 ||
		(options->admin != NULL &&
		    service_make_admin(maker, err) == -1)
	    ? -1
	    : 0;
}

static int
make_node(
    struct maker *maker, const struct init_options *options, struct error *err)
{
	if (init_folders(maker, options, err) == -1 ||
	    init_sweep(maker, err) == -1 ||
	    init_control(maker, options, err) == -1 ||
	    init_tls(maker, options, err) == -1 ||
	    init_rules(maker, options, err) == -1 ||
	    /* First: once there is a service, no port is the standard. */
	    make_listeners(maker, options, err) == -1)
		return -1;
	for (unsigned i = 0; i < options->queues && !options->has_other_base;
	     i++) {
		char name[32];

		snprintf(
		    name, sizeof(name), "queue%u", options->queue_start + i);
		if (service_make_queue(maker, name, err) == -1)
			return -1;
	}
	return service_make_resolver(maker, err) == -1 ||
		service_make_remote(maker, err) == -1 ||
		make_lookup(maker, err) == -1 ||
		make_admin(maker, options, err) == -1 ||
		init_imap(maker, options, err) == -1 ||
		init_complete_services(maker, err) == -1 ||
		init_domains(maker, options, err) == -1
	    ? -1
	    : 0;
}

static void
release_options(struct init_options *options)
{
	free(options->me);
	strlist_release(&options->domains);
	strlist_release(&options->smtp);
	strlist_release(&options->submission);
	strlist_release(&options->submissions);
	strlist_release(&options->odmr);
	strlist_release(&options->smtps);
	strlist_release(&options->lmtp);
	strlist_release(&options->qmtp);
	strlist_release(&options->qmqp);
	strlist_release(&options->pop3);
	strlist_release(&options->pop3s);
	strlist_release(&options->relay);
}

/* What the options leave open, for a new node.  0, or -1: the name is none. */
static int
complete_options(struct init_options *options, struct error *err)
{
	if (options->is_existing)
		return 0;
	if (options->me == NULL)
		options->me = default_me(&options->domains);
	if (options->queues == INIT_UNSAID)
		options->queues = INIT_QUEUES_STANDARD;
	options->queue_start = INIT_QUEUE_START;
	if (options->smtp.count + options->submission.count +
		options->submissions.count + options->odmr.count +
		options->smtps.count + options->lmtp.count +
		options->qmtp.count + options->qmqp.count +
		options->pop3.count + options->pop3s.count ==
	    0)
		strlist_add(&options->smtp, "25");
	return init_check_options(options, err);
}

/* Who it runs as: the option, the environment, or what a node here says. */
static void
choose_user(struct init_options *options)
{
	const char *user = getenv("MQMAIL_USER");

	if (options->user != NULL)
		setenv("MQMAIL_USER", options->user, 1);
	else if (user != NULL && *user != '\0')
		options->user = user;
}

/* The sockets of every queue that is to be made. */
static int
check_length(const struct node *node, const struct init_options *options,
    struct error *err)
{
	char name[32];

	/* The last has the longest name. */
	snprintf(name, sizeof(name), "queue%u",
	    options->queue_start + options->queues - 1);
	return options->has_other_base || place_fits_queue(node, name, err)
	    ? 0
	    : -1;
}

static int
open_node(struct init_options *options, const char *home, const char *destdir,
    struct node **node_out, struct error *err)
{
	if (destdir != NULL && file_make_dirs(destdir, 0755, err) == -1)
		return -1;
	*node_out = node_new(home, destdir, err);
	if (*node_out == NULL)
		return -1;
	choose_user(options);
	return init_check_identity(*node_out, options->user, err) == -1 ||
		init_take_existing(*node_out, options, err) == -1 ||
		complete_options(options, err) == -1 ||
		check_length(*node_out, options, err) == -1
	    ? -1
	    : 0;
}

int
cmd_init(int argc, char **argv)
{
	AUTO(release_options)
	struct init_options options = { .queues = INIT_UNSAID };
	const char *home = NULL, *destdir = NULL, *me = NULL, *address = NULL;
	const struct arg_row rows[] = {
		{ "home", ARG_TEXT, &home },
		{ "destdir", ARG_TEXT, &destdir },
		{ "me", ARG_TEXT, &me },
		{ "domain", ARG_LIST, &options.domains },
		{ "queues", ARG_NUMBER, &options.queues },
		{ "address", ARG_TEXT, &address },
		{ "port", ARG_LIST, &options.smtp },
		{ "submission", ARG_LIST, &options.submission },
		{ "submissions", ARG_LIST, &options.submissions },
		{ "odmr", ARG_LIST, &options.odmr },
		{ "smtps", ARG_LIST, &options.smtps },
		{ "lmtp", ARG_LIST, &options.lmtp },
		{ "qmtp", ARG_LIST, &options.qmtp },
		{ "qmqp", ARG_LIST, &options.qmqp },
		{ "pop3", ARG_LIST, &options.pop3 },
		{ "pop3s", ARG_LIST, &options.pop3s },
		{ "imap", ARG_TEXT, &options.imap },
		{ "imaps", ARG_TEXT, &options.imaps },
		{ "admin", ARG_TEXT, &options.admin },
		{ "api", ARG_TEXT, &options.api },
		{ "relay", ARG_LIST, &options.relay },
		{ "user", ARG_TEXT, &options.user },
		{ "create-users", ARG_FLAG, &options.create_users },
		{ NULL, ARG_FLAG, NULL },
	};
	struct maker maker = { .made = 0 };
	AUTO(node_free) struct node *node = NULL;
	struct error err;

	if (args_parse(rows, argc, argv, NULL, &err) == -1)
		return complain(EXIT_USAGE, &err);
	options.me = me != NULL ? xstrdup(me) : NULL;
	options.has_destdir = destdir != NULL;
	options.has_address = address != NULL;
	options.address = address != NULL ? address : "0.0.0.0";
	if (init_check_options(&options, &err) == -1)
		return complain(EXIT_USAGE, &err);
	if (open_node(&options, home, destdir, &node, &err) == -1)
		return complain(EXIT_TROUBLE, &err);
	maker.node = node;
	if (init_prepare_users(&options, &maker, &err) == -1 ||
	    make_node(&maker, &options, &err) == -1)
		return complain(EXIT_TROUBLE, &err);
	if (maker.made == 0)
		printf("nothing to do: the node at %s%s is complete\n",
		    node->destdir, node->home->root);
	else
		printf("the node is at %s%s; start it with: svctool start "
		       "--home %s\n",
		    node->destdir, node->home->root, node->home->root);
	return EXIT_FINE;
}
