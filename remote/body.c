/* SPDX-License-Identifier: ISC */
/* A message's bytes, as a peer gets them. */
#include "remote/body.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/scan.h"
#include "control/cluster_nodes.h"

enum {
	PIECE_BYTES = 65536,
	FIELD_MAX_BYTES = 4096 /* of a Received field of ours */
};

static int
read_file(const struct session_message *message,
    void (*take)(void *context, const char *data, size_t length), void *context)
{
	AUTO(mem_free) char *piece = xmalloc(PIECE_BYTES);
	uint64_t at = 0;

	while (at < message->size_bytes) {
		uint64_t left = message->size_bytes - at;
		ssize_t n = pread(message->fd, piece,
		    left < PIECE_BYTES ? (size_t)left : PIECE_BYTES, (off_t)at);

		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		take(context, piece, (size_t)n);
		at += (uint64_t)n;
	}
	return 0;
}

int
body_read(const struct session_message *message,
    void (*take)(void *context, const char *data, size_t length), void *context)
{
	take(context, message->header, strlen(message->header));
	if (message->body == NULL)
		return read_file(message, take, context);
	take(context, message->body, (size_t)message->size_bytes);
	return 0;
}

struct examination {
	struct body_facts *facts;
	char last;
};

static bool
has_8bit(const char *data, size_t length)
{
	uint64_t word, all = 0;
	size_t i;

	for (i = 0; i + sizeof(word) <= length; i += sizeof(word)) {
		memcpy(&word, data + i, sizeof(word));
		all |= word;
	}
	for (; i < length; i++)
		all |= (unsigned char)data[i];
	return (all & 0x8080808080808080) != 0;
}

static void
examine_piece(void *context, const char *data, size_t length)
{
	struct examination *examination = context;
	struct body_facts *facts = examination->facts;
	const char *end = data + length, *at;

	if (length == 0)
		return;
	examination->last = end[-1];
	facts->is_8bit = facts->is_8bit || has_8bit(data, length);
	facts->has_cr = facts->has_cr || memchr(data, '\r', length) != NULL;
	facts->sent_bytes += length;
	for (at = data; at < end; at++) {
		at = memchr(at, '\n', (size_t)(end - at));
		if (at == NULL)
			break;
		facts->sent_bytes++;
	}
}

int
body_examine(
    const struct session_message *message, struct body_facts *facts_out)
{
	struct examination examination = { facts_out, '\n' };

	*facts_out = (struct body_facts){ 0 };
	if (body_read(message, examine_piece, &examination) == -1)
		return -1;
	if (examination.last != '\n')
		facts_out->sent_bytes += 2;
	return 0;
}

unsigned
body_cluster_hops(const struct session_message *message)
{
	static const char field[] = "Received: ";
	char begin[FIELD_MAX_BYTES + 1];
	size_t length = message->size_bytes < FIELD_MAX_BYTES
	    ? (size_t)message->size_bytes
	    : FIELD_MAX_BYTES;
	const char *at;
	uint64_t hops;

	if (message->body != NULL)
		memcpy(begin, message->body, length);
	else {
		ssize_t n = pread(message->fd, begin, length, 0);

		length = n > 0 ? (size_t)n : 0;
	}
	begin[length] = '\0';
	if (strncmp(begin, field, strlen(field)) != 0)
		return 0;
	/* Its further lines begin with a blank. */
	for (at = strchr(begin, '\n'); at != NULL && at[1] == ' ';
	     at = strchr(at + 1, '\n'))
		if (strncmp(at + 1, "  " CLUSTER_HOP_WORDS,
			strlen("  " CLUSTER_HOP_WORDS)) == 0) {
			at += 1 + strlen("  " CLUSTER_HOP_WORDS);
			return scan_u64n(at, strcspn(at, ")"), UINT16_MAX,
				   &hops)
			    ? (unsigned)hops
			    : 0;
		}
	return 0;
}

/* A piece of a line, without its LF, in a message that has CRs. */
static void
put_clean(struct body_writer *writer, const char *data, size_t length)
{
	size_t i;

	for (i = 0; i < length; i++) {
		if (writer->has_pending_cr)
			buf_addc(writer->out, ' ');
		writer->has_pending_cr = data[i] == '\r';
		if (!writer->has_pending_cr)
			buf_addc(writer->out, data[i]);
	}
}

static void
put_line_end(struct body_writer *writer)
{
	writer->has_pending_cr = writer->is_in_line = false;
	buf_add(writer->out, "\r\n", 2);
}

void
body_put(struct body_writer *writer, const char *data, size_t length)
{
	buf_reserve(writer->out, length + length / 16);
	while (length > 0) {
		const char *end = memchr(data, '\n', length);
		size_t piece = end == NULL ? length : (size_t)(end - data);

		if (!writer->is_in_line && writer->is_dotted && *data == '.')
			buf_addc(writer->out, '.');
		if (piece > 0) {
			writer->is_in_line = true;
			if (writer->has_cr)
				put_clean(writer, data, piece);
			else
				buf_add(writer->out, data, piece);
		}
		if (end == NULL)
			return;
		put_line_end(writer);
		data += piece + 1;
		length -= piece + 1;
	}
}

void
body_finish(struct body_writer *writer)
{
	if (writer->is_in_line)
		put_line_end(writer);
}
