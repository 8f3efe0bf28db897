/* SPDX-License-Identifier: ISC */
/* Tests of svctool/check/variables.c. */
#include "svctool/check/variable.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/check_node.h"

/* A node with one queue, counted, and one listener. */
static int
set_up(void **state)
{
	if (svc_setup(state) != 0 ||
	    file_make_dirs(folder_path("queue/queue1/mess"), 0755, NULL) ==
		-1 ||
	    file_make_dirs(folder_path("queue/queue1/lock"), 0755, NULL) == -1)
		return -1;
	svc_dir("service/queue1/variables");
	svc_put("service/qmail-smtpd.25/variables/LISTEN", "25\n");
	return 0;
}

static void
expect(const char *name, const char *wanted)
{
	struct check check = check_begin();

	check_variables(&check);
	check_expect(&check, name, wanted);
	check_release(&check);
}

#define LISTENER "service/qmail-smtpd.25/variables/"

static void
values(void **state)
{
	static const struct {
		const char *file, *text, *wanted;
	} rows[] = {
		{ LISTENER "DATABYTES", "77\n", "" },
		{ LISTENER "DATABYTES", "77 \t\nmore\n", "" },
		{ LISTENER "DATABYTES", "", "" }, /* unset */
		{ LISTENER "DATABYTES", "\n",
		    "E ~/" LISTENER "DATABYTES: DATABYTES: '' is not a "
		    "number\n" },
		{ LISTENER "DATABYTES", "many\n",
		    "E ~/" LISTENER "DATABYTES: DATABYTES: 'many' is not a "
		    "number of bytes -- write a whole number, for example "
		    "10485760, then svctool restart\n" },
		{ "control/global_vars/MAXPERIP", "x\n",
		    "E ~/control/global_vars/MAXPERIP: MAXPERIP: 'x' is not\n" },
		{ "service/queue1/variables/SOFT_FILES", "x\n",
		    "E ~/service/queue1/variables/SOFT_FILES: SOFT_FILES: 'x' "
		    "is no number -- write for example 20000\n" },
		{ LISTENER "FROMRULES", "none\n", "" }, /* check_starts() */
		{ "service/queue1/variables/TCPRULES", "none\n", "" },
		{ "control/global_vars/.hidden", "x\n", "" },
	};

	(void)state;
	expect("as made", "");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		svc_put(rows[i].file, rows[i].text);
		expect(rows[i].file, rows[i].wanted);
		remove(folder_path(rows[i].file));
	}
}

/* What a variable names is looked into. */
static void
named_rules(void **state)
{
	(void)state;
	svc_put("control/mine", "a.test:DATABYTES=x\n");
	svc_put(LISTENER "FROMRULES", "mine\n");
	expect("rules", "E ~/control/mine:1: rule 'a.test': DATABYTES\n");
	svc_put(LISTENER "TCPRULES", folder_path("control/mine"));
	expect("no cdb",
	    "E ~/control/mine:1\n"
	    "E ~/control/mine: \n");
	remove(folder_path(LISTENER "FROMRULES"));
	remove(folder_path(LISTENER "TCPRULES"));
	svc_put("control/global_vars/TCPRULES", folder_path("control/mine"));
	expect("everybody's cdb", "E ~/control/mine: \n");
}

static void
what_is_no_file(void **state)
{
	struct error err;

	(void)state;
	svc_dir(LISTENER "DATABYTES");
	expect("a folder",
	    "E ~/" LISTENER "DATABYTES: it is not a file, so envdir fails and "
	    "the service cannot start -- move it away\n");
	assert_int_equal(
	    file_remove_tree(
		folder_path("service/qmail-smtpd.25/variables"), &err),
	    0);
	expect("no folder",
	    "E ~/service/qmail-smtpd.25/variables: services read their "
	    "variables there: No such file or directory -- mkdir\n");
}

/* Which queues are used: by all, or by one listener over that. */
static void
choice_of_queues(void **state)
{
	struct check check;

	(void)state;
	svc_put(LISTENER "QUEUE_COUNT", "2\n");
	expect("a listener's count",
	    "E ~/" LISTENER "QUEUE_COUNT: it counts the queue "
	    "'~/queue/queue2', which does not exist\n");
	remove(folder_path(LISTENER "QUEUE_COUNT"));
	svc_put("control/global_vars/QUEUE_COUNT", "3\n");
	expect("everybody's",
	    "E ~/control/global_vars/QUEUE_COUNT: it counts the queue "
	    "'~/queue/queue2'\n");
	/* The listener's own goes over it. */
	svc_put(LISTENER "QUEUE_START", "1\n");
	expect("both",
	    "E ~/control/global_vars/QUEUE_COUNT: it counts\n"
	    "E ~/" LISTENER "QUEUE_START: it counts\n");
	svc_put(LISTENER "QUEUEDIR", folder_path("queue/queue1"));
	expect("one queue", "E ~/control/global_vars/QUEUE_COUNT: \n");
	remove(folder_path("control/global_vars/QUEUE_COUNT"));
	check = check_begin();
	check_variables(&check);
	assert_int_equal(check.used_queues.count, 1);
	assert_string_equal(
	    check.used_queues.items[0], folder_path("queue/queue1"));
	check_release(&check);
	/* A queue is itself, whatever its service says. */
	remove(folder_path(LISTENER "QUEUEDIR"));
	remove(folder_path(LISTENER "QUEUE_START"));
	svc_put("service/queue1/variables/QUEUEDIR", "/none\n");
	expect("a queue's own", "");
}

/* What the operator's shell has set is not what services have. */
static void
the_environment_is_forgotten(void **state)
{
	static const char *const names[] = { "DATABYTES", "QUEUE_BASE",
		"QUEUEDIR", "TCPRULES", "OPTIONS", "SMTPS", "SERVERCERT" };

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		setenv(names[i], "x", 1);
	setenv("MQMAIL_TEST", "x", 1);
	check_forget_environment();
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (getenv(names[i]) != NULL)
			fail_msg("%s", names[i]);
	assert_non_null(getenv("MQMAIL_TEST"));
	unsetenv("MQMAIL_TEST");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, svc_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(values),
		TEST(named_rules),
		TEST(what_is_no_file),
		TEST(choice_of_queues),
		cmocka_unit_test(the_environment_is_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
