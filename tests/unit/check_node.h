/* SPDX-License-Identifier: ISC */
/*
 * What svctool check finds in the node of tests/unit/svc_node.h.  Include
 * after cmocka.h.
 */
#ifndef TESTS_UNIT_CHECK_NODE_H
#define TESTS_UNIT_CHECK_NODE_H

#include "base/buf.h"
#include "base/mem.h"
#include "svctool/check/check.h"
#include "tests/unit/svc_node.h"

static inline void
check_keep_quiet(enum setting_id id, const char *reason, void *context)
{
	(void)id;
	(void)reason;
	(void)context;
}

/* A check with the node's settings; check_release() ends it. */
static inline struct check
check_begin(void)
{
	return (struct check){ .node = node,
		.settings = settings_load_all(
		    node->home->control, NULL, check_keep_quiet, NULL) };
}

/*
 * All findings, one a line: "E FILE:LINE: TEXT -- REMEDY" (or W, N), where the
 * node's folder is "~".  The caller frees.
 */
static inline char *
check_render(const struct check *check)
{
	static const char marks[] = {
		[CHECK_ERROR] = 'E', [CHECK_WARNING] = 'W', [CHECK_NOTE] = 'N'
	};
	struct buf all, out;
	const char *at, *next;

	buf_init(&all);
	buf_init(&out);
	for (size_t i = 0; i < check->count; i++) {
		const struct check_finding *finding = &check->findings[i];

		buf_addf(&all, "%c %s", marks[finding->level], finding->file);
		if (finding->line > 0)
			buf_addf(&all, ":%u", finding->line);
		buf_addf(&all, ": %s -- %s\n", finding->text, finding->remedy);
	}
	for (at = all.data; (next = strstr(at, folder)) != NULL;
	     at = next + strlen(folder)) {
		buf_add(&out, at, (size_t)(next - at));
		buf_addc(&out, '~');
	}
	buf_adds(&out, at);
	buf_release(&all);
	return out.data;
}

/*
 * Fails with the name unless there are as many findings as lines are wanted,
 * and each line is a part of its finding.  "": none.
 */
static inline void
check_expect(const struct check *check, const char *name, const char *wanted)
{
	char *got = check_render(check);
	char *copy = xstrdup(got), *rest = copy, *line;
	const char *part = wanted;
	bool is_well = true;

	while (is_well && (line = strsep(&rest, "\n")) != NULL) {
		size_t length = strcspn(part, "\n");
		char *wanted_line = xstrndup(part, length);

		/* Behind the last newline both end. */
		is_well = (*line == '\0') == (length == 0) &&
		    strstr(line, wanted_line) != NULL;
		part += length + (part[length] == '\n');
		free(wanted_line);
	}
	if (!is_well || *part != '\0')
		fail_msg("%s: got\n%s\nwanted\n%s", name, got, wanted);
	free(copy);
	free(got);
}

#endif
