/* SPDX-License-Identifier: ISC */
/* The settings part of mqmail-control(5), in mdoc. */
#include "control/showctl.h"

#include <stdio.h>
#include <string.h>

/* Each sentence on a line of its own, as mdoc wants it; '\' and '-' escaped. */
static void
print_text(const char *text)
{
	for (; *text != '\0'; text++) {
		if (strncmp(text, ".  ", 3) == 0) {
			fputs(".\n", stdout);
			text += 2;
		} else if (*text == '\\')
			fputs("\\e", stdout);
		else if (*text == '-' && (text[1] == '-' || text[1] == ' '))
			fputs("\\-", stdout);
		else
			putchar(*text);
	}
	putchar('\n');
}

static void
print_readers(const char *readers)
{
	const char *at = readers;

	puts(".Pp\nRead by");
	while (*at != '\0') {
		size_t length = strcspn(at, " ");
		bool is_last = at[length] == '\0';

		printf(".Xr %.*s 8 %s\n", (int)length, at, is_last ? "." : ",");
		at += length + !is_last;
	}
}

/* One line of facts: type and unit, default, range, variable. */
static void
print_facts(const struct setting_row *row)
{
	const char *standard = row->standard;

	puts(".Pp");
	switch (row->type) {
	case SETTING_NUMBER:
		printf("A number of %s from %llu to %llu;\n",
		    strcmp(row->unit, "number") == 0 ? "a queue" : row->unit,
		    (unsigned long long)row->min, (unsigned long long)row->max);
		break;
	case SETTING_FLAG:
		puts("0 or 1;");
		break;
	case SETTING_TEXT:
		printf("One line, a %s of at most %llu bytes;\n", row->unit,
		    (unsigned long long)row->max);
		break;
	case SETTING_LIST:
		printf("A list, a %s of at most %llu bytes in each line;\n",
		    row->unit, (unsigned long long)row->max);
		break;
	case SETTING_RULES:
		puts("A file of rules;");
		break;
	}
	if (strcmp(standard, "me") == 0)
		puts("default: the content of\n.Ic me .");
	else if (*standard == '\0')
		puts("default: empty.");
	else
		printf("default: %s.\n", standard);
	if (*row->env != '\0')
		printf("Variable:\n.Ev %s ,\n"
		       "which hides the file and takes effect on restart.\n",
		    row->env);
}

void
showctl_print_man(void)
{
	unsigned id;

	puts(".Bl -tag -width Ds");
	for (id = 0; id < SETTING_COUNT; id++) {
		const struct setting_row *row = &setting_rows[id];

		printf(".It Ic %s\n", row->name);
		print_text(row->text);
		print_facts(row);
		print_readers(row->readers);
	}
	puts(".El");
}
