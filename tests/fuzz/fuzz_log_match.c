/* SPDX-License-Identifier: ISC */
/*
 * Log lines, in which peers' words are: the first line of the input is what is
 * looked for, in each of the next the first letter is the service.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/log_text.h"
#include "base/mem.h"
#include "svctool/show/log_match.h"
#include "svctool/show/log_time.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_time(const char *word)
{
	struct timespec when, again;
	char text[LOG_TIME_SIZE], label[TAI64N_SIZE];
	struct error err;

	if (log_time_parse(word, true, 1796024651, &when, &err) == -1)
		return;
	log_time_write(&when, true, text);
	if (when.tv_sec < 0 || when.tv_sec > 1LL << 60)
		return;
	tai64n_write(&when, label);
	assert(tai64n_read(label, strlen(label), &again));
	assert(again.tv_sec == when.tv_sec && again.tv_nsec == when.tv_nsec);
}

static void
match_lines(const struct log_filter *filter, char *text)
{
	struct log_match *match = log_match_new(filter);
	time_t now = 1;
	char *line;

	while ((line = strsep(&text, "\n")) != NULL) {
		char service[2] = { line[0], '\0' };
		struct log_entry entry = { .when = { .tv_sec = now++ } };
		struct log_fields fields;
		struct timespec first;
		bool is_wanted;

		if (line[0] == '\0')
			continue;
		line[log_clean(line, strlen(line))] = '\0';
		entry.text = line + 1;
		is_wanted = log_match_line(
		    match, service, &entry, &fields, &first);
		assert(strlen(fields.queue) < LOG_QUEUE_SIZE);
		assert(first.tv_sec < now - 1);
		if (filter->number != 0 && is_wanted && fields.message != 0)
			assert(fields.message == filter->number ||
			    !uuid_is_none(&fields.uuid) ||
			    strstr(line, "msg ") != NULL);
	}
	log_match_free(&match);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = xmalloc(size + 1), *rest = text, *copy, *word;
	struct log_filter filter = { .number = 0 };
	struct error err;

	memcpy(text, data, size);
	text[size] = '\0';
	word = strsep(&rest, "\n");
	check_time(word);
	if (rest != NULL) {
		copy = xstrdup(rest);
		if (log_filter_set_id(&filter, word, &err) == 0)
			match_lines(&filter, rest);
		filter = (struct log_filter){ .address = word };
		match_lines(&filter, copy);
		free(copy);
	}
	free(text);
	return 0;
}
