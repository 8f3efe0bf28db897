/* SPDX-License-Identifier: ISC */
/* Tests of svctool/make.c. */
#include "svctool/make.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"

struct fixture {
	char folder[32];
	struct node *node;
};

static int
set_up(void **state)
{
	struct fixture *fixture = test_calloc(1, sizeof(*fixture));
	struct error err;

	snprintf(
	    fixture->folder, sizeof(fixture->folder), "/tmp/test_make.XXXXXX");
	assert_non_null(mkdtemp(fixture->folder));
	fixture->node = node_new("/n", fixture->folder, &err);
	assert_non_null(fixture->node);
	*state = fixture;
	return 0;
}

static int
tear_down(void **state)
{
	struct fixture *fixture = *state;
	struct error err;

	node_free(&fixture->node);
	assert_int_equal(file_remove_tree(fixture->folder, &err), 0);
	test_free(fixture);
	return 0;
}

/* The content of a file below the fixture's folder. */
static void
assert_content(
    const struct fixture *fixture, const char *path, const char *wanted)
{
	char *real = node_path(fixture->node, "%s", path);
	struct buf buf;
	struct error err;

	buf_init(&buf);
	assert_int_equal(file_read(real, 1000, &buf, &err), 1);
	assert_string_equal(buf.data, wanted);
	buf_release(&buf);
	free(real);
}

static mode_t
mode_of(const struct fixture *fixture, const char *path)
{
	char *real = node_path(fixture->node, "%s", path);
	struct stat st;

	assert_int_equal(stat(real, &st), 0);
	free(real);
	return st.st_mode & 07777;
}

static void
files(void **state)
{
	struct fixture *fixture = *state;
	struct maker maker = { .node = fixture->node };
	struct error err;

	assert_int_equal(
	    make_folder(&maker, LAYOUT_queue_mess, "/n/a/b", &err), 0);
	assert_int_equal(mode_of(fixture, "/n/a/b"), 0700);
	assert_int_equal(
	    make_file(&maker, LAYOUT_servercert, "/n/a/b/c", "one\n", &err), 0);
	assert_int_equal(mode_of(fixture, "/n/a/b/c"), 0640);
	assert_int_equal(maker.made, 2);

	/* What is there stays. */
	assert_int_equal(
	    make_folder(&maker, LAYOUT_queue_mess, "/n/a/b", &err), 0);
	assert_int_equal(
	    make_file(&maker, LAYOUT_setting, "/n/a/b/c", "two\n", &err), 0);
	assert_content(fixture, "/n/a/b/c", "one\n");
	assert_int_equal(mode_of(fixture, "/n/a/b"), 0700);
	assert_int_equal(maker.made, 2);
	assert_int_equal(maker.kept, 2);

	/* Unless it is to be replaced. */
	assert_int_equal(
	    make_file_again(&maker, LAYOUT_setting, "/n/a/b/c", "one\n", &err),
	    0);
	assert_int_equal(maker.made, 2);
	assert_int_equal(
	    make_file_again(&maker, LAYOUT_setting, "/n/a/b/c", "two\n", &err),
	    0);
	assert_content(fixture, "/n/a/b/c", "two\n");
	assert_int_equal(maker.made, 3);
}

static void
a_file_where_a_folder_should_be(void **state)
{
	struct fixture *fixture = *state;
	struct maker maker = { .node = fixture->node };
	struct error err;

	assert_int_equal(make_folder(&maker, LAYOUT_queue_mess, "/n", &err), 0);
	assert_int_equal(
	    make_file(&maker, LAYOUT_setting, "/n/x", "", &err), 0);
	assert_int_equal(
	    make_folder(&maker, LAYOUT_queue_mess, "/n/x", &err), -1);
	assert_non_null(strstr(err.text, "is not a folder"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(files, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    a_file_where_a_folder_should_be, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
