/* SPDX-License-Identifier: ISC */
/* UUIDs of version 7. */
#include "base/uuid.h"

#include <openssl/sha.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"

enum { TIME_BYTES = 6 };

static void
set_version(struct uuid *uuid, unsigned version)
{
	uuid->bytes[6] = (uint8_t)((uuid->bytes[6] & 0x0f) | version << 4);
	uuid->bytes[8] = (uint8_t)((uuid->bytes[8] & 0x3f) | 0x80);
}

void
uuid_make(struct uuid *uuid_out)
{
	struct timespec now;
	uint64_t ms;
	int i;

	clock_gettime(CLOCK_REALTIME, &now);
	ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
	for (i = 0; i < TIME_BYTES; i++)
		uuid_out->bytes[i] = (uint8_t)(ms >> (40 - 8 * i));
	if (getrandom(uuid_out->bytes + TIME_BYTES, UUID_BYTES - TIME_BYTES,
		0) != UUID_BYTES - TIME_BYTES)
		fatal(111, "the system has no random numbers");
	set_version(uuid_out, 7);
}

void
uuid_make_beside(struct uuid *uuid_out, const struct uuid *other)
{
	uuid_make(uuid_out);
	memcpy(uuid_out->bytes, other->bytes, TIME_BYTES);
}

void
uuid_bind(struct uuid *uuid, uid_t uid)
{
	unsigned char hash[SHA256_DIGEST_LENGTH];
	char text[64];
	int length;

	length = snprintf(text, sizeof(text), "%lu ", (unsigned long)uid);
	memcpy(text + length, uuid->bytes, UUID_BYTES);
	SHA256((unsigned char *)text, (size_t)length + UUID_BYTES, hash);
	memcpy(uuid->bytes + TIME_BYTES, hash, UUID_BYTES - TIME_BYTES);
	set_version(uuid, 8); /* RFC 9562 5.8: of our own making */
}

void
uuid_derive(struct uuid *uuid, const void *data, size_t length)
{
	enum { KEPT = UUID_BYTES / 2 };
	unsigned char hash[SHA256_DIGEST_LENGTH];
	AUTO(buf_release) struct buf text = BUF_INIT;

	buf_add(&text, uuid->bytes, UUID_BYTES);
	buf_add(&text, data, length);
	SHA256((const unsigned char *)text.data, text.length, hash);
	memcpy(uuid->bytes + KEPT, hash, UUID_BYTES - KEPT);
	set_version(uuid, 8); /* RFC 9562 5.8: of our own making */
}

void
uuid_format(const struct uuid *uuid, char text_out[UUID_TEXT_SIZE])
{
	static const char digits[] = "0123456789abcdef";
	char *at = text_out;
	int i;

	for (i = 0; i < UUID_BYTES; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*at++ = '-';
		*at++ = digits[uuid->bytes[i] >> 4];
		*at++ = digits[uuid->bytes[i] & 15];
	}
	*at = '\0';
}

bool
uuid_parse(const char *text, struct uuid *uuid_out)
{
	for (int i = 0; i < UUID_BYTES; i++) {
		if ((i == 4 || i == 6 || i == 8 || i == 10) && *text++ != '-')
			return false;
		if (!isxdigit((unsigned char)text[0]) ||
		    !isxdigit((unsigned char)text[1]))
			return false;
		uuid_out->bytes[i] = (uint8_t)strtoul(
		    (const char[]){ text[0], text[1], '\0' }, NULL, 16);
		text += 2;
	}
	return true;
}

bool
uuid_is_none(const struct uuid *uuid)
{
	static const struct uuid none;

	return uuid_is_equal(uuid, &none);
}

bool
uuid_is_equal(const struct uuid *a, const struct uuid *b)
{
	return memcmp(a->bytes, b->bytes, UUID_BYTES) == 0;
}

int64_t
uuid_time_ms(const struct uuid *uuid)
{
	int64_t ms = 0;
	int i;

	for (i = 0; i < TIME_BYTES; i++)
		ms = ms << 8 | uuid->bytes[i];
	return ms;
}
