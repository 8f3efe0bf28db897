/* SPDX-License-Identifier: ISC */
/* The lines of a reply. */
#include "smtp/reply.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

size_t
smtp_reply_format(char out[SMTP_REPLY_MAX + 1], int code, bool is_last,
    const char *status, const char *text)
{
	bool has_status = status != NULL && status[0] != '\0';
	size_t used, i;
	int n;

	assert(code >= 200 && code <= 599);
	n = snprintf(out, SMTP_REPLY_MAX - 1, "%03d%c%s%s%s", code,
	    is_last ? ' ' : '-', has_status ? status : "",
	    has_status ? " " : "", text);
	assert(n > 0);
	used = (size_t)n < SMTP_REPLY_MAX - 2 ? (size_t)n : SMTP_REPLY_MAX - 2;
	for (i = 0; i < used; i++)
		if (out[i] < ' ' || out[i] > '~')
			out[i] = '?';
	memcpy(out + used, "\r\n", 3);
	return used + 2;
}
