/* SPDX-License-Identifier: ISC */
/* Tests of control/showctl_print.c. */
#include "control/showctl.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/capture.h"

static char *manual;

static int
set_up(void **state)
{
	struct capture capture = capture_begin(1);

	(void)state;
	showctl_print_man();
	manual = capture_end(&capture);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	free(manual);
	return 0;
}

/* The part of one setting, up to the next; the caller frees. */
static char *
part_of(enum setting_id id)
{
	char *head = xasprintf(".It Ic %s\n", setting_rows[id].name);
	const char *begin = strstr(manual, head), *end;
	char *part;

	if (begin == NULL)
		fail_msg("no '%s'", head);
	end = strstr(begin + 1, "\n.It Ic ");
	part = end != NULL ? xstrndup(begin, (size_t)(end + 1 - begin))
			   : xstrdup(begin);
	free(head);
	return part;
}

static void
facts(void **state)
{
	static const struct {
		enum setting_id id;
		const char *wanted;
	} rows[] = {
		{ SETTING_timeoutsmtpd,
		    ".Pp\nA number of seconds from 1 to 86400;\n"
		    "default: 1200.\n.Pp\nRead by\n.Xr qmail-smtpd 8 .\n" },
		{ SETTING_queue_start, "A number of a queue from 0 to" },
		{ SETTING_holdlocal, ".Pp\n0 or 1;\ndefault: 0.\n" },
		{ SETTING_me,
		    "One line, a host of at most 255 bytes;\n"
		    "default: empty.\n.Pp\nRead by\n.Xr qmail-smtpd 8 ,\n"
		    ".Xr qmail-send 8 ,\n" },
		{ SETTING_locals,
		    "A list, a domain of at most 255 bytes in each line;\n"
		    "default: the content of\n.Ic me .\n" },
		{ SETTING_fromenvrules,
		    "A file of rules;\ndefault: from.envrules.\nVariable:\n"
		    ".Ev FROMRULES ,\n" },
		{ SETTING_maxhops,
		    "lines is refused as looping.\nTakes effect on HUP.\n" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *part = part_of(rows[i].id);

		if (strstr(part, rows[i].wanted) == NULL)
			fail_msg("row %zu: got '%s', wanted '%s'", i, part,
			    rows[i].wanted);
		if (strstr(part, ".Ev ") != NULL &&
		    *setting_rows[rows[i].id].env == '\0')
			fail_msg("row %zu: '%s'", i, part);
		free(part);
	}
}

/* mdoc: one sentence a line, no line that is taken for a request. */
static void
every_line_is_text_or_a_known_request(void **state)
{
	static const char *const requests[] = { ".Bl ", ".It Ic ", ".Pp",
		".Xr ", ".Ic me .", ".Ev ", ".El", ".Sh LAYOUT OF A NODE",
		".It Pa " };
	char *copy = xstrdup(manual), *rest = copy, *line;
	unsigned items = 0;

	(void)state;
	while ((line = strsep(&rest, "\n")) != NULL) {
		bool is_request = false;

		items += strncmp(line, ".It Ic ", 7) == 0;
		if (*line != '.' && *line != '\'')
			continue;
		for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]);
		     i++)
			is_request |= strncmp(line, requests[i],
					  strlen(requests[i])) == 0;
		if (!is_request)
			fail_msg("'%s'", line);
	}
	assert_int_equal(items, SETTING_COUNT);
	assert_null(strstr(manual, ".  "));
	free(copy);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(facts),
		cmocka_unit_test(every_line_is_text_or_a_known_request),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
