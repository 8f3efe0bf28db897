/* SPDX-License-Identifier: ISC */
/* Tests of svctool/show/log_tail.c. */
#include "svctool/show/log_tail.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

static char *root;
static struct node *node;

static int
set_up(void **state)
{
	char folder[] = "/tmp/test_log_tail.XXXXXX";
	struct error err;
	char *log;

	(void)state;
	assert_non_null(mkdtemp(folder));
	root = xstrdup(folder);
	log = xasprintf("%s/log/s", root);
	assert_int_equal(file_make_dirs(log, 0755, &err), 0);
	free(log);
	node = node_new(root, NULL, &err);
	assert_non_null(node);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	file_remove_tree(root, NULL);
	free(root);
	node_free(&node);
	return 0;
}

static void
write_log(const char *text, const char *mode)
{
	char *path = xasprintf("%s/log/s/current", root);
	FILE *file = fopen(path, mode);

	assert_non_null(file);
	assert_int_not_equal(fputs(text, file), EOF);
	assert_int_equal(fclose(file), 0);
	free(path);
}

static void
what_came_since(void **state)
{
	static const struct {
		const char *name;
		const char *before; /* NULL: no log */
		const char *after;
		const char *wanted;
		bool is_new; /* another file, as multilog makes */
	} rows[] = {
		{ "nothing", "old\n", "", "", false },
		{ "one line", "old\n", "new\n", "new\n", false },
		{ "the first", NULL, "new\n", "new\n", false },
		{ "an unfinished line", "old\n", "new\nhal", "new\nhal",
		    false },
		{ "eight of nine", "old\n", "1\n2\n3\n4\n5\n6\n7\n8\n9\n",
		    "2\n3\n4\n5\n6\n7\n8\n9\n", false },
		{ "another file", "a longer old line\n", "new\n", "new\n",
		    true },
		{ "a shorter file", "a longer old line\n", NULL, "", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *path = xasprintf("%s/log/s/current", root);
		char *aside = xasprintf("%s/log/s/aside", root);
		struct log_mark mark;
		struct buf buf;

		buf_init(&buf);
		unlink(path);
		if (rows[i].before != NULL)
			write_log(rows[i].before, "w");
		log_mark_set(node, "s", &mark);
		if (rows[i].is_new)
			assert_int_equal(rename(path, aside), 0);
		if (rows[i].after == NULL)
			assert_int_equal(truncate(path, 0), 0);
		else
			write_log(rows[i].after, "a");
		log_tail(node, "s", &mark, &buf);
		if (strcmp(buf.data, rows[i].wanted) != 0)
			fail_msg("%s: got '%s', wanted '%s'", rows[i].name,
			    buf.data, rows[i].wanted);
		buf_release(&buf);
		free(aside);
		free(path);
	}
}

static void
last_line(void **state)
{
	static const struct {
		const char *log; /* NULL: none */
		const char *wanted;
	} rows[] = {
		{ NULL, "" },
		{ "", "" },
		{ "one\n", "one" },
		{ "one\ntwo\n", "two" },
		{ "one\ntwo", "two" },
		{ "one\n\n\n", "one" },
		{ "@4000000069208aeb1f6a7b3c fatal: x\n", "fatal: x" },
		{ "@4000000069208aeb fatal: x\n",
		    "@4000000069208aeb fatal: x" },
		{ "@ x\n", "@ x" },
		{ "a\033[2Jb\377\n", "a?[2Jb?" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *path = xasprintf("%s/log/s/current", root);
		char *got;

		unlink(path);
		if (rows[i].log != NULL)
			write_log(rows[i].log, "w");
		got = log_last_line(node, "s");
		if (strcmp(got, rows[i].wanted) != 0)
			fail_msg("row %zu: got '%s'", i, got);
		free(got);
		free(path);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_came_since),
		cmocka_unit_test(last_line),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
