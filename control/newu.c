/* SPDX-License-Identifier: ISC */
/* qmail-newu: compiles users/assign to users/cdb. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/usage.h"
#include "control/assign.h"
#include "control/global_vars.h"

static const char usage[] = "usage: qmail-newu\n";

int
main(int argc, char **argv)
{
	struct home *home;
	struct error err;
	char *text_path, *cdb_path;

	log_open("qmail-newu");
	usage_answer(argv, "qmail-newu", usage);
	if (argc > 1) {
		fputs(usage, stderr);
		return 100;
	}
	home = global_vars_home();
	text_path = xasprintf("%s/assign", home->users);
	cdb_path = xasprintf("%s/cdb", home->users);
	if (assign_compile(text_path, cdb_path, &err) == -1)
		fatal(errno == EINVAL || errno == ENOENT ? 100 : 111, "%s",
		    err.text);
	free(cdb_path);
	free(text_path);
	home_free(&home);
	return 0;
}
