/* SPDX-License-Identifier: ISC */
/*
 * A peer's replies (remote/reply.h), their lines as an answer to EHLO
 * (remote/hello.h), and what is made of them.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/stream.h"
#include "remote/hello.h"
#include "remote/reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TEXT_MAX = 60000 }; /* a socket takes that without a reader */

static void
check_line(const char *line, void *hello)
{
	for (const char *at = line; *at != '\0'; at++)
		assert(*at >= ' ' && *at <= '~');
	hello_line(line, hello);
}

static void
check_reply(const struct reply *reply)
{
	struct reply_judgement judgement = reply_judge(reply);

	assert(reply->code >= 200 && reply->code <= 599);
	assert(strlen(reply->status) < sizeof(reply->status));
	assert(reply->status[0] == '\0' ||
	    reply->status[0] == '0' + reply->code / 100 ||
	    strchr(reply->text, '\n') != NULL);
	for (const char *at = reply->text; *at != '\0'; at++)
		assert((*at >= ' ' && *at <= '~') || *at == '\n');
	assert(judgement.class < REPLY_CLASS_COUNT);
	assert(reply_class_name(judgement.class) != NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hello hello = { 0 };
	struct stream *stream;
	struct reply reply;
	int fds[2];

	if (size > TEXT_MAX ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == -1)
		return 0;
	if (write(fds[1], data, size) != (ssize_t)size)
		assert(!"the socket is full");
	close(fds[1]);
	stream = stream_new(fds[0], fds[0]);
	while (reply_read(stream, &reply, check_line, &hello) == REPLY_OK)
		check_reply(&reply);
	assert(reply.code == 0);
	assert(strlen(hello.auth) < sizeof(hello.auth));
	hello_has_auth(&hello, "PLAIN");
	stream_free(&stream);
	close(fds[0]);
	return 0;
}
