/* SPDX-License-Identifier: ISC */
/* Tests of svctool/check/rules.c. */
#include "svctool/check/variable.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "control/cdbmap.h"
#include "tests/unit/check_node.h"

#define TEXT(bytes) bytes, sizeof(bytes) - 1

static void
expect(const char *name, const char *wanted)
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
	expect("no file", "");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		svc_put("control/from.envrules", rows[i].text);
		expect(rows[i].text, rows[i].wanted);
	}
	remove(folder_path("control/from.envrules"));
	svc_put("control/domainqueue", "a.test:DATABYTES=x\n");
	expect("domainqueue", "E ~/control/domainqueue:1: rule 'a.test'\n");
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

#define DAMAGED                                                        \
	"E ~/control/tcp.smtp.cdb: rule '192.0.2.' is damaged -- run " \
	"tcprules again\n"

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
		expect(rows[i].name, rows[i].wanted);
	}
	svc_put("control/tcp.smtp.cdb", "no cdb");
	expect("no cdb",
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		SVC_TEST(envrules),
		SVC_TEST(used_queues),
		SVC_TEST(access_rules),
		SVC_TEST(many_faults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
