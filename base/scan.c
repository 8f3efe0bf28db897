/* SPDX-License-Identifier: ISC */
/* Numbers from text. */
#include "base/scan.h"

#include <string.h>

bool
scan_u64n(const char *text, size_t length, uint64_t max, uint64_t *value_out)
{
	uint64_t value = 0;
	size_t i;

	if (length == 0)
		return false;
	for (i = 0; i < length; i++) {
		uint64_t digit = (uint64_t)((unsigned char)text[i] - '0');

		if (digit > 9 || value > (UINT64_MAX - digit) / 10)
			return false;
		value = value * 10 + digit;
	}
	if (value > max)
		return false;
	*value_out = value;
	return true;
}

bool
scan_u64(const char *text, uint64_t max, uint64_t *value_out)
{
	return scan_u64n(text, strlen(text), max, value_out);
}
