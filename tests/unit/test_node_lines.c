/* SPDX-License-Identifier: ISC */
/* adminsrv/node_lines.c: a domain's lines in the node's files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "adminsrv/node_lines.h"
#include "base/buf.h"
#include "tests/unit/folder.h"

static struct home *home;

static int
set_up(void **state)
{
	if (folder_setup(state) != 0)
		return -1;
	home = home_at(folder);
	return file_make_dirs(home->control, 0755, NULL) |
	    file_make_dirs(home->users, 0755, NULL);
}

static int
tear_down(void **state)
{
	home_free(&home);
	return folder_teardown(state);
}

static void
put(const char *name, const char *text)
{
	folder_write(name, text, strlen(text));
}

static void
assert_file(const char *name, const char *wanted)
{
	struct buf text;
	int found;

	buf_init(&text);
	found = file_read(folder_path(name), 1 << 20, &text, NULL);
	if ((found == 1) != (wanted != NULL) ||
	    (found == 1 && strcmp(text.data, wanted) != 0))
		fail_msg("%s: got '%s', wanted '%s'", name, text.data,
		    wanted == NULL ? "no file" : wanted);
	buf_release(&text);
}

static struct node_state
read_state(const char *domain)
{
	struct node_state result;
	struct error err;

	if (node_state_read(home, domain, &result, &err) == -1)
		fail_msg("%s", err.text);
	return result;
}

static void
says_nothing_of_a_new_name(void **unused)
{
	struct node_state state = read_state("a.test");

	(void)unused;
	assert_null(state.assign_user);
	assert_null(state.virtual_to);
	assert_false(state.is_in_cdb);
	assert_false(state.is_in_rcpthosts);
	assert_false(state.is_in_locals);
	node_state_release(&state);
}

static void
adds_and_removes_every_line(void **unused)
{
	struct node_state state;

	(void)unused;
	put("control/rcpthosts", "b.test\n");
	put("control/locals", "b.test\nA.test\n");
	assert_int_equal(node_lines_add_assign(
			     home, "a.test", "a.test", 7, 8, "/d/a.test", NULL),
	    0);
	assert_int_equal(node_lines_add_virtual(home, "a.test", NULL), 0);
	assert_int_equal(node_lines_remove_local(home, "a.test", NULL), 0);
	assert_int_equal(node_lines_add_rcpthost(home, "a.test", NULL), 0);
	assert_file("users/assign", "+a.test-:a.test:7:8:/d/a.test:-::\n.\n");
	assert_file("control/virtualdomains", "a.test:a.test\n");
	assert_file("control/locals", "b.test\n");
	assert_file("control/rcpthosts", "b.test\na.test\n");
	state = read_state("a.test");
	assert_string_equal(state.assign_user, "a.test");
	assert_string_equal(state.assign_dir, "/d/a.test");
	assert_string_equal(state.virtual_to, "a.test");
	assert_int_equal(state.assign_uid, 7);
	assert_int_equal(state.assign_gid, 8);
	assert_true(state.is_in_cdb);
	assert_true(state.is_in_rcpthosts);
	assert_false(state.is_in_locals);
	node_state_release(&state);

	/* Once more changes nothing. */
	assert_int_equal(node_lines_add_virtual(home, "a.test", NULL), 0);
	assert_int_equal(node_lines_add_rcpthost(home, "a.test", NULL), 0);
	assert_file("control/virtualdomains", "a.test:a.test\n");
	assert_file("control/rcpthosts", "b.test\na.test\n");

	assert_int_equal(node_lines_remove_rcpthost(home, "a.test", NULL), 0);
	assert_int_equal(node_lines_remove_virtual(home, "a.test", NULL), 0);
	assert_int_equal(node_lines_remove_assign(home, "a.test", NULL), 0);
	assert_file("users/assign", ".\n");
	assert_file("control/virtualdomains", "");
	assert_file("control/rcpthosts", "b.test\n");
	state = read_state("a.test");
	assert_false(state.is_in_cdb);
	node_state_release(&state);
}

/* The text changed and the cdb not yet: a run was killed between the two. */
static void
notices_a_cdb_that_lags_behind(void **unused)
{
	struct node_state state;

	(void)unused;
	assert_int_equal(node_lines_add_assign(
			     home, "a.test", "a.test", 7, 8, "/d/a.test", NULL),
	    0);
	put("users/assign",
	    "+b.test-:b.test:7:8:/d/b.test:-::\n"
	    "+a.test-:a.test:7:8:/d/elsewhere:-::\n.\n");
	state = read_state("b.test");
	assert_string_equal(state.assign_user, "b.test");
	assert_false(state.is_in_cdb);
	node_state_release(&state);
	state = read_state("a.test");
	assert_false(state.is_in_cdb);
	node_state_release(&state);
}

static void
me_is_local_until_locals_says_otherwise(void **unused)
{
	struct node_state state;

	(void)unused;
	put("control/me", "Mail.test \n");
	state = read_state("mail.test");
	assert_true(state.is_in_locals);
	node_state_release(&state);
	assert_int_equal(node_lines_remove_local(home, "other.test", NULL), 0);
	assert_file("control/locals", NULL);
	assert_int_equal(node_lines_remove_local(home, "mail.test", NULL), 0);
	assert_file("control/locals", "");
	state = read_state("mail.test");
	assert_false(state.is_in_locals);
	node_state_release(&state);
}

static void
finds_aliases(void **unused)
{
	struct strlist aliases = { .items = NULL };

	(void)unused;
	put("users/assign",
	    "+a.test-:a.test:7:8:/d/a.test:-::\n"
	    "+x.test-:a.test:7:8:/d/a.test:-::\n"
	    "+b.test-:b.test:7:8:/d/b.test:-::\n"
	    "=a.test-joe:a.test:7:8:/d/a.test:::\n"
	    "# +no.test-:a.test:7:8:/d/a.test:-::\n"
	    "+y.test-:a.test:7:8:/d/a.test:-::\n.\n");
	assert_int_equal(node_lines_aliases(home, "a.test", &aliases, NULL), 0);
	assert_int_equal(aliases.count, 2);
	assert_string_equal(aliases.items[0], "x.test");
	assert_string_equal(aliases.items[1], "y.test");
	strlist_release(&aliases);
}

static void
names_a_bad_line(void **unused)
{
	struct node_state state;
	struct error err = { "" };

	(void)unused;
	put("users/assign", "+a.test-:a.test:x:8:/d/a.test:-::\n.\n");
	assert_int_equal(node_state_read(home, "a.test", &state, &err), -1);
	assert_non_null(strstr(err.text, "users/assign"));
	assert_non_null(strstr(err.text, "a.test"));
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(says_nothing_of_a_new_name),
		TEST(adds_and_removes_every_line),
		TEST(notices_a_cdb_that_lags_behind),
		TEST(me_is_local_until_locals_says_otherwise),
		TEST(finds_aliases),
		TEST(names_a_bad_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
