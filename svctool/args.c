/* SPDX-License-Identifier: ISC */
/* Options of a command. */
#include "svctool/args.h"

#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/scan.h"

/* The row of an option's name, of which length bytes count. */
static const struct arg_row *
find_row(const struct arg_row *rows, const char *name, size_t length)
{
	for (; rows->name != NULL; rows++)
		if (strlen(rows->name) == length &&
		    memcmp(rows->name, name, length) == 0)
			return rows;
	return NULL;
}

static int
take_option_value(
    const struct arg_row *row, const char *value, struct error *err)
{
	uint64_t number;
	size_t length;

	switch (row->kind) {
	case ARG_FLAG:
		break;
	case ARG_TEXT:
		*(const char **)row->value = value;
		break;
	case ARG_NUMBER:
		if (!scan_u64(value, UINT_MAX, &number))
			return error_set(err, "--%s needs a number, not '%s'",
			    row->name, value);
		*(unsigned *)row->value = (unsigned)number;
		break;
	case ARG_LIST:
		for (;; value += length + 1) {
			length = strcspn(value, ",");
			if (length > 0)
				strlist_addn(row->value, value, length);
			if (value[length] == '\0')
				break;
		}
		break;
	}
	return 0;
}

int
args_parse(const struct arg_row *rows, int argc, char **argv, int *words_out,
    struct error *err)
{
	bool is_words_only = false;
	int words = 0;

	for (int i = 0; i < argc; i++) {
		const char *name = argv[i] + 2;
		size_t length;
		const struct arg_row *row;

		if (is_words_only || argv[i][0] != '-') {
			argv[words++] = argv[i];
			continue;
		}
		if (strcmp(argv[i], "--") == 0) {
			is_words_only = true;
			continue;
		}
		if (argv[i][1] != '-')
			return error_set(err, "unknown option '%s'", argv[i]);
		length = strcspn(name, "=");
		row = find_row(rows, name, length);
		if (row == NULL)
			return error_set(err, "unknown option '%s'", argv[i]);
		if (row->kind == ARG_FLAG) {
			if (name[length] == '=')
				return error_set(
				    err, "--%s takes no value", row->name);
			*(bool *)row->value = true;
			continue;
		}
		if (name[length] != '=' && i + 1 == argc)
			return error_set(err, "--%s needs a value", row->name);
		if (take_option_value(row,
			name[length] == '=' ? name + length + 1 : argv[++i],
			err) == -1)
			return -1;
	}
	if (words_out != NULL)
		*words_out = words;
	else if (words > 0)
		return error_set(err, "unknown argument '%s'", argv[0]);
	return 0;
}
