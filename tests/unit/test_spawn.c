/* SPDX-License-Identifier: ISC */
/* Tests of svctool/run/spawn.c. */
#include "svctool/run/spawn.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/capture.h"
#include "tests/unit/folder.h"

static void
how_it_ended(void **state)
{
	static const struct {
		const char *script;
		const char *reason; /* NULL: none */
	} rows[] = {
		{ "exit 0", NULL },
		{ "exit 1", "'sh' failed with exit code 1" },
		{ "exit 111", "'sh' failed with exit code 111" },
		{ "kill -TERM $$", "'sh' was killed by signal 15" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *argv[] = { "sh", "-c", rows[i].script, NULL };
		struct error err = { "" };
		int result = spawn_wait(argv, NULL, &err);

		if (result != (rows[i].reason == NULL ? 0 : -1) ||
		    (rows[i].reason != NULL &&
			strcmp(err.text, rows[i].reason) != 0))
			fail_msg("'%s': got %d '%s'", rows[i].script, result,
			    err.text);
	}
}

static void
what_cannot_be_run(void **state)
{
	const char *argv[] = { "/nonexistent/program", NULL };
	struct error err = { "" };

	(void)state;
	assert_int_equal(spawn_wait(argv, NULL, &err), -1);
	assert_string_equal(err.text,
	    "cannot run '/nonexistent/program': No such file or directory");
	assert_int_equal(spawn_wait(argv, NULL, NULL), -1);
	argv[0] = "mqmail-no-such-program";
	assert_int_equal(spawn_wait(argv, "/dev/null", &err), -1);
}

/* Arguments are words, whatever is in them. */
static void
input_and_output(void **state)
{
	const char *count[] = { "sh", "-c", "test \"$(cat)\" = \"$1\"", "sh",
		"a $(false) 'b'", NULL };
	const char *talk[] = { "sh", "-c", "echo said", NULL };
	struct capture capture;
	struct error err = { "" };
	int filtered, waited;
	char *said;

	(void)state;
	folder_write("in", "a $(false) 'b'\n", 15);
	if (spawn_wait(count, folder_path("in"), &err) == -1)
		fail_msg("%s", err.text);
	folder_write("in", "other\n", 6);
	assert_int_equal(spawn_wait(count, folder_path("in"), &err), -1);
	assert_int_equal(spawn_wait(count, folder_path("none"), &err), -1);
	capture = capture_begin(1);
	filtered = spawn_wait(talk, "/dev/null", &err);
	waited = spawn_wait(talk, NULL, &err);
	said = capture_end(&capture);
	assert_int_equal(filtered, 0);
	assert_int_equal(waited, 0);
	assert_string_equal(said, "said\n");
	free(said);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(how_it_ended),
		cmocka_unit_test(what_cannot_be_run),
		cmocka_unit_test(input_and_output),
	};

	return cmocka_run_group_tests(tests, folder_setup, folder_teardown);
}
