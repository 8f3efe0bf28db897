/* SPDX-License-Identifier: ISC */
/* qmail-nullqueue: takes a message and forgets it (qmail-nullqueue(8)). */
#include <errno.h>
#include <unistd.h>

#include "base/log.h"
#include "base/usage.h"
#include "queue/exitcode.h"

static const char usage[] =
    "usage: qmail-nullqueue, with a message on descriptor 0 and its envelope "
    "on 1";

static int
drain_input(int fd)
{
	char buffer[4096];
	ssize_t n;

	do
		n = read(fd, buffer, sizeof(buffer));
	while (n > 0 || (n == -1 && errno == EINTR));
	return n == -1 ? -1 : 0;
}

int
main(int argc, char **argv)
{
	log_open("qmail-nullqueue");
	usage_answer(argv, "qmail-nullqueue", usage);
	if (argc > 1)
		fatal(QQ_MISCONFIGURED, "%s", usage);
	if (drain_input(0) == -1 || drain_input(1) == -1)
		return QQ_READ_ERROR;
	return QQ_OK;
}
