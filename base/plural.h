/* SPDX-License-Identifier: ISC */
/* "1 error", "2 errors". */
#ifndef BASE_PLURAL_H
#define BASE_PLURAL_H

#include <stddef.h>

/* The ending of the name of so many things: "%zu error%s". */
static inline const char *
plural(size_t count)
{
	return count == 1 ? "" : "s";
}

#endif
