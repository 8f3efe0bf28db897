/* SPDX-License-Identifier: ISC */
/* The findings for programs. */
#include <jansson.h>
#include <stdio.h>

#include "control/json_text.h"
#include "svctool/check/check.h"

void
check_print_json(const struct check *check)
{
	json_t *array = json_array();

	for (size_t i = 0; i < check->count; i++) {
		const struct check_finding *finding = &check->findings[i];

		json_array_append_new(array,
		    json_pack("{s:s, s:o, s:o, s:o, s:o}", "severity",
			check_level_name(finding->level), "file",
			json_text(finding->file), "line",
			finding->line > 0
			    ? json_integer((json_int_t)finding->line)
			    : json_null(),
			"text", json_text(finding->text), "remedy",
			json_text(finding->remedy)));
	}
	json_dumpf(array, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(array);
}
