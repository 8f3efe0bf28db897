/* SPDX-License-Identifier: ISC */
/* Tests of init_rules() in svctool/init/control.c, with tcprules(1). */
#include "svctool/init/init.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/vars.h"
#include "smtp/rules.h"
#include "tests/unit/capture.h"
#include "tests/unit/svc_node.h"

static int
make(struct maker *maker, const struct init_options *options, struct error *err)
{
	struct capture capture = capture_begin(1);
	int result = init_rules(maker, options, err);

	free(capture_end(&capture));
	return result;
}

/* 1 and what the rule says of RELAYCLIENT ("-": unset), as qmail-smtpd asks. */
static const char *
relay_of(const char *ip)
{
	static char value[16];
	struct smtp_rules *rules;
	struct vars vars = VARS_INIT;
	struct error err;

	rules = smtp_rules_new(
	    folder_path("control/tcp.smtp.cdb"), true, 0, &err);
	assert_non_null(rules);
	unsetenv("RELAYCLIENT");
	assert_int_equal(smtp_rules_check(rules, ip, &vars, &err), 1);
	snprintf(value, sizeof(value), "%s",
	    vars_get(&vars, "RELAYCLIENT") != NULL
		? vars_get(&vars, "RELAYCLIENT")
		: "-");
	vars_release(&vars);
	smtp_rules_free(&rules);
	return value;
}

static void
who_may_relay(void **state)
{
	struct init_options options = { .queues = 1 };
	struct maker maker = { .node = node };
	struct error err = { "" };

	(void)state;
	strlist_add(&options.relay, "127.");
	strlist_add(&options.relay, "192.0.2.7");
	if (make(&maker, &options, &err) == -1)
		fail_msg("%s", err.text);
	strlist_release(&options.relay);
	assert_string_equal(relay_of("127.0.0.1"), "");
	assert_string_equal(relay_of("192.0.2.7"), "");
	assert_string_equal(relay_of("192.0.2.70"), "-");
	assert_string_equal(relay_of("192.0.2.8"), "-");
	assert_string_equal(relay_of("::1"), "-");
	assert_int_equal(maker.made, 2);
}

/* Nobody but who is named: not even loopback. */
static void
nobody_by_default(void **state)
{
	const struct init_options options = { .queues = 1 };
	struct init_options other = { .queues = 1 };
	struct maker maker = { .node = node };
	struct error err = { "" };

	(void)state;
	assert_int_equal(make(&maker, &options, &err), 0);
	assert_string_equal(relay_of("127.0.0.1"), "-");
	/* Run again, it leaves the operator's rules alone. */
	strlist_add(&other.relay, "127.");
	assert_int_equal(make(&maker, &other, &err), 0);
	strlist_release(&other.relay);
	assert_string_equal(relay_of("127.0.0.1"), "-");
	assert_int_equal(maker.made, 2);
	assert_int_equal(maker.kept, 2);
	/* Only the cdb is missing: from the rules as they are now. */
	svc_put("control/tcp.smtp", ":allow,RELAYCLIENT=\"x\"\n");
	remove(folder_path("control/tcp.smtp.cdb"));
	assert_int_equal(make(&maker, &options, &err), 0);
	assert_string_equal(relay_of("127.0.0.1"), "x");
}

static void
bad_rules_are_said(void **state)
{
	const struct init_options options = { .queues = 1 };
	struct maker maker = { .node = node };
	struct capture capture;
	struct error err = { "" };
	int result;

	(void)state;
	svc_put("control/tcp.smtp", "127.:nonsense\n");
	capture = capture_begin(2); /* tcprules' own words */
	result = make(&maker, &options, &err);
	free(capture_end(&capture));
	assert_int_equal(result, -1);
	assert_non_null(strstr(err.text, "cannot compile '"));
	assert_false(svc_has("control/tcp.smtp.cdb"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		SVC_TEST(who_may_relay),
		SVC_TEST(nobody_by_default),
		SVC_TEST(bad_rules_are_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
