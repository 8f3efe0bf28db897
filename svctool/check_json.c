/* SPDX-License-Identifier: ISC */
/* The findings for programs; jansson, as in report_json.c. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "svctool/check.h"

/* JSON is UTF-8 (RFC 8259 8.1); names of files need not be. */
static json_t *
text_json(const char *text)
{
	json_t *json = json_string(text);
	char *copy, *at;

	if (json != NULL)
		return json;
	copy = xstrdup(text);
	for (at = copy; *at != '\0'; at++)
		if ((unsigned char)*at >= 0x80)
			*at = '?';
	json = json_string(copy);
	free(copy);
	return json;
}

void
check_print_json(const struct check *check)
{
	json_t *array = json_array();

	for (size_t i = 0; i < check->count; i++) {
		const struct check_finding *finding = &check->findings[i];

		json_array_append_new(array,
		    json_pack("{s:s, s:o, s:o, s:o, s:o}", "severity",
			finding->level == CHECK_ERROR ? "error" : "warning",
			"file", text_json(finding->file), "line",
			finding->line > 0
			    ? json_integer((json_int_t)finding->line)
			    : json_null(),
			"text", text_json(finding->text), "remedy",
			text_json(finding->remedy)));
	}
	json_dumpf(array, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(array);
}
