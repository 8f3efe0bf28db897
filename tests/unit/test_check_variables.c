/* SPDX-License-Identifier: ISC */
/* Tests of svctool/check/variables.c, with the tcprules that operators use. */
#include "svctool/check/variable.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/check_node.h"
#include "control/cdbmap.h"

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

#define TEXT(bytes) bytes, sizeof(bytes) - 1

static void
expect_of_rules(const char *name, const char *wanted)
{
	struct check check = check_begin();

	check_rules(&check);
	check_expect(&check, name, wanted);
	check_release(&check);
}

static void
envrules(void **state)
{
	static const struct {
		const char *text, *wanted;
	} rows[] = {
		{ "", "" },
		{ "# all\n*@a.test:DATABYTES=10,MAXRECIPIENTS=2\n", "" },
		{ "*@a.test:DATABYTES=\n", "" }, /* none, in a session */
		{ "*@a.test:DATABYTES=many\n",
		    "E ~/control/from.envrules:1: rule '*@a.test': DATABYTES: "
		    "'many' is not a number of bytes -- write a whole\n" },
		{ "\n*@a.test:X=y\n*@b.test:MAX_RCPT_ERRCOUNT=x\n",
		    "E ~/control/from.envrules:3: rule '*@b.test': "
		    "MAX_RCPT_ERRCOUNT: 'x' is no number\n" },
		{ "*@a.test:QUEUEDIR=/none/q\n",
		    "E ~/control/from.envrules:1: rule '*@a.test': it names "
		    "the queue '/none/q', which does not exist\n" },
		{ "a.test\n", "E ~/control/from.envrules:1: \n" },
		{ "a.test\n*@b.test:DATABYTES=x\nb.test\n",
		    "E ~/control/from.envrules:1\n"
		    "E ~/control/from.envrules:2: rule '*@b.test'\n"
		    "E ~/control/from.envrules:3\n" },
	};

	(void)state;
	expect_of_rules("no file", "");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		svc_put("control/from.envrules", rows[i].text);
		expect_of_rules(rows[i].text, rows[i].wanted);
	}
	remove(folder_path("control/from.envrules"));
	svc_put("control/domainqueue", "a.test:DATABYTES=x\n");
	expect_of_rules(
	    "domainqueue", "E ~/control/domainqueue:1: rule 'a.test'\n");
}

/* What a rule counts is a queue in use. */
static void
used_queues(void **state)
{
	struct check check;
	char rule[160];

	(void)state;
	svc_dir("queue/slowq/mess");
	snprintf(rule, sizeof(rule), "*@a.test:QUEUEDIR=%s\n",
	    folder_path("queue/slowq"));
	svc_put("control/from.envrules", rule);
	check = check_begin();
	check_rules(&check);
	check_expect(&check, "there", "");
	assert_int_equal(check.used_queues.count, 1);
	assert_string_equal(
	    check.used_queues.items[0], folder_path("queue/slowq"));
	check_release(&check);
}

static void
put_rule(const char *key, const char *value, size_t length)
{
	struct cdbmap_writer *writer = cdbmap_writer_new(
	    folder_path("control/tcp.smtp.cdb"), NULL);

	assert_non_null(writer);
	assert_int_equal(
	    cdbmap_writer_add(writer, key, strlen(key), value, length, NULL),
	    0);
	assert_int_equal(cdbmap_writer_commit(&writer, NULL), 0);
}

#define DAMAGED "E ~/control/tcp.smtp.cdb: access rule '192.0.2.'\n"

/* As tcprules writes them. */
static void
access_rules(void **state)
{
	static const struct {
		const char *name;
		const char *value;
		size_t length;
		const char *wanted;
	} rows[] = {
		{ "allow", TEXT(""), "" },
		{ "deny", TEXT("D\0"), "" },
		{ "relay", TEXT("+RELAYCLIENT=\0"), "" },
		{ "several", TEXT("+A=b\0+DATABYTES=7\0"), "" },
		{ "a bad value", TEXT("+DATABYTES=x\0"),
		    "E ~/control/tcp.smtp.cdb: rule '192.0.2.': DATABYTES: 'x' "
		    "is not a number of bytes -- write a whole number, for "
		    "example 10485760 in its source, then run tcprules\n" },
		{ "the second", TEXT("D\0+MAXRECIPIENTS=-1\0"),
		    "rule '192.0.2.': MAXRECIPIENTS: \n" },
		{ "no end", TEXT("+A=b"), DAMAGED },
		{ "no equals", TEXT("+A\0"), DAMAGED },
		{ "no name", TEXT("+=b\0"), DAMAGED },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		put_rule("192.0.2.", rows[i].value, rows[i].length);
		expect_of_rules(rows[i].name, rows[i].wanted);
	}
	svc_put("control/tcp.smtp.cdb", "no cdb");
	expect_of_rules("no cdb",
	    "-- make it again from its source: 'tcprules "
	    "~/control/tcp.smtp.cdb ~/control/tcp.smtp.cdb.tmp' with\n");
}

/* Of a hundred bad lines twenty tell enough. */
static void
many_faults(void **state)
{
	struct check check;
	struct buf text;

	(void)state;
	buf_init(&text);
	for (unsigned i = 0; i < 100; i++)
		buf_addf(&text, "bad%u\n", i);
	svc_put("control/from.envrules", text.data);
	buf_release(&text);
	check = check_begin();
	check_rules(&check);
	assert_int_equal(check.count, CHECK_CROWD_MAX + 1);
	assert_string_equal(check.findings[CHECK_CROWD_MAX].text,
	    "80 more of these are not shown");
	check_release(&check);
}

/* Compiles rules, as the node's or under another name. */
static void
put_rules(const char *name, const char *text)
{
	char source[64], command[700];

	snprintf(source, sizeof(source), "control/%s", name);
	svc_put(source, text);
	snprintf(command, sizeof(command),
	    "cd '%s/control' && tcprules %s.cdb x <%s", folder, name, name);
	assert_int_equal(system(command), 0);
}

static void
expect_of_access(const char *name, const char *wanted)
{
	struct check check = check_begin();

	check_rules(&check);
	check_expect(&check, name, wanted);
	check_release(&check);
}

static void
rules_that_never_count(void **state)
{
	struct check check;

	(void)state;
	expect_of_access("no rules", "");
	put_rules("tcp.smtp",
	    "# all\n127.0.0.1:allow,RELAYCLIENT=\"\"\n10.:allow\n"
	    "172.16-31.:allow\n192.0.2.16-31:deny\n:allow\n");
	expect_of_access("good ones", "");
	put_rules("tcp.smtp",
	    "# ours\n10.0.0.0/8:allow,RELAYCLIENT=\"\"\n10:deny\n:allow\n");
	expect_of_access("networks",
	    "E ~/control/tcp.smtp:2: rule '10.0.0.0/8' is for no address that "
	    "there can be, so it never counts -- write an address in full, "
	    "or its begin with a dot behind it\n"
	    "E ~/control/tcp.smtp:3: rule '10' is for no address that there "
	    "can be, so it never counts -- write an address in full, or its "
	    "begin with a dot behind it\n");
	remove(folder_path("control/tcp.smtp"));
	put_rules("other", "=mail.test:allow\n:allow\n");
	svc_put("service/qmail-smtpd.25/variables/LISTEN", "0:25\n");
	svc_put("service/qmail-smtpd.25/variables/TCPRULES",
	    folder_path("control/other.cdb"));
	check = check_begin();
	check_variables(&check);
	check_expect(&check, "of a listener alone",
	    "W ~/control/other:1: rule '=mail.test' is for a name, which "
	    "listeners do not look up\n");
	check_release(&check);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(values),
		TEST(named_rules),
		TEST(what_is_no_file),
		TEST(choice_of_queues),
		cmocka_unit_test(the_environment_is_forgotten),
		SVC_TEST(envrules),
		SVC_TEST(used_queues),
		SVC_TEST(access_rules),
		SVC_TEST(many_faults),
		TEST(rules_that_never_count),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
