/* SPDX-License-Identifier: ISC */
/* svctool: makes, starts, stops, checks and shows a node. */
#include "svctool/svctool.h"

#include <stdio.h>
#include <string.h>

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *usage;
} commands[] = {
	{ "init", cmd_init,
	    "[--home DIR] [--destdir DIR] [--me NAME] [--domain D[,D]]\n"
	    "            [--queues N] [--address IP] [--port P[,P]] "
	    "[--submission P[,P]]\n"
	    "            [--smtps P[,P]] [--lmtp P[,P]] [--relay NET[,NET]]\n"
	    "            [--user NAME] [--create-users]" },
	{ "start", cmd_start, "[--home DIR] [--timeout SECONDS]" },
	{ "stop", cmd_stop, "[--home DIR] [--timeout SECONDS]" },
	{ "restart", cmd_restart, "[--home DIR] [--timeout SECONDS]" },
	{ "status", cmd_status, "[--home DIR] [--json]" },
	{ "check", cmd_check, "[--home DIR]" },
	{ "queue", cmd_queue,
	    "add|remove|hold|release|fix NAME|NUMBER [--home DIR]\n"
	    "            [--local] [--remote]" },
	{ "systemd", cmd_systemd, "[--home DIR] --destdir DIR" },
	{ "showctl", cmd_showctl, "[--home DIR]" },
};

int
complain(int code, const struct error *err)
{
	fflush(stdout);
	fprintf(stderr, "svctool: %s\n", err->text);
	return code;
}

static int
usage(const char *name)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (name == NULL || strcmp(name, commands[i].name) == 0)
			fprintf(stderr, "usage: svctool %s %s\n",
			    commands[i].name, commands[i].usage);
	return EXIT_USAGE;
}

int
main(int argc, char **argv)
{
	for (size_t i = 0;
	     argc > 1 && i < sizeof(commands) / sizeof(commands[0]); i++) {
		int code;

		if (strcmp(argv[1], commands[i].name) != 0)
			continue;
		code = commands[i].run(argc - 2, argv + 2);
		return code == EXIT_USAGE ? usage(argv[1]) : code;
	}
	if (argc > 1)
		fprintf(stderr, "svctool: unknown command '%s'\n", argv[1]);
	return usage(NULL);
}
