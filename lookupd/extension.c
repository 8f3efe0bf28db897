/* SPDX-License-Identifier: ISC */
/* Addresses with an extension. */
#include "lookupd/extension.h"

#include <string.h>

bool
extension_cut(const char *local, const char *separators, size_t *length)
{
	size_t at = *length;

	while (at > 1)
		if (strchr(separators, local[--at]) != NULL) {
			*length = at;
			return true;
		}
	return false;
}
