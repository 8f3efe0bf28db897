/* SPDX-License-Identifier: ISC */
/* A child that answers on a listening socket.  Include after cmocka.h. */
#ifndef TESTS_UNIT_GREETER_H
#define TESTS_UNIT_GREETER_H

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/tls.h"
#include "base/stream.h"
#include "tests/unit/child.h"

struct greeter {
	int fd;
	const char *text;      /* said to who connects; NULL: nothing */
	const char *name;      /* of the process; NULL: the test's */
	const char *cwd;       /* where it works; NULL: here */
	const char *cert_path; /* TLS first; NULL: none */
	bool does_close;       /* the connection, at once */
};

static inline bool
greeter_serve(const void *context)
{
	const struct greeter *greeter = context;

	if ((greeter->name != NULL &&
		prctl(PR_SET_NAME, greeter->name) == -1) ||
	    (greeter->cwd != NULL && chdir(greeter->cwd) == -1))
		return false;
	if (fork() != 0)
		return true; /* holds the socket, as a wrapper does */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		int fd = accept(greeter->fd, NULL, NULL);
		struct stream *stream = stream_new(fd, fd);
		struct tls_context *tls = NULL;

		if (greeter->cert_path != NULL) {
			tls = tls_context_new(greeter->cert_path, NULL);
			stream_start_tls(stream, tls, 5000, NULL);
		}
		if (greeter->text != NULL)
			stream_write(
			    stream, greeter->text, strlen(greeter->text));
		stream_flush(stream);
		if (!greeter->does_close) {
			const char *data;
			size_t length;

			stream_peek(stream, &data, &length);
		}
		stream_free(&stream);
		tls_context_free(&tls);
		close(fd);
	}
}

static inline pid_t
greeter_start(const struct greeter *greeter)
{
	return child_start(greeter_serve, greeter);
}

static inline void
greeter_end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

#endif
