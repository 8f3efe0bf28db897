/* SPDX-License-Identifier: ISC */
/* Which domains' mail rests now, and why: as qmail-rspawn says. */
#ifndef SVCTOOL_RUN_RESTS_H
#define SVCTOOL_RUN_RESTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "svctool/node.h"

struct rest {
	char *domain;
	uint32_t seconds; /* UINT32_MAX: for ever */
	bool is_suspended;
	char *reason; /* one line */
};

struct rests {
	struct rest *all;
	size_t count;
};

/* Nothing rests where it does not run, or does not answer in two seconds. */
void rests_load(const struct node *node, struct rests *rests_out);
void rests_release(struct rests *rests);
/* That of a domain, in any case of letters; or NULL. */
const struct rest *rests_find(const struct rests *rests, const char *domain);

/* A peer's text as one line, without what moves a terminal's cursor. */
char *rests_clean(const char *text);

#endif
