/* SPDX-License-Identifier: ISC */
/* qmail-newu: compiles users/assign to users/cdb. */
#include <errno.h>
#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/usage.h"
#include "control/assign.h"
#include "control/global_vars.h"

static const char usage[] = "usage: qmail-newu\n";

int
main(int argc, char **argv)
{
	AUTO(home_free) struct home *home = NULL;
	struct error err;

	log_open("qmail-newu");
	usage_answer(argv, "qmail-newu", usage);
	if (argc > 1) {
		fputs(usage, stderr);
		return 100;
	}
	home = global_vars_home();
	if (assign_compile_users(home, &err) == -1)
		fatal(errno == EINVAL || errno == ENOENT ? 100 : 111, "%s",
		    err.text);
	return 0;
}
