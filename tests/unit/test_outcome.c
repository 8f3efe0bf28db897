/* SPDX-License-Identifier: ISC */
/* Tests of delivery/outcome.c. */
#include "delivery/outcome.h"
#include "delivery/vdeliver_private.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>

static struct job_recipient recipient;

static struct vdeliver vdeliver = { .config = { .domains = "/nonexistent" } };

static struct vdeliver_item
make_item(void)
{
	static struct vdeliver_message message = { .vdeliver = &vdeliver };

	recipient = (struct job_recipient){
		.recipient = "example.test-al@Example.Test",
		.user = "example.test",
		.home = "/h",
		.extension = "al",
	};
	return (struct vdeliver_item){
		.message = &message,
		.to = &recipient,
		.size = 700,
		.quota = { .bytes = 1000, .count = 9 },
	};
}

static void
expect(const char *name, const struct vdeliver_item *item,
    enum job_outcome outcome, const char *text)
{
	if (item->outcome != outcome || strcmp(item->text, text) != 0)
		fail_msg("%s: got '%c' '%s', wanted '%c' '%s'", name,
		    item->outcome, item->text, outcome, text);
}

/* What is said without more: permanent only where we know it for certain. */
static void
plain_outcomes(void **state)
{
	static const struct {
		const char *name;
		void (*make)(struct vdeliver_item *item);
		enum job_outcome outcome;
		const char *text;
	} rows[] = {
		{ "delivered", outcome_delivered, JOB_DELIVERED,
		    "did 1+0+0\n" },
		{ "deleted", outcome_deleted, JOB_DELIVERED,
		    "deleted: no account al@Example.Test here by that name\n" },
		{ "general", outcome_general, JOB_GENERAL,
		    "Address al@Example.Test needs a process of its own. "
		    "(#4.3.5)\n" },
		{ "no account", outcome_no_account, JOB_PERMFAIL,
		    "no account al@Example.Test here by that name. "
		    "(#5.1.1)\n" },
		{ "inactive", outcome_inactive, JOB_PERMFAIL,
		    "account al@Example.Test is inactive. (#5.2.1)\n" },
		{ "locked", outcome_locked, JOB_PERMFAIL,
		    "account al@Example.Test locked/overquota. (#5.2.1)\n" },
		{ "looping", outcome_looping, JOB_PERMFAIL,
		    "This message is looping: it already has my Delivered-To "
		    "line. (#5.4.6)\n" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct vdeliver_item item = make_item();

		rows[i].make(&item);
		expect(rows[i].name, &item, rows[i].outcome, rows[i].text);
	}
}

static void
over_quota(void **state)
{
	const struct quota_usage usage = { .bytes = 600, .count = 3 };
	struct vdeliver_item item = make_item();

	(void)state;
	outcome_over_quota(&item, &usage, false);
	expect("bounced", &item, JOB_PERMFAIL,
	    "account al@Example.Test has insufficient quota. "
	    "700/600/3:9/1000. (bytes of this message/bytes kept/messages "
	    "kept:most messages/most bytes; 0 is no limit) (#5.2.2)\n");
	outcome_over_quota(&item, &usage, true);
	expect("held", &item, JOB_TEMPFAIL,
	    "account al@Example.Test has insufficient quota. "
	    "700/600/3:9/1000. (bytes of this message/bytes kept/messages "
	    "kept:most messages/most bytes; 0 is no limit) (#4.2.2)\n");
}

/* Our trouble is temporary, whatever its number. */
static void
trouble(void **state)
{
	static const struct {
		int number;
		const char *status;
	} rows[] = {
		{ 0, "(#4.3.0)\n" },
		{ EIO, "(#4.3.0)\n" },
		{ ENOENT, "(#4.3.0)\n" },
		{ ENOSPC, "(#4.3.1)\n" },
		{ EDQUOT, "(#4.2.2)\n" },
		{ EXDEV, "(#4.3.5)\n" },
	};
	const struct error err = { "cannot write 'x'" };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct vdeliver_item item = make_item();
		char wanted[128];

		outcome_trouble(&item, rows[i].number, &err);
		snprintf(wanted, sizeof(wanted),
		    "Unable to deliver to al@Example.Test: cannot write 'x'. "
		    "%s",
		    rows[i].status);
		expect("trouble", &item, JOB_TEMPFAIL, wanted);
	}
}

static void
other_trouble(void **state)
{
	const struct error err = { "it ends" };
	struct vdeliver_item item = make_item();

	(void)state;
	outcome_unreadable(&item, &err);
	expect("unreadable", &item, JOB_TEMPFAIL,
	    "Unable to read message: it ends. (#4.3.0)\n");
	outcome_postmaster(&item, "postmaster", true);
	expect("inactive postmaster", &item, JOB_TEMPFAIL,
	    "account postmaster@example.test is inactive, but every domain's "
	    "postmaster gets mail: 'vmoduser -n postmaster@example.test' mends "
	    "it. (#4.2.1)\n");
	outcome_postmaster(&item, "al", false);
	expect("bouncing postmaster", &item, JOB_TEMPFAIL,
	    "account al@example.test is marked to bounce, but every domain's "
	    "postmaster gets mail: 'vmoduser -tb al@example.test' mends it. "
	    "(#4.2.1)\n");
	outcome_no_postmaster(&item);
	expect("absent postmaster", &item, JOB_TEMPFAIL,
	    "there is no account postmaster@example.test, but every domain's "
	    "postmaster gets mail: 'vadduser -n postmaster@example.test' mends "
	    "it. (#4.3.5)\n");
	outcome_bad_home(&item, "/domains");
	expect("bad home", &item, JOB_TEMPFAIL,
	    "Folder '/h' of users/assign is not below '/domains'. (#4.3.5)\n");
}

/* A sender chose these bytes: one line, and it fits. */
static void
addresses_of_strangers(void **state)
{
	static char local[900], domain[900];
	struct vdeliver_item item = make_item();
	struct error err;

	(void)state;
	recipient.extension = "a\nK\001\177\xc3\xa4";
	outcome_no_account(&item);
	expect("control characters", &item, JOB_PERMFAIL,
	    "no account a?K??\xc3\xa4@Example.Test here by that name. "
	    "(#5.1.1)\n");
	memset(local, 'l', sizeof(local) - 1);
	memset(domain, 'd', sizeof(domain) - 1);
	domain[0] = '@';
	memset(err.text, 'e', sizeof(err.text) - 1);
	err.text[sizeof(err.text) - 1] = '\0';
	recipient.extension = local;
	recipient.recipient = domain;
	outcome_trouble(&item, ENOSPC, &err);
	if (strstr(item.text, "eee. (#4.3.1)\n") == NULL ||
	    strlen(item.text) >= sizeof(item.text))
		fail_msg("got '%s'", item.text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_outcomes),
		cmocka_unit_test(over_quota),
		cmocka_unit_test(trouble),
		cmocka_unit_test(other_trouble),
		cmocka_unit_test(addresses_of_strangers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
