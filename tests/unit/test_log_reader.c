/* SPDX-License-Identifier: ISC */
/* Tests of svctool/show/log_reader.c. */
#include "svctool/show/log_reader.h"

#include <string.h>

#include "svctool/show/log_time.h"
#include "tests/unit/log_folder.h"

static const struct timespec always = { .tv_sec = 0 };
static struct log_reader *reader;

static void
open_reader(const struct timespec *since, bool is_following)
{
	char *folder = xasprintf("%s/s", log_root);

	reader = log_reader_new(folder, since, is_following);
	free(folder);
}

/* Its lines, up to the last that is there, are these. */
static void
expect(const char *const *wanted)
{
	struct log_entry entry;
	struct error err;

	for (; *wanted != NULL; wanted++) {
		assert_int_equal(log_reader_next(reader, &entry, &err), 1);
		assert_string_equal(entry.text, *wanted);
	}
	assert_int_equal(log_reader_next(reader, &entry, &err), 0);
}

#define EXPECT(...) expect((const char *const[]){ __VA_ARGS__, NULL })
#define EXPECT_NONE() expect((const char *const[]){ NULL })

static void
in_order(void **state)
{
	(void)state;
	log_folder_put("s", T("05") ".s", T("03") " c\n" T("04") " d\n");
	log_folder_put("s", T("02") ".u", T("01") " a\n" T("02") " b, unfin");
	log_folder_put("s", "current", T("05") " e\nf\n" T("06") " g");
	log_folder_put("s", "state", "x\n");
	log_folder_put("s", "@x.s", "x\n");
	open_reader(&always, false);
	EXPECT("a", "b, unfin", "c", "d", "e", "f", "g");
	log_reader_free(&reader);
}

/* What ended before is not opened. */
static void
since(void **state)
{
	struct timespec from;

	(void)state;
	log_folder_put("s", T("02") ".s", T("01") " a\n");
	log_folder_put("s", T("05") ".s", T("03") " b\n" T("05") " c\n");
	log_folder_put("s", "current", T("06") " d\n");
	assert_true(tai64n_read(T("04"), TAI64N_LENGTH, &from));
	open_reader(&from, false);
	EXPECT("b", "c", "d");
	log_reader_free(&reader);
}

static void
none(void **state)
{
	struct log_entry entry;
	struct error err;

	(void)state;
	log_folder_put("s", "lock", "");
	open_reader(&always, true);
	EXPECT_NONE();
	log_folder_put("s", "current", T("01") " a\n");
	EXPECT("a");
	log_reader_free(&reader);

	reader = log_reader_new("/nonexistent", &always, false);
	assert_int_equal(log_reader_next(reader, &entry, &err), -1);
	log_reader_free(&reader);
}

/* Of a file that is put aside while it is read, and of those behind it. */
static void
rotated(void **state)
{
	(void)state;
	log_folder_put("s", "current", T("01") " a\n" T("01") " be");
	open_reader(&always, true);
	EXPECT("a");
	log_folder_put("s", "current", "gun\n" T("02") " c\n");
	log_folder_rotate("s", T("03") ".s");
	EXPECT("begun", "c");
	log_folder_put("s", "current", T("04") " d\n");
	log_folder_rotate("s", T("05") ".s");
	log_folder_put("s", "current", T("06") " e\n");
	log_folder_rotate("s", T("07") ".s");
	log_folder_put("s", "current", T("08") " f\n");
	EXPECT("d", "e", "f");
	EXPECT_NONE();
	log_reader_free(&reader);
}

/*
 * multilog first calls the full one previous, begins a new one, and only then
 * gives the full one its name.
 */
static void
renamed_twice(void **state)
{
	(void)state;
	log_folder_put("s", "current", T("01") " a\n");
	open_reader(&always, true);
	EXPECT("a");
	log_folder_put("s", "current", T("02") " b\n");
	log_folder_rotate("s", "previous");
	EXPECT("b");
	log_folder_put("s", "current", T("02") " c\n");
	EXPECT("c");
	log_folder_rename("s", "previous", T("03") ".s");
	EXPECT_NONE();
	log_folder_rotate("s", "previous");
	EXPECT_NONE();
	log_folder_rename("s", "previous", T("04") ".s");
	log_folder_put("s", "current", T("05") " d\n");
	log_folder_rotate("s", "previous");
	log_folder_put("s", "current", T("06") " e\n");
	EXPECT("d", "e");
	log_folder_rename("s", "previous", T("07") ".s");
	EXPECT_NONE();
	log_reader_free(&reader);

	open_reader(&always, false);
	EXPECT("a", "b", "c", "d", "e");
	log_reader_free(&reader);
}

/* multilog keeps so many files, and removes those before them. */
static void
removed(void **state)
{
	char *path = xasprintf("%s/s/" T("03") ".s", log_root);

	(void)state;
	log_folder_put("s", "current", T("01") " a\n");
	open_reader(&always, true);
	EXPECT("a");
	log_folder_rotate("s", T("03") ".s");
	log_folder_put("s", "current", T("04") " b\n");
	log_folder_rotate("s", T("05") ".s");
	log_folder_put("s", "current", T("06") " c\n");
	assert_int_equal(unlink(path), 0);
	EXPECT("b", "c");
	log_reader_free(&reader);
	free(path);
}

/* What no daemon of ours writes, but another program may have. */
static void
hostile(void **state)
{
	(void)state;
	log_folder_put("s", "current",
	    T("01") " a\033[2Jb\r\302\233\342\200\256\377c\n\n" T("02") "\n");
	open_reader(&always, false);
	EXPECT("a?[2Jb????c", "", "");
	log_reader_free(&reader);
}

static void
long_lines(void **state)
{
	size_t length = 200 * 1024;
	struct log_entry entry;
	struct error err;
	char *line = xmalloc(length + 2);

	(void)state;
	memset(line, 'x', length);
	memcpy(line, T("01") " ", TAI64N_LENGTH + 1);
	line[length] = '\n';
	line[length + 1] = '\0';
	log_folder_put("s", "current", line);
	log_folder_put("s", "current", T("02") " next\n");
	open_reader(&always, false);
	assert_int_equal(log_reader_next(reader, &entry, &err), 1);
	assert_int_equal(strlen(entry.text), 64 * 1024 - TAI64N_LENGTH - 1);
	EXPECT("next");
	log_reader_free(&reader);
	free(line);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    in_order, log_folder_begin, log_folder_end),
		cmocka_unit_test_setup_teardown(
		    since, log_folder_begin, log_folder_end),
		cmocka_unit_test_setup_teardown(
		    none, log_folder_begin, log_folder_end),
		cmocka_unit_test_setup_teardown(
		    rotated, log_folder_begin, log_folder_end),
		cmocka_unit_test_setup_teardown(
		    renamed_twice, log_folder_begin, log_folder_end),
		cmocka_unit_test_setup_teardown(
		    removed, log_folder_begin, log_folder_end),
		cmocka_unit_test_setup_teardown(
		    hostile, log_folder_begin, log_folder_end),
		cmocka_unit_test_setup_teardown(
		    long_lines, log_folder_begin, log_folder_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
