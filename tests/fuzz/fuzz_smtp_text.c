/* SPDX-License-Identifier: ISC */
/*
 * What a peer says, in the Received field, in log lines and in replies: the
 * first byte says what kind of session, the name that it gave ends at a NUL,
 * the rest is what tcpserver knows of the peer.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/log_text.h"
#include "base/mem.h"
#include "smtp/received.h"
#include "smtp/reply.h"
#include "smtp/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* One field: its further lines are folded, none is too long (RFC 5322 2.1) */
static void
check_received(unsigned kind, const char *name, const char *info)
{
	const struct smtp_received received = { .helo = name,
		.remote_host = kind & 1 ? info : NULL,
		.remote_info = kind & 2 ? info : NULL,
		.remote_ip = kind & 4 ? info : "192.0.2.1",
		.by = "mail.example.org",
		.tls_version = kind & 8 ? "TLSv1.3" : NULL,
		.tls_cipher = kind & 8 ? "X" : NULL,
		.tls_bits = 256,
		.is_lmtp = kind & 16,
		.is_extended = kind & 32,
		.is_utf8 = kind & 64,
		.id = "1.2" };
	const char *line, *end;
	struct buf text;

	buf_init(&text);
	smtp_received_put(&text, &received);
	assert(strlen(text.data) == text.length);
	assert(strncmp(text.data, "Received: from ", 15) == 0);
	for (line = text.data; *line != '\0'; line = end + 1) {
		end = strchr(line, '\n');
		assert(end != NULL && end - line < 998);
		assert(line == text.data || *line == ' ');
		for (const char *at = line; at < end; at++)
			assert(*at >= ' ' && *at <= '~');
	}
	buf_release(&text);
}

static void
check_texts(const char *text)
{
	char reply[SMTP_REPLY_MAX + 1];
	const char *status;
	char word[101];
	size_t length;

	length = log_word(word, sizeof(word), text);
	assert(length <= 100 && strlen(word) == length);
	assert(strpbrk(word, " <>\t\r\n\033\177") == NULL);
	status = smtp_text_status(text, &length);
	if (status != NULL) {
		assert(status > text && status + length < strchr(text, '\0'));
		assert(length >= 5 && length <= 9 && status[length] == ')');
	}
	length = smtp_reply_format(reply, 550, true, NULL, text);
	assert(length <= 512 && strlen(reply) == length);
	assert(memchr(reply, '\n', length) == reply + length - 1);
	assert(memchr(reply, '\r', length) == reply + length - 2);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text, *info;

	if (size == 0)
		return 0;
	text = xmalloc(size + 1);
	memcpy(text, data + 1, size - 1);
	text[size - 1] = text[size] = '\0';
	info = text + strlen(text) + 1;
	if (info > text + size - 1)
		info = text + size - 1;
	check_received(data[0], text, info);
	check_texts(text);
	check_texts(info);
	free(text);
	return 0;
}
