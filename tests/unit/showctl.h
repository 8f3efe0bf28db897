/* SPDX-License-Identifier: ISC */
/* A control folder's settings, to be shown.  Include after cmocka.h. */
#ifndef TESTS_UNIT_SHOWCTL_H
#define TESTS_UNIT_SHOWCTL_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "control/showctl.h"
#include "tests/unit/folder.h"

static inline int
showctl_setup(void **state)
{
	for (unsigned id = 0; id < SETTING_COUNT; id++)
		if (*setting_rows[id].env != '\0')
			unsetenv(setting_rows[id].env);
	if (folder_setup(state) != 0)
		return -1;
	folder_write("me", "m.test\n", 7);
	return 0;
}

static inline void
showctl_keep(enum setting_id id, const char *reason, void *context)
{
	struct showctl *showctl = context;

	showctl->reasons[id] = strdup(reason);
}

/* Nothing is chosen yet. */
static inline void
showctl_load(struct showctl *showctl, const char *queue)
{
	*showctl = (struct showctl){ .control_dir = folder, .queue = queue };
	showctl->settings = settings_load_all(
	    folder, queue, showctl_keep, showctl);
}

static inline void
showctl_unload(struct showctl *showctl)
{
	settings_free(&showctl->settings);
	for (unsigned id = 0; id < SETTING_COUNT; id++)
		free(showctl->reasons[id]);
}

/* The text with the first mark replaced, if it has one; the caller frees. */
static inline char *
showctl_replace(const char *text, const char *mark, const char *by)
{
	const char *at = strstr(text, mark);
	struct buf buf;

	buf_init(&buf);
	buf_add(&buf, text, at != NULL ? (size_t)(at - text) : strlen(text));
	if (at != NULL)
		buf_addf(&buf, "%s%s", by, at + strlen(mark));
	return buf.data;
}

#define SHOWCTL_TEST(name) \
	cmocka_unit_test_setup_teardown(name, showctl_setup, folder_teardown)

#endif
