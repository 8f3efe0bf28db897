/* SPDX-License-Identifier: ISC */
/* UTF-8 (RFC 3629), and the letters of ASCII, which alone have case here. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

/*
 * The length of the character at text, of which length bytes are there, and its
 * code point; 0 when these bytes are not UTF-8 (RFC 3629 4), or there are none.
 */
size_t utf8_decode(const char *text, size_t length, uint32_t *code_out);

/* Copies length bytes with letters in lower case; out may be text. */
void ascii_lower(char *out, const char *text, size_t length);

#endif
