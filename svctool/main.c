/* SPDX-License-Identifier: ISC */
/* svctool: makes, starts, stops, checks and shows a node. */
#include "base/mem.h"
#include "svctool/svctool.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/usage.h"

static int cmd_help(int argc, char **argv);

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *usage;
} commands[] = {
	{ "init", cmd_init,
	    "[--home DIR] [--destdir DIR | --domain D[,D]] [--me NAME]\n"
	    "            [--queues N] [--address IP] [--port P[,P]] "
	    "[--submission P[,P]]\n"
	    "            [--submissions P[,P]] [--odmr P[,P]]\n"
	    "            [--smtps P[,P]] [--lmtp P[,P]] [--qmtp P[,P]]\n"
	    "            [--qmqp P[,P]] [--pop3 P[,P]] [--pop3s P[,P]]\n"
	    "            [--imap P] [--imaps P] [--admin P] [--api P]\n"
	    "            [--relay NET[,NET]]\n"
	    "            [--user NAME] [--create-users]" },
	{ "start", cmd_start, "[--home DIR] [--timeout SECONDS]" },
	{ "stop", cmd_stop, "[--home DIR] [--timeout SECONDS]" },
	{ "restart", cmd_restart, "[--home DIR] [--timeout SECONDS]" },
	{ "status", cmd_status, "[--home DIR] [--json]" },
	{ "check", cmd_check, "[--home DIR] [--json]" },
	{ "queue", cmd_queue,
	    "add|remove|hold|release|fix NAME|NUMBER [--home DIR]\n"
	    "            [--timeout SECONDS] [--local] [--remote]\n"
	    "       svctool queue list|show|ages|hold|release|retry|delete|"
	    "bounce|move\n"
	    "            [ID ...] [--id ID[,ID]] [--queue NAME[,NAME]] "
	    "[--sender PATTERN]\n"
	    "            [--recipient PATTERN] [--domain PATTERN] "
	    "[--lane LANE]\n"
	    "            [--reason PATTERN] [--older TIME] [--larger SIZE] "
	    "[--all]\n"
	    "            [--text TEXT] [--to QUEUE] [--body] [--dry-run] "
	    "[--json]\n"
	    "            [--home DIR] [--timeout SECONDS]\n"
	    "       svctool queue destinations [DOMAIN ...] "
	    "[--domain PATTERN] [--json]\n"
	    "       svctool queue suspend DOMAIN ... [--reason TEXT] "
	    "[--for TIME]\n"
	    "       svctool queue resume|rebind|reset DOMAIN ... [--dry-run] "
	    "[--home DIR]" },
	{ "log", cmd_log,
	    "[--home DIR] [--service NAME[,NAME]] [--queue NAME|NUMBER]\n"
	    "            [--id NUMBER|UUID] [--address ADDRESS] "
	    "[--since TIME]\n"
	    "            [--until TIME | --follow] [--utc] [--json]" },
	{ "systemd", cmd_systemd, "[--home DIR] [--destdir DIR]" },
	{ "showctl", cmd_showctl, "[--home DIR]" },
	{ "db", cmd_db,
	    "init|upgrade|status|check|local [--home DIR] [--json]" },
	{ "cluster", cmd_cluster,
	    "init [--name NAME] [--host HOST] [--role ROLE]\n"
	    "            [--listen ADDRESS:PORT] [--bus ADDRESS:PORT] "
	    "[--imap PORT] [--pop3 PORT] [--no-store]\n"
	    "       svctool cluster token [--name NAME] [--for TIME]\n"
	    "       svctool cluster join --token TOKEN|- [--db CONNINFO|-] "
	    "[options of init]\n"
	    "       svctool cluster leave\n"
	    "       svctool cluster revoke NODE [--forget]\n"
	    "       svctool cluster rotate-keys\n"
	    "       svctool cluster store add NAME --path DIR [--node NODE] "
	    "[--group GROUP]\n"
	    "            [--weight N] [--max-users N] [--max-bytes N] "
	    "[--many-served]\n"
	    "       svctool cluster store list | remove NAME\n"
	    "       svctool cluster store set NAME [--group GROUP] "
	    "[--weight N]\n"
	    "            [--max-users N] [--max-bytes N] [--open | --close]\n"
	    "       svctool cluster store group NAME --takeover | "
	    "--no-takeover\n"
	    "       svctool cluster takeover STORE --to NODE\n"
	    "       svctool cluster run-tasks\n"
	    "       svctool cluster status [--watch] [--home DIR] [--json]" },
	{ "dns", cmd_dns, "a|aaaa|mx|ptr|tlsa|txt NAME [--home DIR] [--json]" },
	{ "route", cmd_route,
	    "DOMAIN|RECIPIENT [SENDER] [--home DIR] [--json]" },
	{ "tls-report", cmd_tls_report,
	    "[DAY] [--send] [--home DIR] [--json]" },
	{ "help", cmd_help, "[COMMAND]" },
};

/* The usage of a command, or of all. */
static void
put_usage(const char *name, struct buf *text)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (name == NULL || strcmp(name, commands[i].name) == 0)
			buf_addf(text, "usage: svctool %s %s\n",
			    commands[i].name, commands[i].usage);
}

static int
usage(const char *name)
{
	AUTO(buf_release) struct buf text = BUF_INIT;

	put_usage(name, &text);
	fputs(text.data, stderr);
	return EXIT_USAGE;
}

/* svctool --help, and svctool COMMAND --help. */
static void
answer_usage(char *const *argv, const char *name)
{
	AUTO(buf_release) struct buf text = BUF_INIT;

	put_usage(name, &text);
	usage_answer(argv, "svctool", text.data);
}

static bool
is_command(const char *name)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(name, commands[i].name) == 0)
			return true;
	return false;
}

/* svctool help [COMMAND], in other words. */
static int
cmd_help(int argc, char **argv)
{
	char program[] = "svctool", option[] = "--help";
	char *const words[] = { program, option, NULL };
	struct error err;

	if (argc > 1 || (argc == 1 && !is_command(argv[0]))) {
		error_set(&err, "there is no command '%s'", argv[argc - 1]);
		return complain(EXIT_USAGE, &err);
	}
	answer_usage(words, argc == 1 ? argv[0] : NULL);
	return EXIT_FINE;
}

int
main(int argc, char **argv)
{
	umask(022); /* modes are what the code says, whoever calls */
	answer_usage(argv, NULL);
	for (size_t i = 0;
	     argc > 1 && i < sizeof(commands) / sizeof(commands[0]); i++) {
		int code;

		if (strcmp(argv[1], commands[i].name) != 0)
			continue;
		answer_usage(argv + 1, argv[1]);
		code = commands[i].run(argc - 2, argv + 2);
		return code == EXIT_USAGE ? usage(argv[1]) : code;
	}
	if (argc > 1)
		fprintf(stderr, "svctool: unknown command '%s'\n", argv[1]);
	return usage(NULL);
}
