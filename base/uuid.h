/* SPDX-License-Identifier: ISC */
/* Universally unique identifiers of version 7 (RFC 9562 5.7). */
#ifndef BASE_UUID_H
#define BASE_UUID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { UUID_BYTES = 16, UUID_TEXT_SIZE = 37 };

/* All zeros is no UUID: a message of an older release, or of qmail, has it. */
struct uuid {
	uint8_t bytes[UUID_BYTES];
};

/* A new one, of the time now; any thread. */
void uuid_make(struct uuid *uuid_out);

/* The same, but of the time in another one: what was made of that message. */
void uuid_make_beside(struct uuid *uuid_out, const struct uuid *other);

/*
 * The UUID that another user's process may use for what it calls uuid: the same
 * question always gets the same answer, and no other user's question that one.
 * The time in it stays.
 */
void uuid_bind(struct uuid *uuid, uid_t uid);

/*
 * Made of it and the bytes, the same of the same always.  The first half stays,
 * but for the version: people see what it was made of.
 */
void uuid_derive(struct uuid *uuid, const void *data, size_t length);

/* "0190163d-8694-739b-aea5-966c26f8ad91" */
void uuid_format(const struct uuid *uuid, char text_out[UUID_TEXT_SIZE]);

/* False when the first 36 bytes of text are not one, in any case of letters. */
bool uuid_parse(const char *text, struct uuid *uuid_out);

bool uuid_is_none(const struct uuid *uuid);
bool uuid_is_equal(const struct uuid *a, const struct uuid *b);

/* When it was made: milliseconds of Unix time. */
int64_t uuid_time_ms(const struct uuid *uuid);

#endif
