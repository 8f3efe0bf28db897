/* SPDX-License-Identifier: ISC */
/* qmail-rm: removes messages from the queues (qmail-rm(8)). */
#include <sys/stat.h>

#include "svctool/svctool.h"

int
main(int argc, char **argv)
{
	umask(022); /* as svctool */
	return cmd_rm(argc, argv);
}
