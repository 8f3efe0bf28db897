/* SPDX-License-Identifier: ISC */
/* qmail-newmrh: compiles control/morercpthosts to morercpthosts.cdb. */
#include <errno.h>
#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/usage.h"
#include "control/home.h"
#include "control/rcpthosts.h"

static const char usage[] = "usage: qmail-newmrh\n";

int
main(int argc, char **argv)
{
	AUTO(home_free) struct home *home = NULL;
	struct error err;

	log_open("qmail-newmrh");
	usage_answer(argv, "qmail-newmrh", usage);
	if (argc > 1) {
		fputs(usage, stderr);
		return 100;
	}
	home = home_new();
	if (rcpthosts_compile_more(home->control, &err) == -1)
		fatal(errno == EINVAL || errno == ENOENT ? 100 : 111, "%s",
		    err.text);
	return 0;
}
