/* SPDX-License-Identifier: ISC */
/*
 * A peer's bytes through base/stream.h, in pieces and with reads of every
 * kind, compared with the same reads of the whole text.
 *
 * Input: limit of a line, size of the peer's writes, number of reads' kinds,
 * the kinds, and the text.
 */
#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEAD = 3, TEXT_MAX = 60000 }; /* a socket takes that without a reader */

/* What the stream must give. */
struct model {
	const char *text;
	size_t length, at;
};

static void
check_line(struct stream *stream, struct model *model, size_t max, bool *is_end)
{
	const char *from = model->text + model->at, *line, *end;
	size_t left = model->length - model->at, length;
	enum stream_result result = stream_read_line(
	    stream, max, &line, &length);

	end = left == 0 ? NULL : memchr(from, '\n', left);
	if (end != NULL && (size_t)(end - from) + 1 <= max) {
		assert(result == STREAM_OK);
		assert(length == (size_t)(end - from) + 1);
		assert(memcmp(line, from, length) == 0);
		model->at += length;
		return;
	}
	if (left < max) {
		assert(result == STREAM_CLOSED);
		*is_end = true;
		return;
	}
	assert(result == STREAM_TOO_LONG);
	model->at = end == NULL ? model->length
				: (size_t)(end - model->text) + 1;
}

static void
check_peek(
    struct stream *stream, struct model *model, unsigned share, bool *is_end)
{
	const char *data;
	size_t length;
	enum stream_result result = stream_peek(stream, &data, &length);

	if (model->at == model->length) {
		assert(result == STREAM_CLOSED);
		*is_end = true;
		return;
	}
	assert(result == STREAM_OK);
	assert(length >= 1 && length <= model->length - model->at);
	assert(memcmp(data, model->text + model->at, length) == 0);
	length = length * share / 15;
	stream_consume(stream, length);
	model->at += length;
}

static void
read_all(struct stream *stream, struct model *model, size_t max,
    const uint8_t *kinds, size_t kind_count)
{
	bool is_end = false;
	size_t i;

	for (i = 0; i < kind_count && !is_end; i++) {
		unsigned kind = kinds[i] & 15, share = kinds[i] >> 4;

		if (kind == 0)
			check_peek(stream, model, share, &is_end);
		else if (kind == 1)
			stream_rest(stream);
		else
			check_line(stream, model, max, &is_end);
		if (stream_has_input(stream))
			assert(model->at < model->length);
	}
	while (!is_end)
		check_line(stream, model, max, &is_end);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct model model;
	struct stream *stream;
	size_t max, piece, kinds, sent;
	int fds[2];

	if (size < HEAD || size - HEAD < data[2] || size > TEXT_MAX)
		return 0;
	max = (size_t)data[0] * data[0] + 1;
	piece = (size_t)data[1] * 16 + 1;
	kinds = data[2];
	model = (struct model){ (const char *)data + HEAD + kinds,
		size - HEAD - kinds, 0 };
	/* small writes cost the kernel much more than their bytes */
	if (model.length / piece > 100)
		piece = model.length / 100;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == -1)
		return 0;
	stream = stream_new(fds[0], fds[0]);
	for (sent = 0; sent < model.length; sent += piece) {
		size_t left = model.length - sent;

		if (left > piece)
			left = piece;
		if (write(fds[1], model.text + sent, left) != (ssize_t)left)
			assert(!"the socket is full");
	}
	shutdown(fds[1], SHUT_WR);
	read_all(stream, &model, max, data + HEAD, kinds);
	stream_free(&stream);
	close(fds[0]);
	close(fds[1]);
	return 0;
}
