/* SPDX-License-Identifier: ISC */
/* qmail-nullqueue: takes a message and forgets it (qmail-nullqueue(8)). */
#include <errno.h>
#include <unistd.h>

#include "queue/exitcode.h"

static int
drain(int fd)
{
	char buffer[4096];
	ssize_t n;

	do
		n = read(fd, buffer, sizeof(buffer));
	while (n > 0 || (n == -1 && errno == EINTR));
	return n == -1 ? -1 : 0;
}

int
main(void)
{
	if (drain(0) == -1 || drain(1) == -1)
		return QQ_READ_ERROR;
	return QQ_OK;
}
