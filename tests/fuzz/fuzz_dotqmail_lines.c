/* SPDX-License-Identifier: ISC */
/* The lines of a .qmail file; and a message's header, as filters see it. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "delivery/dotqmail_lines.h"
#include "delivery/filter.h"
#include "delivery/header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_lines(const char *text, size_t size)
{
	struct dotqmail_lines lines;
	struct error err = { .text = "" };
	int result = dotqmail_lines_read(text, size, &lines, &err);

	assert((result == 0) == (err.text[0] == '\0'));
	for (size_t i = 0; i < lines.count; i++) {
		const struct dotqmail_line *line = &lines.items[i];

		assert(*line->text != '\0' && strchr(line->text, '\n') == NULL);
		assert(line->kind != DOTQMAIL_FORWARD ||
		    strchr(line->text, ' ') == NULL);
		assert(line->kind != DOTQMAIL_MAILDIR ||
		    line->text[strlen(line->text) - 1] == '/');
	}
	dotqmail_lines_release(&lines);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *const mine[] = { "a@b", NULL };
	struct store_filter filter = { .name = "f", .keyword = "%p > 3" };
	struct store_filters filters = { .items = &filter, .count = 1 };
	struct header header;
	struct filter_message message = { &header, "s@t", mine };

	check_lines((const char *)data, size);
	header_read(&header, (const char *)data, size);
	for (filter.header = 0; filter.header < 4; filter.header++)
		for (filter.comparison = 0; filter.comparison < FILTER_REGEX;
		     filter.comparison++)
			filter_find(&filters, &message);
	header_release(&header);
	return 0;
}
