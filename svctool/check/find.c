/* SPDX-License-Identifier: ISC */
/* Findings: kept, counted, and printed. */
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/plural.h"
#include "base/scan.h"
#include "control/json_text.h"
#include "svctool/check/check.h"

static void
finding_release(struct check_finding *finding)
{
	free(finding->file);
	free(finding->text);
	free(finding->remedy);
}

void
check_release(struct check *check)
{
	for (size_t i = 0; i < check->count; i++)
		finding_release(&check->findings[i]);
	free(check->findings);
	check->findings = NULL;
	check->count = 0;
	strlist_release(&check->used_queues);
	settings_free(&check->settings);
}

/* Names of files and values may hold anything; a terminal obeys some of it. */
static void
disarm(char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < ' ' || *text == 127)
			*text = '?';
}

static char *
make_text(const char *format, va_list arguments)
{
	char *text;

	if (vasprintf(&text, format, arguments) == -1)
		abort();
	return text;
}

static void
count_finding(struct check *check, enum check_level level)
{
	unsigned *const counters[] = { [CHECK_ERROR] = &check->errors,
		[CHECK_WARNING] = &check->warnings,
		[CHECK_NOTE] = &check->notes };

	++*counters[level];
}

static const char *
level_name(enum check_level level)
{
	static const char *const names[] = { [CHECK_ERROR] = "error",
		[CHECK_WARNING] = "warning",
		[CHECK_NOTE] = "note" };

	return names[level];
}

static bool
is_known(const struct check *check, const struct check_finding *finding)
{
	for (size_t i = 0; i < check->count; i++) {
		const struct check_finding *other = &check->findings[i];

		if (other->line == finding->line &&
		    strcmp(other->file, finding->file) == 0 &&
		    strcmp(other->text, finding->text) == 0)
			return true;
	}
	return false;
}

void
check_find(struct check *check, enum check_level level, const char *file,
    unsigned line, const char *format, ...)
{
	struct check_finding finding = { .level = level, .line = line };
	va_list arguments;
	size_t length;

	va_start(arguments, format);
	finding.text = make_text(format, arguments);
	va_end(arguments);
	finding.file = xstrdup(file);
	length = strcspn(finding.text, REMEDY);
	finding.remedy = xstrdup(
	    finding.text + length + (finding.text[length] != '\0'));
	finding.text[length] = '\0';
	disarm(finding.file);
	disarm(finding.text);
	disarm(finding.remedy);
	/* What belongs to it, its remedy, must not go to another. */
	check->is_dropped = is_known(check, &finding);
	if (check->is_dropped) {
		finding_release(&finding);
		return;
	}
	check->findings = mem_room(
	    check->findings, check->count, sizeof(*check->findings));
	check->findings[check->count++] = finding;
	count_finding(check, level);
}

void
check_remedy(struct check *check, const char *format, ...)
{
	struct check_finding *finding;
	va_list arguments;

	if (check->is_dropped || check->count == 0)
		return;
	finding = &check->findings[check->count - 1];
	free(finding->remedy);
	va_start(arguments, format);
	finding->remedy = make_text(format, arguments);
	va_end(arguments);
	disarm(finding->remedy);
}

/*
 * Takes "FILE:LINE: " or "FILE: " off the front: returns what follows, and
 * cuts the file off in place.  NULL when there is no such front.
 */
static char *
split_front(char *reason, unsigned *line_out)
{
	char *end = strstr(reason, ": "), *colon;
	uint64_t line;

	*line_out = 0;
	if (*reason != '/' || end == NULL)
		return NULL;
	*end = '\0';
	colon = strrchr(reason, ':');
	if (colon != NULL && scan_u64(colon + 1, UINT32_MAX, &line)) {
		*colon = '\0';
		*line_out = (unsigned)line;
	}
	return end + 2;
}

/* The first path in quotes, else the node's home.  The caller frees. */
static char *
find_quoted(const struct check *check, const char *reason)
{
	const char *quote = strstr(reason, "'/");
	const char *end = quote != NULL ? strchr(quote + 1, '\'') : NULL;

	return end != NULL ? xstrndup(quote + 1, (size_t)(end - quote - 1))
			   : xstrdup(check->node->home->root);
}

const char *
check_cut_remedy(char *text)
{
	char *at = text, *last = NULL;

	/* memrchr() would do, but the mark has two bytes. */
	while ((at = strstr(at, "; ")) != NULL)
		last = at++;
	if (last == NULL)
		return NULL;
	*last = '\0';
	return last + 2;
}

bool
check_has_error(const struct check *check, const char *file)
{
	for (size_t i = 0; i < check->count; i++)
		if (check->findings[i].level == CHECK_ERROR &&
		    strcmp(check->findings[i].file, file) == 0)
			return true;
	return false;
}

void
check_reason_at(struct check *check, enum check_level level, const char *file,
    unsigned line, const char *reason)
{
	OWN_TEXT text = xstrdup(reason);
	const char *remedy = check_cut_remedy(text);

	check_find(check, level, file, line, "%s" REMEDY "%s", text,
	    remedy != NULL ? remedy : "mend that, then check again");
}

/* A reason as a finding; may_repeat: also where there is an error already. */
static void
find_by_reason(struct check *check, enum check_level level, const char *reason,
    const char *remedy, bool may_repeat)
{
	char *copy = xstrdup(reason), *file = copy, *found = NULL;
	unsigned line;
	char *text = split_front(copy, &line);

	if (text == NULL) {
		found = find_quoted(check, reason);
		file = found;
		text = copy;
	}
	if (may_repeat || strcmp(file, check->node->home->root) == 0 ||
	    !check_has_error(check, file)) {
		if (remedy != NULL) {
			check_find(check, level, file, line, "%s" REMEDY "%s",
			    text, remedy);
		} else
			check_reason_at(check, level, file, line, text);
	}
	free(found);
	free(copy);
}

void
check_reason(struct check *check, enum check_level level, const char *reason,
    const char *remedy)
{
	find_by_reason(check, level, reason, remedy, true);
}

void
check_reason_unless_known(
    struct check *check, enum check_level level, const char *reason)
{
	find_by_reason(check, level, reason, NULL, false);
}

bool
check_crowd_has_room(struct check_crowd *crowd)
{
	return crowd->count++ < CHECK_CROWD_MAX;
}

void
check_crowd_end(struct check *check, const struct check_crowd *crowd,
    const char *file, const char *remedy)
{
	if (crowd->count <= CHECK_CROWD_MAX)
		return;
	check_find(check, crowd->level, file, 0,
	    "%lu more of these are not shown" REMEDY "%s",
	    crowd->count - CHECK_CROWD_MAX, remedy);
}

void
check_print_findings(const struct check *check)
{
	for (size_t i = 0; i < check->count; i++) {
		const struct check_finding *finding = &check->findings[i];

		printf("%-8s %s", level_name(finding->level), finding->file);
		if (finding->line > 0)
			printf(":%u", finding->line);
		printf(": %s: %s\n", finding->text, finding->remedy);
	}
}

void
check_print_text(const struct check *check)
{
	check_print_findings(check);
	printf("checked %s: %u error%s, %u warning%s\n",
	    check->node->home->root, check->errors, plural(check->errors),
	    check->warnings, plural(check->warnings));
}

void
check_print_json(const struct check *check)
{
	json_t *array = json_array();

	for (size_t i = 0; i < check->count; i++) {
		const struct check_finding *finding = &check->findings[i];

		json_array_append_new(array,
		    json_pack("{s:s, s:o, s:o, s:o, s:o}", "severity",
			level_name(finding->level), "file",
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
