/* SPDX-License-Identifier: ISC */
/* What lookupd says of itself and of its database. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "lookupd/lookup_client.h"
#include "svctool/show/report.h"

enum { ASK_MS = 2000 };

/* Its figures; NULL, with the reason. */
static json_t *
ask_figures(const struct node *node, struct error *err)
{
	static const struct query query = { .kind = QUERY_STATS,
		.local = "",
		.domain = "",
		.ip = "",
		.service = "" };
	OWN_TEXT path = node_layout_path(node, LAYOUT_lookup);
	AUTO(lookup_client_free)
	struct lookup_client *client = lookup_client_new(path);
	AUTO(lookup_reply_release)
	struct lookup_reply reply = { .storage = BUF_INIT };
	json_t *figures;

	if (lookup_client_ask(client, &query, 1, ASK_MS, &reply, err) == -1)
		return NULL;
	figures = json_loadb(
	    reply.answers[0].record, reply.answers[0].length, 0, NULL);
	if (figures == NULL)
		error_set(err, "its figures cannot be read");
	return figures;
}

static const char *
text_of(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text == NULL ? "" : text;
}

/* What is wrong with its database; NULL: nothing.  The caller frees. */
static char *
find_lookup_problem(const json_t *figures)
{
	const json_t *snapshot = json_object_get(figures, "snapshot");

	if (strcmp(text_of(figures, "database"), "up") == 0)
		return json_is_true(json_object_get(figures, "followed"))
		    ? NULL
		    : xstrdup("it cannot follow the changes of the database: "
			      "what it remembers may be a minute old");
	if (snapshot == NULL)
		return xasprintf("the database is away (%s), and there is no "
				 "snapshot: it answers from memory",
		    text_of(figures, "reason"));
	return xasprintf("the database is away (%s): it answers from memory "
			 "and from a snapshot of %" JSON_INTEGER_FORMAT
			 " s ago",
	    text_of(figures, "reason"),
	    json_integer_value(json_object_get(snapshot, "age_s")));
}

void
report_lookup(const struct node *node, struct report *report)
{
	for (size_t i = 0; i < report->service_count; i++) {
		struct report_service *service = &report->services[i];
		struct error err;
		char *problem;

		if (!node_is_lookup(service->name) || !service->is_ready)
			continue;
		report->lookup = ask_figures(node, &err);
		problem = report->lookup == NULL
		    ? xstrdup(err.text)
		    : find_lookup_problem(report->lookup);
		if (problem == NULL)
			continue;
		free(service->problem);
		service->problem = problem;
		service->is_fine = report->is_fine = false;
	}
}

void
report_print_lookup(const struct report *report)
{
	const json_t *figures = report->lookup;
	const json_t *snapshot = json_object_get(figures, "snapshot");
	json_int_t hits = json_integer_value(json_object_get(figures, "hits"));
	json_int_t misses = json_integer_value(
	    json_object_get(figures, "misses"));

	printf("\nlookup: database %s%s%s; %" JSON_INTEGER_FORMAT
	       " remembered in %" JSON_INTEGER_FORMAT
	       " bytes, %" JSON_INTEGER_FORMAT
	       "%% of %" JSON_INTEGER_FORMAT " answers from there; ",
	    text_of(figures, "database"),
	    *text_of(figures, "host") == '\0' ? "" : " at ",
	    text_of(figures, "host"),
	    json_integer_value(json_object_get(figures, "cached")),
	    json_integer_value(json_object_get(figures, "cache_bytes")),
	    hits + misses == 0 ? 0 : hits * 100 / (hits + misses),
	    hits + misses);
	if (snapshot == NULL)
		printf("no snapshot\n");
	else
		printf("snapshot of %" JSON_INTEGER_FORMAT
		       " records, %" JSON_INTEGER_FORMAT " s old\n",
		    json_integer_value(json_object_get(snapshot, "records")),
		    json_integer_value(json_object_get(snapshot, "age_s")));
}
