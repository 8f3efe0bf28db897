/* SPDX-License-Identifier: ISC */
/* New messages that a delivery makes. */
#include "delivery/forward.h"

#include <openssl/sha.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/vars.h"
#include "control/settings.h"
#include "queue/exitcode.h"
#include "queue/sink.h"
#include "queue/sink_settings.h"

enum { CHUNK_BYTES = 64 * 1024, TIME_BYTES = 6 };

struct forwarder {
	struct settings *settings;
	struct sink_pool *pool;
	struct vars vars;
};

struct forwarder *
forwarder_new(const struct home *home, const char *queue_dir, struct error *err)
{
	/* Those of whoever hands in mail. */
	struct settings *settings = settings_load(
	    home->control, "qmail-queue", NULL, err);
	struct sink_options options;
	struct forwarder *forwarder;

	if (settings == NULL)
		return NULL;
	forwarder = xcalloc(1, sizeof(*forwarder));
	forwarder->settings = settings;
	sink_options_set(&options, settings, home);
	forwarder->pool = sink_pool_new(&options);
	if (queue_dir != NULL)
		vars_set(&forwarder->vars, "QUEUEDIR", queue_dir);
	return forwarder;
}

void
forwarder_free(struct forwarder **forwarder)
{
	if (*forwarder == NULL)
		return;
	sink_pool_free(&(*forwarder)->pool);
	settings_free(&(*forwarder)->settings);
	vars_release(&(*forwarder)->vars);
	free(*forwarder);
	*forwarder = NULL;
}

static void
add_hashed(struct buf *all, const char *text)
{
	buf_add(all, text, strlen(text) + 1);
}

void
forward_uuid(const struct forward *forward, struct uuid *uuid_out)
{
	unsigned char digest[SHA256_DIGEST_LENGTH];
	AUTO(buf_release) struct buf all = BUF_INIT;

	if (uuid_is_none(forward->of)) {
		uuid_make(uuid_out);
		return;
	}
	buf_add(&all, forward->of->bytes, UUID_BYTES);
	add_hashed(&all, forward->for_whom);
	add_hashed(&all, forward->purpose);
	add_hashed(&all, forward->sender);
	for (size_t i = 0; i < forward->recipient_count; i++)
		add_hashed(&all, forward->recipients[i]);
	SHA256((const unsigned char *)all.data, all.length, digest);
	*uuid_out = *forward->of;
	memcpy(uuid_out->bytes + TIME_BYTES, digest, UUID_BYTES - TIME_BYTES);
	/* RFC 9562 5.8: of our own making. */
	uuid_out->bytes[6] = (uint8_t)((uuid_out->bytes[6] & 0x0f) | 0x80);
	uuid_out->bytes[8] = (uint8_t)((uuid_out->bytes[8] & 0x3f) | 0x80);
}

static int
write_received(struct sink *sink)
{
	char date[CLOCK_DATE_SIZE], uuid[UUID_TEXT_SIZE], line[256];
	int length;

	clock_date(time(NULL), date);
	uuid_format(sink_uuid(sink), uuid);
	length = snprintf(line, sizeof(line),
	    "Received: (qmail %ld invoked by uid %lu)\n  id %s; %s\n",
	    (long)getpid(), (unsigned long)getuid(), uuid, date);
	return sink_write(sink, line, (size_t)length);
}

/* QQ_OK, another answer of the queue's, or QQ_READ_ERROR with err. */
static int
copy_body(struct sink *sink, int fd, uint64_t size, struct error *err)
{
	AUTO(mem_free) char *chunk = xmalloc(CHUNK_BYTES);
	uint64_t offset = 0;
	int result = QQ_OK;

	while (result == QQ_OK && offset < size) {
		size_t want = size - offset < CHUNK_BYTES
		    ? (size_t)(size - offset)
		    : CHUNK_BYTES;
		ssize_t n = pread(fd, chunk, want, (off_t)offset);

		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0) {
			error_set(err,
			    "cannot read the message behind byte %" PRIu64,
			    offset);
			return QQ_READ_ERROR;
		}
		result = sink_write(sink, chunk, (size_t)n);
		offset += (uint64_t)n;
	}
	return result;
}

static int
write_forward(
    struct sink *sink, const struct forward *forward, struct error *err)
{
	int result = write_received(sink);

	if (result == QQ_OK)
		result = sink_write(
		    sink, forward->front, strlen(forward->front));
	if (result == QQ_OK && forward->fd != -1)
		result = copy_body(sink, forward->fd, forward->size_bytes, err);
	if (result == QQ_OK && forward->text != NULL)
		result = sink_write(sink, forward->text, strlen(forward->text));
	return result;
}

int
forward_commit(struct forwarder *forwarder, const struct forward *forward,
    struct error *err)
{
	const struct sink_envelope envelope = { .sender = forward->sender,
		.recipients = forward->recipients,
		.recipient_count = forward->recipient_count,
		.extra_header = "",
		.qp = (unsigned long)getpid() };
	struct sink_outcome outcome = { .text = "" };
	struct sink *sink = NULL;
	struct uuid uuid;
	int result;

	error_set(err, "the queue did not take the message");
	forward_uuid(forward, &uuid);
	result = sink_open(forwarder->pool, &forwarder->vars, &uuid, &sink);
	if (result == QQ_OK)
		result = write_forward(sink, forward, err);
	if (result == QQ_OK)
		result = sink_commit(&sink, &envelope, &outcome);
	sink_abort(&sink);
	if (result == QQ_OK)
		return 0;
	if (outcome.text[0] != '\0')
		return error_set(err, "the queue did not take it: %.300s (%d)",
		    outcome.text, result);
	return error_context(err, "qmail-queue %d", result);
}
