/* SPDX-License-Identifier: ISC */
/* What qmail-showctl shows, and its three ways to show it. */
#ifndef CONTROL_SHOWCTL_H
#define CONTROL_SHOWCTL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "control/settings.h"

/* A folder's settings, and what is wrong with them. */
struct showctl {
	const char *control_dir;
	const char *queue; /* whose settings, or NULL */
	struct settings *settings;
	char *reasons[SETTING_COUNT];  /* NULL: the setting is right */
	bool is_chosen[SETTING_COUNT]; /* to be shown */
	struct strlist unknown;        /* files that are no setting */
};

/* People's lines, or one JSON object, to standard output. */
void showctl_print_text(const struct showctl *showctl);
void showctl_print_json(const struct showctl *showctl);

/* The settings part of mqmail-control(5), in mdoc, to standard output. */
void showctl_print_man(void);

/* The queue in a file's name like holdlocal.QUEUE; NULL: it is none such. */
const char *showctl_queue_of(const char *name);

/*
 * The names of files in the folder that no program reads, sorted: mistyped
 * settings, mostly.  Hidden files, backups (name~) and folders are passed over.
 * 0; or -1 with the reason.
 */
int showctl_find_unknown(
    const char *control_dir, struct strlist *names_out, struct error *err);

#endif
