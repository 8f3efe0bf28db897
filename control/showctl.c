/* SPDX-License-Identifier: ISC */
/* qmail-showctl: shows every setting, its value and where that is from. */
#include "control/showctl.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/usage.h"
#include "control/envrules.h"
#include "control/home.h"

static const char usage[] =
    "usage: qmail-showctl [--json] [--queue NAME] [SETTING ...]\n"
    "       qmail-showctl --man\n"
    "       qmail-showctl --help\n";

/* Ends with the usage on standard error. */
static void __attribute__((noreturn)) misused(void)
{
	fputs(usage, stderr);
	exit(100);
}

static void
keep_reason(enum setting_id id, const char *reason, void *context)
{
	struct showctl *showctl = context;

	showctl->reasons[id] = xstrdup(reason);
}

/* The loader only finds files of rules; here they are read. */
static void
check_rules(struct showctl *showctl)
{
	for (unsigned id = 0; id < SETTING_COUNT; id++) {
		AUTO(envrules_free) struct envrules *rules = NULL;
		struct error err;

		if (setting_rows[id].type == SETTING_RULES &&
		    showctl->reasons[id] == NULL &&
		    envrules_load(settings_text(showctl->settings, id), &rules,
			&err) == -1)
			showctl->reasons[id] = xstrdup(err.text);
	}
}

static void
choose(struct showctl *showctl, char **names)
{
	unsigned id;

	for (id = 0; id < SETTING_COUNT; id++)
		showctl->is_chosen[id] = *names == NULL;
	for (; *names != NULL; names++) {
		enum setting_id chosen;

		if (!settings_find(*names, &chosen))
			fatal(100,
			    "there is no setting '%s'; without a name "
			    "all are shown",
			    *names);
		showctl->is_chosen[chosen] = true;
	}
}

/* The exit code: 100 when a setting that was shown is wrong. */
static int
verdict(const struct showctl *showctl)
{
	unsigned id, wrong = 0;

	for (id = 0; id < SETTING_COUNT; id++)
		if (showctl->is_chosen[id] && showctl->reasons[id] != NULL) {
			log_line("%s", showctl->reasons[id]);
			wrong++;
		}
	return wrong > 0 ? 100 : 0;
}

static int
show_settings(struct showctl *showctl, char **names, bool is_json)
{
	struct error err;
	size_t i;
	int result;

	choose(showctl, names);
	if (*names == NULL &&
	    showctl_find_unknown(
		showctl->control_dir, &showctl->unknown, &err) == -1)
		fatal(111, "%s", err.text);
	showctl->settings = settings_load_all(
	    showctl->control_dir, showctl->queue, keep_reason, showctl);
	check_rules(showctl);
	if (is_json)
		showctl_print_json(showctl);
	else
		showctl_print_text(showctl);
	result = verdict(showctl);
	if (fflush(stdout) == EOF)
		fatal(111, "cannot write the settings");
	settings_free(&showctl->settings);
	for (i = 0; i < SETTING_COUNT; i++)
		free(showctl->reasons[i]);
	strlist_release(&showctl->unknown);
	return result;
}

/* A queue's own settings may be made before the queue. */
static void
check_shown_queue(const struct home *home, const char *queue)
{
	OWN_TEXT path = NULL;
	const char *base = getenv("QUEUE_BASE");

	if (queue == NULL)
		return;
	if (*queue == '\0' || strchr(queue, '/') != NULL)
		fatal(100,
		    "'%s' is not a queue's name; write for example queue1",
		    queue);
	path = xasprintf(
	    "%s/%s", base == NULL || *base == '\0' ? home->queue : base, queue);
	if (access(path, F_OK) == -1 && errno == ENOENT)
		log_line("warning: there is no queue '%s'; these are the "
			 "settings that it would have",
		    path);
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "man", no_argument, NULL, 'm' },
		{ "queue", required_argument, NULL, 'q' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct showctl showctl = { .queue = NULL };
	bool is_json = false, is_man = false;
	AUTO(home_free) struct home *home = NULL;
	int option;

	log_open("qmail-showctl");
	usage_answer(argv, "qmail-showctl", usage);
	while ((option = getopt_long(argc, argv, "jq:h", options, NULL)) != -1)
		switch (option) {
		case 'j':
			is_json = true;
			break;
		case 'm':
			is_man = true;
			break;
		case 'q':
			showctl.queue = optarg;
			break;
		case 'h':
			fputs(usage, stdout);
			return 0;
		default:
			misused();
		}
	if (is_man) {
		if (is_json || showctl.queue != NULL || optind != argc)
			misused();
		showctl_print_man();
		return fflush(stdout) == EOF ? 111 : 0;
	}
	home = home_new();
	showctl.control_dir = home->control;
	check_shown_queue(home, showctl.queue);
	return show_settings(&showctl, argv + optind, is_json);
}
