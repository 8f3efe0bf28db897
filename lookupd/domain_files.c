/* SPDX-License-Identifier: ISC */
/* What a cdb store keeps in text files. */
#include "lookupd/domain_files.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/scan.h"
#include "control/layout.h"

enum { FILE_BYTES_MAX = 1024 * 1024, FILTERS_MAX = 1000, FILTER_FIELDS = 7 };

/* The next line of the text, ended; without the CR of a CRLF and blanks. */
static char *
next_line(char **rest)
{
	char *line = strsep(rest, "\n");
	size_t length;

	if (line == NULL)
		return NULL;
	for (length = strlen(line); length > 0 &&
	     strchr(" \t\r", line[length - 1]) != NULL;
	     length--)
		line[length - 1] = '\0';
	return line;
}

/* A whole file, which has no NUL byte.  1, 0 or -1. */
static int
read_text(const char *path, struct buf *text, struct error *err)
{
	int result = file_read(path, FILE_BYTES_MAX, text, err);

	if (result == 1 && memchr(text->data, '\0', text->length) != NULL)
		return error_set(err, "'%s' has a NUL byte", path);
	return result;
}

int
domain_files_alias(const char *domain_dir, const char *name,
    struct store_alias *alias_out, struct error *err)
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	OWN_TEXT extension = xstrdup(name);
	OWN_TEXT path = NULL;
	char *rest, *line;
	int result;

	/* That one is the domain's rule for users. */
	if (strchr(name, '/') != NULL || strcmp(name, "default") == 0)
		return 0;
	for (char *dot = extension; (dot = strchr(dot, '.')) != NULL;)
		*dot = ':';
	path = xasprintf("%s/.qmail-%s", domain_dir, extension);
	result = read_text(path, &text, err);
	if (result != 1)
		return result;
	rest = text.data;
	while ((line = next_line(&rest)) != NULL)
		if (*line != '\0' && *line != '#')
			strlist_add(&alias_out->lines, line);
	return 1;
}

static bool
scan_signed(const char *text, int64_t *value_out)
{
	bool is_negative = *text == '-';
	uint64_t value;

	if (!scan_u64(text + is_negative, INT64_MAX, &value))
		return false;
	*value_out = is_negative ? -(int64_t)value : (int64_t)value;
	return true;
}

int
domain_files_limits(
    const char *path, struct store_limits *limits_out, struct error *err)
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	int result = read_text(path, &text, err);
	char *rest = text.data, *line;
	unsigned number = 0;

	if (result != 1)
		return result;
	while ((line = next_line(&rest)) != NULL) {
		enum store_limit limit;
		int64_t value;
		char *name;

		number++;
		if (*line == '\0' || *line == '#')
			continue;
		name = strsep(&line, " \t");
		if (line != NULL)
			line += strspn(line, " \t");
		if (!store_limit_find(name, &limit) || line == NULL ||
		    !scan_signed(line, &value))
			return error_set(err,
			    "%s:%u: '%.40s' is not a limit with a number",
			    path, number, name);
		limits_out->values[limit] = value;
		limits_out->has[limit] = true;
	}
	return 1;
}

/* "0", "12"; -1: none. */
static int
scan_int(const char *text)
{
	uint64_t value;

	return scan_u64(text, INT_MAX, &value) ? (int)value : -1;
}

static bool
read_filter(char *line, struct store_filter *filter_out)
{
	char *fields[FILTER_FIELDS];
	unsigned count = 0;

	while (line != NULL && count < FILTER_FIELDS)
		fields[count++] = strsep(&line, "\t");
	while (count >= 4 && count < FILTER_FIELDS && line == NULL)
		fields[count++] = fields[0] + strlen(fields[0]);
	if (count < FILTER_FIELDS || line != NULL)
		return false;
	*filter_out = (struct store_filter){ .number = scan_int(fields[0]),
		.name = fields[1],
		.header = scan_int(fields[2]),
		.comparison = scan_int(fields[3]),
		.keyword = fields[4],
		.destination = fields[5],
		.bounce_action = fields[6] };
	return filter_out->number >= 0 && filter_out->header >= 0 &&
	    filter_out->comparison >= 0;
}

static int
compare_filters(const void *a, const void *b)
{
	const struct store_filter *one = a, *other = b;

	return (one->number > other->number) - (one->number < other->number);
}

int
domain_files_filters(
    const char *path, struct store_filters *filters_out, struct error *err)
{
	struct store_filters *filters = filters_out;
	int result = read_text(path, &filters->storage, err);
	char *rest = filters->storage.data, *line;
	unsigned number = 0;

	if (result != 1)
		return result;
	filters->items = xcalloc(FILTERS_MAX, sizeof(*filters->items));
	while ((line = next_line(&rest)) != NULL) {
		number++;
		if (*line == '\0' || *line == '#')
			continue;
		if (filters->count == FILTERS_MAX)
			return error_set(
			    err, "'%s' has too many filters", path);
		if (!read_filter(line, &filters->items[filters->count++]))
			return error_set(err,
			    "%s:%u: not NUMBER NAME HEADER COMPARISON KEYWORD "
			    "DESTINATION BOUNCE with one tab between",
			    path, number);
	}
	qsort(filters->items, filters->count, sizeof(*filters->items),
	    compare_filters);
	return filters->count > 0;
}
