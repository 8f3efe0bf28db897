/* SPDX-License-Identifier: ISC */
/* Counts the hops of a message. */
#include "smtp/hops.h"

#include <string.h>

#include "base/utf8.h"

static const char *const names[] = { "received:", "delivered-to:" };

enum { NAME_COUNT = sizeof(names) / sizeof(*names), NAME_MAX_LENGTH = 13 };

/* A byte within the columns where names are. */
static void
read_name(struct smtp_hops *hops, char c)
{
	unsigned i;

	ascii_lower(&c, &c, 1);
	for (i = 0; i < NAME_COUNT; i++) {
		if ((hops->possible & 1u << i) == 0)
			continue;
		if (names[i][hops->column] != c)
			hops->possible &= ~(1u << i);
		else if (names[i][hops->column + 1] == '\0') {
			hops->count++;
			hops->possible = 0;
		}
	}
}

void
smtp_hops_read(struct smtp_hops *hops, const char *data, size_t length)
{
	const char *end = data + length;

	while (data < end && hops->part == SMTP_HOPS_HEADER) {
		if (*data == '\n') {
			if (hops->column == 0)
				hops->part = SMTP_HOPS_BODY;
			hops->column = 0;
			hops->possible = ~0u;
			data++;
		} else if ((hops->possible & ((1u << NAME_COUNT) - 1)) != 0) {
			read_name(hops, *data++);
			hops->column++;
		} else {
			hops->column = NAME_MAX_LENGTH;
			data = memchr(data, '\n', (size_t)(end - data));
			if (data == NULL)
				return;
		}
	}
}
