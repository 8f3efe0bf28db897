/* SPDX-License-Identifier: ISC */
/* Numbers from text, strictly: the whole text, decimal, in range. */
#ifndef BASE_SCAN_H
#define BASE_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Reads length bytes of text as a decimal number of at most max.  False, with
 * *value_out untouched, when there is anything else in it, nothing at all, or
 * the number is larger.
 */
bool scan_u64n(
    const char *text, size_t length, uint64_t max, uint64_t *value_out);
bool scan_u64(const char *text, uint64_t max, uint64_t *value_out);

#endif
