/* SPDX-License-Identifier: ISC */
/* Texts of any bytes as JSON. */
#ifndef CONTROL_JSON_TEXT_H
#define CONTROL_JSON_TEXT_H

#include <jansson.h>

/*
 * A JSON string, the caller's.  JSON is UTF-8 (RFC 8259 8.1), names and values
 * in files need not be: in a text that is not, each byte over 127 is shown as
 * U+FFFD.
 */
json_t *json_text(const char *text);

#endif
