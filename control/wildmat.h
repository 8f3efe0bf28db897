/* SPDX-License-Identifier: ISC */
/*
 * wildmat patterns, as control files use them (RFC 3977 4.2 has a subset).
 *
 *	*	any text, also none
 *	?	any one byte
 *	[a-z0]	one byte of a set; [^a-z] one that is not in it
 *	\x	x itself
 *
 * A set that is not closed is an ordinary '['.
 */
#ifndef CONTROL_WILDMAT_H
#define CONTROL_WILDMAT_H

#include <stdbool.h>

/*
 * Does the whole text match?  ASCII letters match in either case.  Time grows
 * with the product of the lengths, however many '*' there are.
 */
bool wildmat_match(const char *pattern, const char *text);

#endif
