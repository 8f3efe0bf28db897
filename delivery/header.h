/* SPDX-License-Identifier: ISC */
/* The header of a message (RFC 5322), as filters and answers ask about it. */
#ifndef DELIVERY_HEADER_H
#define DELIVERY_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

/* So much of a message is looked at. */
enum { HEADER_BYTES_MAX = 256 * 1024 };

struct header {
	struct buf text; /* fields, each "NAME:VALUE" and a NUL, unfolded */
};

/* Takes the header from the front of a message in memory. */
void header_read(struct header *header, const char *data, size_t length);
/* The same of a file's first size bytes.  0 or -1. */
int header_read_fd(
    struct header *header, int fd, uint64_t size, struct error *err);
void header_release(struct header *header);

/*
 * The value of the next field of that name, in any case of letters, behind
 * after (a value that was given before, or NULL): without the blanks around
 * it.  NULL: there is none.
 */
const char *header_next(
    const struct header *header, const char *name, const char *after);
/* The first one's, or NULL. */
const char *header_get(const struct header *header, const char *name);

/* Has one of its fields of that name the address in it? */
bool header_names(
    const struct header *header, const char *name, const char *address);

#endif
