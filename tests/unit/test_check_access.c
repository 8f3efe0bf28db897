/* SPDX-License-Identifier: ISC */
/* Tests of svctool/check/access.c, with the tcprules that operators use. */
#include "svctool/check/access.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/check_node.h"

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
expect(const char *name, const char *wanted)
{
	struct check check = check_begin();

	check_access(&check);
	check_expect(&check, name, wanted);
	check_release(&check);
}

static void
rules_that_never_count(void **state)
{
	(void)state;
	expect("no rules", "");
	put_rules("tcp.smtp",
	    "# all\n127.0.0.1:allow,RELAYCLIENT=\"\"\n10.:allow\n"
	    "172.16-31.:allow\n192.0.2.16-31:deny\n:allow\n");
	expect("good ones", "");
	put_rules("tcp.smtp",
	    "# ours\n10.0.0.0/8:allow,RELAYCLIENT=\"\"\n10:deny\n:allow\n");
	expect("networks",
	    "E ~/control/tcp.smtp:2: rule '10.0.0.0/8' is for no address that "
	    "there can be, so it never counts -- tcprules has prefixes and "
	    "ranges in place of '/': write '10.:', then run tcprules\n"
	    "E ~/control/tcp.smtp:3: rule '10' is for no address that there "
	    "can be, so it never counts -- write an address in full, or its "
	    "begin with a dot behind it\n");
	remove(folder_path("control/tcp.smtp"));
	put_rules("other", "=mail.test:allow\n:allow\n");
	svc_put("service/qmail-smtpd.25/variables/LISTEN", "0:25\n");
	svc_put("service/qmail-smtpd.25/variables/TCPRULES",
	    folder_path("control/other.cdb"));
	expect("of a listener alone",
	    "W ~/control/other:1: rule '=mail.test' is for a name, which "
	    "listeners do not look up\n");
	svc_put("service/qmail-smtpd.26/variables/LISTEN", "0:26\n");
	expect("and the node's",
	    "W ~/control/other:1\n"
	    "E ~/control/tcp.smtp.cdb: rule '10\n"
	    "E ~/control/tcp.smtp.cdb: rule '10\n");
}

/* Each suggestion is for the same addresses. */
static void
suggestions(void **state)
{
	static const struct {
		const char *key, *wanted; /* NULL: none */
	} rows[] = {
		{ "10.0.0.0/8", "10." },
		{ "10.1.2.3/8", "10." },
		{ "192.168.0.0/16", "192.168." },
		{ "192.0.2.0/24", "192.0.2." },
		{ "192.0.2.7/32", "192.0.2.7" },
		{ "172.16.0.0/12", "172.16-31." },
		{ "192.0.2.16/28", "192.0.2.16-31" },
		{ "192.0.2.9/31", "192.0.2.8-9" },
		{ "128.0.0.0/1", "128-255." },
		{ "0.0.0.0/0", "" },
		{ "10.0.0.0/33", NULL },
		{ "10.0.0/8", NULL },
		{ "10.0.0.0/", NULL },
		{ "10.0.0.0", NULL },
		{ "x/8", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char got[64] = "", rule[80];
		bool is_any = check_access_suggest(
		    rows[i].key, got, sizeof(got));

		if (is_any != (rows[i].wanted != NULL) ||
		    (is_any && strcmp(got, rows[i].wanted) != 0))
			fail_msg("%s: '%s'", rows[i].key, got);
		if (!is_any)
			continue;
		snprintf(rule, sizeof(rule), "%s:deny\n", got);
		put_rules("tcp.smtp", rule);
		expect(rows[i].key, "");
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		SVC_TEST(rules_that_never_count),
		SVC_TEST(suggestions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
