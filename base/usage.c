/* SPDX-License-Identifier: ISC */
/* The answers that every program gives about itself. */
#include "base/usage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

void
usage_answer(char *const *argv, const char *program, const char *usage)
{
	size_t length = strlen(usage);

	/* A program may be started without even its name. */
	if (argv[0] == NULL || argv[1] == NULL)
		return;
	if (strcmp(argv[1], "--help") == 0)
		printf("%s%s", usage,
		    length > 0 && usage[length - 1] == '\n' ? "" : "\n");
	else if (strcmp(argv[1], "--version") == 0)
		printf("%s (mqmail) %s\n", program, MQMAIL_VERSION);
	else
		return;
	if (fflush(stdout) == EOF)
		fatal(111, "cannot write to standard output");
	exit(0);
}
