/* SPDX-License-Identifier: ISC */
/* Which domains' mail rests now, and why. */
#include "svctool/run/rests.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "base/log_text.h"
#include "base/mem.h"
#include "control/idn.h"
#include "svctool/run/rspawn.h"

enum { PATIENCE_MS = 2000 };

char *
rests_clean(const char *text)
{
	size_t length = strlen(text);
	char *line = xstrdup(text);

	while (length > 0 && line[length - 1] == '\n')
		length--;
	for (size_t i = 0; i < length; i++)
		if (line[i] == '\n')
			line[i] = '/';
	line[log_clean(line, length)] = '\0';
	return line;
}

static void
add_rests(const struct operate_destination *destination, void *context)
{
	struct rests *rests = context;

	if (destination->rests_s == 0)
		return;
	for (size_t i = 0; i < destination->domain_count; i++) {
		rests->all = mem_room(
		    rests->all, rests->count, sizeof(*rests->all));
		rests->all[rests->count++] = (struct rest){
			.domain = xstrndup(destination->domains[i],
			    strcspn(destination->domains[i], " ")),
			.seconds = destination->rests_s,
			.is_suspended = destination->state == OPERATE_SUSPENDED,
			.reason = rests_clean(destination->reason)
		};
	}
}

/* Suspensions first: they count whatever else there is. */
static int
compare_rests(const void *a, const void *b)
{
	const struct rest *first = a, *second = b;
	int order = strcasecmp(first->domain, second->domain);

	return order != 0 ? order : second->is_suspended - first->is_suspended;
}

void
rests_load(const struct node *node, struct rests *rests_out)
{
	struct error unused;
	AUTO(file_close)
	int connection = rspawn_connect(node, PATIENCE_MS, &unused);

	*rests_out = (struct rests){ .all = NULL };
	if (connection != -1)
		rspawn_ask(connection, OPERATE_LIST, "", add_rests, rests_out,
		    PATIENCE_MS, &unused);
	if (rests_out->count > 0)
		qsort(rests_out->all, rests_out->count, sizeof(*rests_out->all),
		    compare_rests);
}

void
rests_release(struct rests *rests)
{
	for (size_t i = 0; i < rests->count; i++) {
		free(rests->all[i].domain);
		free(rests->all[i].reason);
	}
	free(rests->all);
	*rests = (struct rests){ .all = NULL };
}

const struct rest *
rests_find(const struct rests *rests, const char *domain)
{
	size_t low = 0, high = rests->count;

	/* The first one of it. */
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcasecmp(rests->all[middle].domain, domain) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low < rests->count &&
		strcasecmp(rests->all[low].domain, domain) == 0
	    ? &rests->all[low]
	    : NULL;
}
