/* SPDX-License-Identifier: ISC */
/* qmail-newmrh: compiles control/morercpthosts to morercpthosts.cdb. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>

#include "base/log.h"
#include "control/home.h"
#include "control/rcpthosts.h"

static const char usage[] = "usage: qmail-newmrh [--help]\n";

int
main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct home *home;
	struct error err;
	int option;

	log_open("qmail-newmrh");
	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		fputs(usage, option == 'h' ? stdout : stderr);
		return option == 'h' ? 0 : 100;
	}
	if (optind != argc) {
		fputs(usage, stderr);
		return 100;
	}
	home = home_new();
	if (rcpthosts_compile_more(home->control, &err) == -1)
		fatal(errno == EINVAL || errno == ENOENT ? 100 : 111, "%s",
		    err.text);
	home_free(&home);
	return 0;
}
