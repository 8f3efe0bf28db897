/* SPDX-License-Identifier: ISC */
/* The records of info/ID, local/ID and remote/ID. */
#include "queue/remembered.h"

#include <string.h>

static bool
is_complete(const char *records, size_t length)
{
	return length > 0 && records[length - 1] == '\0';
}

int
remembered_next(const char *list, size_t length, size_t *at,
    struct remembered *recipient_out, struct error *err)
{
	const char *record;

	if (!is_complete(list, length))
		return error_set(err, "is not complete");
	if (*at >= length)
		return 0;
	record = list + *at;
	if (*record != 'T' && *record != 'D')
		return error_set(
		    err, "unknown record type %d", (unsigned char)*record);
	*recipient_out = (struct remembered){
		.address = record + 1, .offset = *at, .is_done = *record == 'D'
	};
	*at += strlen(record) + 1;
	return 1;
}

const char *
remembered_field(const char *info, size_t length, char type)
{
	size_t at;

	if (!is_complete(info, length))
		return NULL;
	for (at = 0; at < length; at += strlen(info + at) + 1)
		if (info[at] == type)
			return info + at + 1;
	return NULL;
}
