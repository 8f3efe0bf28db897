/* SPDX-License-Identifier: ISC */
/* A user's quota as operators give it. */
#include "adminsrv/quota_text.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "base/scan.h"

/* One part, without its comma: a size, or a count when it ends in C. */
static bool
read_part(const char *part, size_t length, uint64_t *size, uint64_t *count)
{
	static const char units[] = "kKmMgG";
	const char *unit;
	unsigned shift = 0;

	if (length == 0)
		return false;
	if (part[length - 1] == 'C')
		return *count == 0 &&
		    scan_u64n(part, length - 1, INT64_MAX, count) && *count > 0;
	if (*size != 0)
		return false;
	if (part[length - 1] == 'S' && length > 1)
		length--;
	unit = strchr(units, part[length - 1]);
	if (unit != NULL) {
		shift = ((unsigned)(unit - units) / 2 + 1) * 10;
		length--;
	}
	if (!scan_u64n(part, length, (uint64_t)INT64_MAX >> shift, size) ||
	    *size == 0)
		return false;
	*size <<= shift;
	return true;
}

int
quota_text_read(const char *text, struct buf *quota_out, struct error *err)
{
	uint64_t size = 0, count = 0;
	const char *part = text;

	buf_reset(quota_out);
	if (strcasecmp(text, "NOQUOTA") == 0) {
		buf_adds(quota_out, "NOQUOTA");
		return 0;
	}
	for (;;) {
		size_t length = strcspn(part, ",");

		if (!read_part(part, length, &size, &count))
			return error_set(err,
			    "'%.60s' is no quota: write NOQUOTA, or bytes "
			    "(50000000S or 50M), or messages (1000C), or both "
			    "(50M,1000C)",
			    text);
		part += length;
		if (*part == '\0')
			break;
		part++;
	}
	if (size > 0)
		buf_addf(quota_out, "%" PRIu64 "S", size);
	if (count > 0)
		buf_addf(
		    quota_out, "%s%" PRIu64 "C", size > 0 ? "," : "", count);
	return 0;
}
