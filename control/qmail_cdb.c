/* SPDX-License-Identifier: ISC */
/* qmail-cdb: compiles a file of routes, credentials or recipients. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/usage.h"
#include "control/home.h"
#include "control/recipients.h"
#include "control/smtproutes.h"

static const char usage[] =
    "usage: qmail-cdb smtproutes|moresmtproutes|remote_auth|recipients\n";

static bool
is_known_name(const char *name)
{
	return strcmp(name, "smtproutes") == 0 ||
	    strcmp(name, "moresmtproutes") == 0 ||
	    strcmp(name, "remote_auth") == 0 ||
	    strcmp(name, "recipients") == 0;
}

int
main(int argc, char **argv)
{
	struct home *home;
	struct error err;

	log_open("qmail-cdb");
	usage_answer(argv, "qmail-cdb", usage);
	if (argc != 2 || !is_known_name(argv[1])) {
		fputs(usage, stderr);
		return 100;
	}
	home = home_new();
	if (strcmp(argv[1], "recipients") == 0
		? recipients_compile(home, &err) == -1
		: smtproutes_compile(home->control, argv[1], &err) == -1)
		fatal(errno == EINVAL || errno == ENOENT ? 100 : 111, "%s",
		    err.text);
	home_free(&home);
	return 0;
}
