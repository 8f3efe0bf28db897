/* SPDX-License-Identifier: ISC */
/* Tests of svctool/show/log_merge.c. */
#include "svctool/show/log_merge.h"

#include <string.h>

#include "tests/unit/log_folder.h"

static const struct timespec always = { .tv_sec = 0 };
static struct log_merge *merge;

static struct log_merge *
open_merge(const char *name, bool is_following, struct error *err)
{
	struct strlist names = { .count = 0 };
	struct log_merge *made;

	if (name != NULL)
		strlist_add(&names, name);
	made = log_merge_new(log_root, &names, &always, is_following, err);
	strlist_release(&names);
	return made;
}

/* Its lines, up to the last that is there, are these: "service text". */
static void
expect(const char *const *wanted)
{
	struct log_entry entry;
	const char *service;
	struct error err;

	for (; *wanted != NULL; wanted++) {
		char *text;

		assert_int_equal(
		    log_merge_next(merge, &service, &entry, &err), 1);
		text = xasprintf("%s %s", service, entry.text);
		assert_string_equal(text, *wanted);
		free(text);
	}
	assert_int_equal(log_merge_next(merge, &service, &entry, &err), 0);
}

#define EXPECT(...) expect((const char *const[]){ __VA_ARGS__, NULL })

static void
put_logs(void)
{
	log_folder_put("a", T("03") ".s", T("01") " 1\n" T("03") " 3\n");
	log_folder_put("a", "current", T("06") " 6\n");
	log_folder_put("b", "current", T("02") " 2\n" T("04") " 4\n");
	log_folder_put("c", "current", "");
	log_folder_put("d", "current", T("05") " 5\n" T("07") " 7\n");
	log_folder_put(".", "svscan.log", "no folder of multilog's\n");
}

static void
all(void **state)
{
	struct error err;

	(void)state;
	put_logs();
	merge = open_merge(NULL, false, &err);
	assert_non_null(merge);
	EXPECT("a 1", "b 2", "a 3", "b 4", "d 5", "a 6", "d 7");
	log_merge_free(&merge);
}

static void
named(void **state)
{
	struct error err;

	(void)state;
	put_logs();
	merge = open_merge("b", false, &err);
	assert_non_null(merge);
	EXPECT("b 2", "b 4");
	log_merge_free(&merge);
	assert_null(open_merge("e", false, &err));
	assert_non_null(strstr(err.text, "there is no log 'e'"));
}

static void
followed(void **state)
{
	struct error err;

	(void)state;
	put_logs();
	merge = open_merge(NULL, true, &err);
	assert_non_null(merge);
	EXPECT("a 1", "b 2", "a 3", "b 4", "d 5", "a 6", "d 7");
	log_folder_put("b", "current", T("09") " 9\n");
	log_folder_rotate("b", T("09") ".s");
	log_folder_put("b", "current", T("11") " 11\n");
	log_folder_put("a", "current", T("10") " 10\n");
	assert_int_equal(log_merge_wait(merge, &err), 0);
	EXPECT("b 9", "a 10", "b 11");
	log_folder_put("e", "current", T("12") " new\n");
	assert_int_equal(log_merge_wait(merge, &err), 0);
	EXPECT("e new");
	log_merge_free(&merge);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    all, log_folder_begin, log_folder_end),
		cmocka_unit_test_setup_teardown(
		    named, log_folder_begin, log_folder_end),
		cmocka_unit_test_setup_teardown(
		    followed, log_folder_begin, log_folder_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
