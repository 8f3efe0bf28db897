/* SPDX-License-Identifier: ISC */
/*
 * svctool tls-report: what became of TLS with other hosts on a day; and reports
 * to those who asked for them.
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "control/identity.h"
#include "remote/tls_report.h"
#include "svctool/args.h"
#include "svctool/node.h"
#include "svctool/show/tls_report_send.h"
#include "svctool/svctool.h"

static const char *
text_of(json_t *line, const char *key)
{
	const char *text = json_string_value(json_object_get(line, key));

	return text == NULL ? "" : text;
}

/* The rows of a day, by all that is not a count. */
static void
add_line(json_t *rows, json_t *line)
{
	AUTO(mem_free)
	char *key = xasprintf("%s %s %s %s %s %s", text_of(line, "domain"),
	    text_of(line, "policy"), text_of(line, "host"), text_of(line, "ip"),
	    text_of(line, "result"), text_of(line, "policy_text"));
	json_t *row = json_object_get(rows, key);
	json_int_t sessions = json_integer_value(
	    json_object_get(line, "sessions"));

	if (row == NULL) {
		json_object_set(rows, key, line);
		return;
	}
	json_object_set_new(row, "sessions",
	    json_integer(sessions +
		json_integer_value(json_object_get(row, "sessions"))));
}

/* A line that a crash cut short is left out. */
static void
read_day(FILE *file, json_t *rows)
{
	AUTO(mem_free) char *text = NULL;
	size_t size = 0;

	while (getline(&text, &size, file) != -1) {
		json_t *line = json_loads(text, 0, NULL);

		if (json_is_object(line))
			add_line(rows, line);
		json_decref(line);
	}
}

static void
print_row(json_t *row)
{
	const char *result = text_of(row, "result");

	printf("%s %s %s: %lld %s\n", text_of(row, "domain"),
	    text_of(row, "policy"), text_of(row, "host"),
	    (long long)json_integer_value(json_object_get(row, "sessions")),
	    *result == '\0' ? "successful" : result);
}

static void
print_rows(json_t *list, const char *day, bool is_json)
{
	json_t *object, *row;
	size_t i;

	if (!is_json) {
		json_array_foreach(list, i, row) print_row(row);
		return;
	}
	object = json_pack("{s:s, s:O}", "day", day, "rows", list);
	json_dumpf(object, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(object);
}

/* The rows, which the caller releases; NULL with the reason. */
static json_t *
load_day(const struct node *node, const char *day, struct error *err)
{
	AUTO(mem_free)
	char *folder = layout_path(node->home, LAYOUT_tls_report);
	AUTO(mem_free) char *path = xasprintf("%s/%s", folder, day);
	FILE *file = fopen(path, "re");
	json_t *rows, *list, *row;
	const char *key;

	/* None: nothing was sent on that day. */
	if (file == NULL && errno != ENOENT) {
		error_sys(err, "cannot read '%s'", path);
		return NULL;
	}
	rows = json_object();
	if (file != NULL) {
		read_day(file, rows);
		fclose(file);
	}
	list = json_array();
	json_object_foreach(rows, key, row) json_array_append(list, row);
	json_decref(rows);
	return list;
}

static int
send_day(const struct node *node, const char *day, json_t *rows)
{
	struct error err;
	int failures = tls_report_send(node, day, rows, &err);

	if (failures == -1)
		return complain(EXIT_TEMPORARY, &err);
	return failures == 0 ? EXIT_FINE : EXIT_TEMPORARY;
}

static int
run_day(const struct node *node, const char *day, bool sends, bool is_json)
{
	struct error err;
	json_t *rows;
	int code = EXIT_FINE;

	/* What others' names and servers say is nothing for root. */
	if (sends && identity_become(IDENTITY_REMOTE, &err) == -1)
		return complain(EXIT_TROUBLE, &err);
	rows = load_day(node, day, &err);
	if (rows == NULL)
		return complain(EXIT_TROUBLE, &err);
	if (sends)
		code = send_day(node, day, rows);
	else
		print_rows(rows, day, is_json);
	json_decref(rows);
	return code;
}

int
cmd_tls_report(int argc, char **argv)
{
	const char *home = NULL;
	bool is_json = false, sends = false;
	const struct arg_row rows[] = {
		{ "send", ARG_FLAG, &sends },
		{ "home", ARG_TEXT, &home },
		{ "json", ARG_FLAG, &is_json },
		{ NULL, ARG_FLAG, NULL },
	};
	char today[TLS_REPORT_DAY_SIZE], day[TLS_REPORT_DAY_SIZE];
	struct error err;
	struct node *node;
	int words, code;

	if (args_parse(rows, argc, argv, &words, &err) == -1)
		return complain(EXIT_USAGE, &err);
	if (words > 1 || (words == 1 && !tls_report_is_day(argv[0])))
		return EXIT_USAGE;
	tls_report_day(time(NULL), today);
	tls_report_day(time(NULL) - (sends ? 86400 : 0), day);
	if (words == 1)
		snprintf(day, sizeof(day), "%s", argv[0]);
	if (sends && strcmp(day, today) >= 0) {
		error_set(&err, "the day is not over");
		return complain(EXIT_TROUBLE, &err);
	}
	node = node_new(home, NULL, &err);
	if (node == NULL || !node_exists(node, &err))
		code = complain(EXIT_TROUBLE, &err);
	else
		code = run_day(node, day, sends, is_json);
	node_free(&node);
	return code;
}
