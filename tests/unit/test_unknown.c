/* SPDX-License-Identifier: ISC */
/* Tests of control/unknown.c. */
#include "control/showctl.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "tests/unit/folder.h"

static void
only_what_no_program_reads(void **state)
{
	static const char *const files[] = {
		/* known */
		"me",
		"databytes",
		"from.envrules",
		"morercpthosts",
		"morercpthosts.cdb",
		"tcp.smtp",
		"tcp.smtp.cdb",
		"holdlocal.queue1",
		"concurrencyl.queue2",
		"concurrencyr.slowq",
		"locals~",
		".hidden",
		/* not */
		"databyte",
		"databytes.queue1",
		"holdlocal.",
		"concurrencyl",
		"ME",
		"zzz",
	};
	struct error err = { "" };
	struct buf got = BUF_INIT;
	struct strlist names;

	(void)state;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		folder_write(files[i], "", 0);
	assert_int_equal(mkdir(folder_path("folder"), 0755), 0);
	assert_int_equal(showctl_find_unknown(folder, &names, &err), 0);
	for (size_t i = 0; i < names.count; i++)
		buf_addf(&got, "%s|", names.items[i]);
	strlist_release(&names);
	assert_string_equal(got.data,
	    "ME|concurrencyl|databyte|"
	    "databytes.queue1|holdlocal.|zzz|");
	buf_release(&got);
}

static void
nothing_unknown_and_no_folder(void **state)
{
	struct error err = { "" };
	struct strlist names;

	(void)state;
	assert_int_equal(showctl_find_unknown(folder, &names, &err), 0);
	assert_int_equal(names.count, 0);
	assert_int_equal(
	    showctl_find_unknown(folder_path("none"), &names, &err), -1);
	assert_non_null(strstr(err.text, "cannot open folder '"));
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, folder_setup, folder_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(only_what_no_program_reads),
		TEST(nothing_unknown_and_no_folder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
