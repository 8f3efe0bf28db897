/* SPDX-License-Identifier: ISC */
/* Tests of svctool/init/options.c. */
#include "svctool/init/init.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct row {
	const char *option, *value;
	const char *wanted; /* in the reason, or NULL: right */
};

/* Options that are right, with one value of one of them replaced or added. */
static int
check(const struct row *row, struct error *err)
{
	char me[300] = "mail.example.test";
	struct init_options options = {
		.me = me, .address = "192.0.2.1", .queues = 2
	};
	const struct {
		const char *name;
		struct strlist *list;
	} lists[] = {
		{ "domain", &options.domains },
		{ "port", &options.smtp },
		{ "submission", &options.submission },
		{ "submissions", &options.submissions },
		{ "odmr", &options.odmr },
		{ "smtps", &options.smtps },
		{ "lmtp", &options.lmtp },
		{ "qmtp", &options.qmtp },
		{ "qmqp", &options.qmqp },
		{ "relay", &options.relay },
	};
	int result;

	strlist_add(&options.smtp, "25");
	if (strcmp(row->option, "me") == 0)
		snprintf(me, sizeof(me), "%s", row->value);
	if (strcmp(row->option, "address") == 0)
		options.address = row->value;
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		if (strcmp(row->option, lists[i].name) == 0)
			strlist_add(lists[i].list, row->value);
	result = init_check_options(&options, err);
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		strlist_release(lists[i].list);
	return result;
}

static void
values(void **state)
{
	static const struct row rows[] = {
		{ "me", "mail.example.test", NULL },
		{ "me", "localhost", NULL },
		{ "me", "", "--me" },
		{ "me", "-mail.example.test", "--me" },
		{ "me", "mail.example.test.", "--me" },
		{ "me", "mail_1.example.test", "--me" },
		{ "domain", "Example.TEST", NULL },
		{ "domain", "ex ample.test", "--domain" },
		{ "domain", "..", "--domain" },
		{ "address", "0", NULL },
		{ "address", "2001:db8::1", NULL },
		{ "address", "192.0.2", "--address" },
		{ "smtps", "465", NULL },
		{ "smtps", "[::1]:465", NULL },
		{ "smtps", "127.0.0.1:465", NULL },
		{ "smtps", "25", "--smtps: port 25 is asked for twice" },
		{ "smtps", "[::1]:25", "--smtps: port 25 is asked for twice" },
		{ "port", "25", "--port: port 25 is asked for twice" },
		{ "port", "026", NULL },
		{ "port", "-26", "--port" },
		{ "submission", "587x", "--submission" },
		{ "submissions", "465x", "--submissions" },
		{ "odmr", "25", "--odmr" },
		{ "lmtp", "65536", "--lmtp" },
		{ "qmqp", "65536", "--qmqp" },
		{ "relay", "192.0.2.1", NULL },
		{ "relay", "192.", NULL },
		{ "relay", "192.0.2.", NULL },
		{ "relay", "192.0.2.0-15", NULL },
		{ "relay", "192.0-7.", NULL },
		{ "relay", "192", "--relay" },
		{ "relay", "192.0.2", "--relay" },
		{ "relay", "192.0.2.1.", "--relay" },
		{ "relay", "192.0.2.1.2", "--relay" },
		{ "relay", "192..2.", "--relay" },
		{ "relay", ".", "--relay" },
		{ "relay", "192.0-7.2.", "--relay" },
		{ "relay", "192.0.2.15-0", "--relay" },
		{ "relay", "192.0.2.-", "--relay" },
		{ "relay", "192.0.2.256", "--relay" },
		{ "relay", "192.0.2.0/24", "--relay" },
		{ "relay", "=example.test", "--relay" },
		{ "relay", "::1", "--relay" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = { .text = "" };
		int result = check(&rows[i], &err);

		if (rows[i].wanted == NULL ? result != 0
					   : result != -1 ||
			    strstr(err.text, rows[i].wanted) == NULL)
			fail_msg("--%s '%s': got %d '%s', wanted '%s'",
			    rows[i].option, rows[i].value, result, err.text,
			    rows[i].wanted != NULL ? rows[i].wanted : "right");
	}
}

static void
numbers_and_pairs(void **state)
{
	static const struct {
		unsigned queues;
		bool has_destdir, has_domain;
		int wanted;
	} rows[] = {
		{ 1, false, false, 0 },
		{ 128, false, true, 0 },
		{ 128, true, false, 0 },
		{ INIT_UNSAID, false, false, 0 },
		{ 0, false, false, -1 },
		{ 129, false, false, -1 },
		{ 2, true, true, -1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char me[] = "mail.example.test";
		struct init_options options = { .me = me,
			.address = "0",
			.queues = rows[i].queues,
			.has_destdir = rows[i].has_destdir };
		int result;

		if (rows[i].has_domain)
			strlist_add(&options.domains, "example.test");
		result = init_check_options(&options, NULL);
		strlist_release(&options.domains);
		if (result != rows[i].wanted)
			fail_msg("row %zu: got %d, wanted %d", i, result,
			    rows[i].wanted);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values),
		cmocka_unit_test(numbers_and_pairs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
