/* SPDX-License-Identifier: ISC */
/* svctool tls-report: what became of TLS with other hosts on a day. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "remote/tls_report.h"
#include "svctool/args.h"
#include "svctool/node.h"
#include "svctool/svctool.h"

static const char *
text_of(json_t *line, const char *key)
{
	const char *text = json_string_value(json_object_get(line, key));

	return text == NULL ? "" : text;
}

/* The rows of a day, by domain, policy, host and result. */
static void
add_line(json_t *rows, json_t *line)
{
	AUTO(mem_free)
	char *key = xasprintf("%s %s %s %s", text_of(line, "domain"),
	    text_of(line, "policy"), text_of(line, "host"),
	    text_of(line, "result"));
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
print_rows(json_t *rows, const char *day, bool is_json)
{
	json_t *list = json_array(), *row;
	const char *key;

	json_object_foreach(rows, key, row) if (is_json)
	    json_array_append(list, row);
	else print_row(row);
	if (is_json) {
		json_t *object = json_pack(
		    "{s:s, s:O}", "day", day, "rows", list);

		json_dumpf(object, stdout, JSON_INDENT(2));
		putchar('\n');
		json_decref(object);
	}
	json_decref(list);
}

static int
show_day(const struct node *node, const char *day, bool is_json)
{
	AUTO(mem_free)
	char *folder = layout_path(node->home, LAYOUT_tls_report);
	AUTO(mem_free) char *path = xasprintf("%s/%s", folder, day);
	FILE *file = fopen(path, "re");
	json_t *rows = json_object();
	struct error err;

	/* None: nothing was sent on that day. */
	if (file == NULL && errno != ENOENT) {
		error_sys(&err, "cannot read '%s'", path);
		json_decref(rows);
		return complain(EXIT_TROUBLE, &err);
	}
	if (file != NULL) {
		read_day(file, rows);
		fclose(file);
	}
	print_rows(rows, day, is_json);
	json_decref(rows);
	return EXIT_FINE;
}

int
cmd_tls_report(int argc, char **argv)
{
	const char *home = NULL;
	bool is_json = false;
	const struct arg_row rows[] = {
		{ "home", ARG_TEXT, &home },
		{ "json", ARG_FLAG, &is_json },
		{ NULL, ARG_FLAG, NULL },
	};
	char today[TLS_REPORT_DAY_SIZE];
	struct error err;
	struct node *node;
	int words, code;

	if (args_parse(rows, argc, argv, &words, &err) == -1)
		return complain(EXIT_USAGE, &err);
	if (words > 1 || (words == 1 && !tls_report_is_day(argv[0])))
		return EXIT_USAGE;
	tls_report_day(time(NULL), today);
	node = node_new(home, NULL, &err);
	if (node == NULL || !node_exists(node, &err))
		code = complain(EXIT_TROUBLE, &err);
	else
		code = show_day(node, words == 1 ? argv[0] : today, is_json);
	node_free(&node);
	return code;
}
