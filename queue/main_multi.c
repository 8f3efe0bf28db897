/* SPDX-License-Identifier: ISC */
/*
 * qmail-multi: runs the program that queues, or filters, a message
 * (qmail-multi(8)).  The queue itself is chosen where the message is handed
 * over, by the same multiplexer for every client.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/usage.h"
#include "queue/exitcode.h"

int
main(int argc, char **argv)
{
	const char *program = getenv("QUEUEPROG");
	char *dir = file_program_dir();
	char *standard = xasprintf("%s/qmail-queue", dir);
	char *plain[2] = { standard, NULL };

	log_open("qmail-multi");
	usage_answer(
	    argv, "qmail-multi", "usage: qmail-multi [PROGRAM [ARGUMENT ...]]");
	free(dir);
	if (argc > 1)
		execv(argv[1], argv + 1);
	else {
		if (program != NULL && program[0] != '\0') {
			plain[0] = xstrdup(program);
			unsetenv("QUEUEPROG"); /* a chain must not loop */
		}
		execv(plain[0], plain);
	}
	log_line("fatal: cannot run '%s': %s", argc > 1 ? argv[1] : plain[0],
	    strerror(errno));
	if (plain[0] != standard)
		free(plain[0]);
	free(standard);
	return QQ_EXEC;
}
