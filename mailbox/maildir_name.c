/* SPDX-License-Identifier: ISC */
/* Names that a message has in a Maildir whenever it is delivered there. */
#include "mailbox/maildir_name.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>

static uint64_t
hash_recipient(const char *recipient)
{
	uint64_t hash = 14695981039346656037u; /* FNV-1a */

	for (; *recipient != '\0'; recipient++)
		hash = (hash ^ (uint64_t)tolower((unsigned char)*recipient)) *
		    1099511628211u;
	return hash;
}

void
maildir_uuid_name(char out[MAILDIR_NAME_SIZE], const struct uuid *uuid,
    const char *recipient, const char *host)
{
	static const char digits[] = "0123456789abcdef";
	char hex[2 * UUID_BYTES + 1];

	for (int i = 0; i < UUID_BYTES; i++) {
		hex[2 * i] = digits[uuid->bytes[i] >> 4];
		hex[2 * i + 1] = digits[uuid->bytes[i] & 15];
	}
	hex[2 * UUID_BYTES] = '\0';
	snprintf(out, MAILDIR_NAME_SIZE, "%" PRId64 ".M%sR%016" PRIx64 ".%.*s",
	    uuid_time_ms(uuid) / 1000, hex, hash_recipient(recipient),
	    MAILDIR_HOST_SIZE, host);
}

void
maildir_queued_name(char out[MAILDIR_NAME_SIZE], int64_t birth_s,
    uint64_t message_id, const char *queue, const char *recipient,
    const char *host)
{
	snprintf(out, MAILDIR_NAME_SIZE,
	    "%" PRId64 ".I%" PRIu64 "Q%.32sR%016" PRIx64 ".%.*s", birth_s,
	    message_id, queue, hash_recipient(recipient), MAILDIR_HOST_SIZE,
	    host);
}
