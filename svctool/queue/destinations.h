/* SPDX-License-Identifier: ISC */
/* svctool queue destinations, suspend, resume, rebind and reset. */
#ifndef SVCTOOL_QUEUE_DESTINATIONS_H
#define SVCTOOL_QUEUE_DESTINATIONS_H

#include <stdbool.h>

struct destination_options {
	const char *home;
	bool is_json, is_dry_run;
	const char *pattern; /* destinations: of domains; or NULL */
	const char *reason;  /* suspend; or NULL */
	const char *span;    /* suspend: for how long; or NULL, for ever */
};

/* Is it one of these verbs? */
bool destinations_has(const char *verb);

/* The words are domains.  The exit code. */
int destinations_run(const char *verb, int words, char *const *argv,
    const struct destination_options *options);

#endif
