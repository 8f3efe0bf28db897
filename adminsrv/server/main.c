/* SPDX-License-Identifier: ISC */
/* adminsrv: administration from afar; see adminsrv(8). */
#include <signal.h>
#include <stddef.h>

#include "adminsrv/server/listen.h"
#include "adminsrv/server/server.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/usage.h"

int
main(int argc, char **argv)
{
	static const char usage[] = "usage: adminsrv";
	AUTO(home_free) struct home *home = NULL;
	struct error err;
	int result;

	signal(SIGPIPE, SIG_IGN);
	log_open(NULL);
	usage_answer(argv, admin_program, usage);
	log_open(admin_program);
	if (argc > 1)
		fatal(100, "%s", usage);
	log_open(NULL); /* lines begin with the name themselves */
	home = home_new();
	result = admin_listen(home, &err);
	if (result != 0) {
		log_open(admin_program);
		fatal(result, "%s", err.text);
	}
	return 0;
}
