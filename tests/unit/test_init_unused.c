/* SPDX-License-Identifier: ISC */
/* Tests of svctool/init/unused.c. */
#include "svctool/init/init.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/capture.h"
#include "tests/unit/svc_node.h"

/* A node of two queues, a listener, and rules. */
static int
set_up(void **state)
{
	if (svc_setup(state) != 0)
		return -1;
	svc_put("control/queue_count", "2\n");
	svc_put("control/tcp.smtp",
	    "# comment\n10.:allow,RELAYCLIENT=\"\"\n:allow\n");
	svc_put("service/qmail-smtpd.25/variables/LISTEN", "0.0.0.0:25\n");
	svc_put("service/qmail-smtpd.465/variables/LISTEN", "[::1]:465\n");
	svc_put("service/qmail-smtpd.465/variables/OPTIONS", "--smtps\n");
	return 0;
}

static struct init_options
no_options(void)
{
	return (struct init_options){
		.queues = INIT_UNSAID, .address = "0.0.0.0", .is_existing = true
	};
}

static void
add(struct strlist *list, const char *text)
{
	strlist_add(list, text);
}

/* Fails unless what is said begins with wanted; "": nothing. */
static void
expect(const char *name, struct init_options *options, const char *wanted)
{
	struct capture capture = capture_begin(1);
	char *got;

	init_say_unused(node, options);
	got = capture_end(&capture);
	if (strncmp(got, wanted, strlen(wanted)) != 0 ||
	    (*wanted == '\0') != (*got == '\0'))
		fail_msg("%s: got '%s', wanted '%s'", name, got, wanted);
	free(got);
	strlist_release(&options->smtp);
	strlist_release(&options->smtps);
	strlist_release(&options->relay);
	*options = no_options();
}

static void
what_the_node_has(void **state)
{
	struct init_options options = no_options();
	char same[] = "M.test", other[] = "new.test";

	(void)state;
	expect("nothing", &options, "");
	options.me = same;
	options.queues = 2;
	options.has_address = true;
	add(&options.smtp, "25");
	add(&options.smtps, "[::1]:465");
	add(&options.relay, "10.");
	expect("what it is", &options, "");
	options.me = other;
	expect("name", &options,
	    "unused   --me new.test: the node keeps the name m.test; to change "
	    "it write it to '");
	options.queues = 1;
	expect("fewer queues", &options,
	    "unused   --queues 1: the node has 2, and keeps them; 'svctool "
	    "queue remove'");
	options.has_address = true;
	options.address = "127.0.0.1";
	expect("address alone", &options,
	    "unused   --address 127.0.0.1: it is for listeners that are made");
	options.has_address = true;
	options.address = "127.0.0.1";
	add(&options.smtp, "2525");
	expect("a new listener", &options, "");
	add(&options.relay, "10.");
	add(&options.relay, "192.168.");
	expect("relay", &options, "unused   --relay 192.168.: '");
	add(&options.relay, "1");
	expect("a part of a rule", &options, "unused   --relay 1: '");
	remove(folder_path("control/tcp.smtp"));
	add(&options.relay, "192.168.");
	expect("rules to be made", &options, "");
}

static void
listeners(void **state)
{
	struct init_options options = no_options();

	(void)state;
	add(&options.smtps, "25");
	expect("another kind", &options,
	    "unused   --smtps 25: the listener qmail-smtpd.25 is there, and "
	    "stays what it is; change LISTEN ('0.0.0.0:25') and OPTIONS ('') "
	    "in '");
	add(&options.smtp, "127.0.0.1:25");
	expect("another address", &options, "unused   --port 127.0.0.1:25: ");
	options.address = "127.0.0.1";
	add(&options.smtp, "25");
	expect("by --address", &options, "unused   --port 25: ");
	svc_put("control/global_vars/SMTPS", "1\n");
	add(&options.smtp, "25");
	expect("a variable of all", &options, "unused   --port 25: ");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, svc_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_the_node_has),
		TEST(listeners),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
