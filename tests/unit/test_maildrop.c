/* SPDX-License-Identifier: ISC */
/* pop3/maildrop.c: a Maildir as a session sees it, and others use it. */
#include "pop3/maildrop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/tempdir.h"

static char *root;
static struct budget memory;

static int
set_up(void **state)
{
	(void)state;
	root = tempdir_make();
	memory = (struct budget){ 0 };
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	assert_int_equal(atomic_load(&memory.used), 0);
	tempdir_remove(root);
	return 0;
}

static char *
path_in(const char *name)
{
	return xasprintf("%s/Maildir/%s", root, name);
}

static void
put(const char *name, const char *text)
{
	OWN_TEXT path = path_in(name);

	assert_int_equal(file_replace(path, text, strlen(text), 0600, NULL), 0);
}

static bool
is_there(const char *name)
{
	OWN_TEXT path = path_in(name);

	return access(path, F_OK) == 0;
}

static void
move(const char *from, const char *to)
{
	OWN_TEXT a = path_in(from);
	OWN_TEXT b = path_in(to);

	assert_int_equal(rename(a, b), 0);
}

static void
take_away(const char *name)
{
	OWN_TEXT path = path_in(name);

	assert_int_equal(unlink(path), 0);
}

static void
open_it(struct maildrop *maildrop)
{
	struct error err;

	if (maildrop_open(maildrop, root, &memory, &err) == -1)
		fail_msg("%s", err.text);
}

/* A Maildir with three messages. */
static void
open_three(struct maildrop *maildrop)
{
	open_it(maildrop);
	maildrop_release(maildrop);
	put("new/30.c.host,S=5", "ccccc");
	put("cur/10.a.host,S=3:2,S", "aaa");
	put("cur/20.b.host,S=4,W=6:2,", "bbb\n");
	open_it(maildrop);
	assert_int_equal(maildrop->count, 3);
}

static void
read_it(struct maildrop *maildrop, size_t index, int wanted, const char *text)
{
	struct error err = { "" };
	char data[100];
	int fd, result = maildrop_read(maildrop, index, &fd, &err);
	ssize_t n;

	if (result != wanted)
		fail_msg("%zu: %d %s", index, result, err.text);
	if (result != 1)
		return;
	n = read(fd, data, sizeof(data) - 1);
	assert_true(n >= 0);
	data[n] = '\0';
	assert_string_equal(data, text);
	close(fd);
}

static void
test_messages_in_order_of_arrival(void **state)
{
	static const struct {
		const char *uid, *text;
		uint64_t size_bytes;
	} wanted[] = {
		{ "10.a.host,S=3", "aaa", 3 },
		{ "20.b.host,S=4,W=6", "bbb\n", 6 },
		{ "30.c.host,S=5", "ccccc", 5 },
	};
	struct maildrop maildrop;

	(void)state;
	open_three(&maildrop);
	assert_int_equal(maildrop.kept_bytes, 14);
	for (size_t i = 0; i < 3; i++) {
		char uid[MAILDROP_UID_SIZE];

		maildrop_uid(&maildrop, i, uid);
		assert_string_equal(uid, wanted[i].uid);
		assert_int_equal(
		    maildrop.items[i].size_bytes, wanted[i].size_bytes);
		read_it(&maildrop, i, 1, wanted[i].text);
	}
	maildrop_release(&maildrop);
}

static void
test_missing_maildir_is_made(void **state)
{
	struct maildrop maildrop;

	(void)state;
	open_it(&maildrop);
	assert_int_equal(maildrop.count, 0);
	assert_true(is_there("cur"));
	maildrop_release(&maildrop);
}

/* Names that are no unique-ids are hashed; what is no message is left out. */
static void
test_strange_names(void **state)
{
	struct maildrop maildrop;
	char uid[MAILDROP_UID_SIZE], again[MAILDROP_UID_SIZE];
	char name[200];

	(void)state;
	open_it(&maildrop);
	maildrop_release(&maildrop);
	put("cur/.hidden", "x");
	put("cur/with blank", "xy");
	memset(name, 'n', sizeof(name));
	snprintf(name, 5, "new/");
	name[4] = 'n';
	name[150] = '\0';
	put(name, "xyz");
	put("new/nodots", "1234");
	{
		OWN_TEXT folder = path_in("new/50.folder");

		assert_int_equal(mkdir(folder, 0700), 0);
	}
	open_it(&maildrop);
	assert_int_equal(maildrop.count, 3);
	assert_int_equal(maildrop.kept_bytes, 9);
	for (size_t i = 0; i < 3; i++) {
		maildrop_uid(&maildrop, i, uid);
		if (strcmp(maildrop.items[i].name, "nodots") == 0)
			assert_string_equal(uid, "nodots");
		else
			assert_int_equal(strspn(uid, "0123456789abcdef"), 64);
		if (strcmp(maildrop.items[i].name, "with blank") == 0)
			snprintf(again, sizeof(again), "%s", uid);
	}
	maildrop_release(&maildrop);
	/* The same when it moves. */
	move("cur/with blank", "new/with blank:2,FS");
	open_it(&maildrop);
	for (size_t i = 0; i < 3; i++) {
		maildrop_uid(&maildrop, i, uid);
		if (strncmp(maildrop.items[i].name, "with", 4) == 0)
			assert_string_equal(uid, again);
	}
	maildrop_release(&maildrop);
}

static void
test_message_that_others_move_is_found(void **state)
{
	struct maildrop maildrop;

	(void)state;
	open_three(&maildrop);
	move("new/30.c.host,S=5", "cur/30.c.host,S=5:2,RS");
	move("cur/10.a.host,S=3:2,S", "cur/10.a.host,S=3:2,FS");
	read_it(&maildrop, 2, 1, "ccccc");
	read_it(&maildrop, 0, 1, "aaa");
	take_away("cur/20.b.host,S=4,W=6:2,");
	read_it(&maildrop, 1, 0, NULL);
	read_it(&maildrop, 1, 0, NULL);
	read_it(&maildrop, 0, 1, "aaa");
	maildrop_release(&maildrop);
}

static void
test_finish(void **state)
{
	struct maildrop maildrop;
	struct error err;
	size_t removed;

	(void)state;
	open_three(&maildrop);
	put("maildirsize", "100S\n12 3\n");
	put("new/40.late.host,S=1", "l");
	maildrop_delete(&maildrop, 0);
	maildrop_delete(&maildrop, 1);
	assert_int_equal(maildrop.kept_count, 1);
	assert_int_equal(maildrop.kept_bytes, 5);
	/* One is elsewhere, one is gone: that is as good as removed. */
	move("cur/10.a.host,S=3:2,S", "cur/10.a.host,S=3:2,ST");
	take_away("cur/20.b.host,S=4,W=6:2,");
	assert_int_equal(maildrop_finish(&maildrop, &removed, &err), 0);
	assert_int_equal(removed, 1);
	maildrop_release(&maildrop);
	assert_false(is_there("cur/10.a.host,S=3:2,ST"));
	/* What was seen is new no more; what came meanwhile is. */
	assert_true(is_there("cur/30.c.host,S=5:2,"));
	assert_true(is_there("new/40.late.host,S=1"));
}

static void
test_quota_of_removed(void **state)
{
	struct maildrop maildrop;
	AUTO(buf_release) struct buf text = BUF_INIT;
	OWN_TEXT path = path_in("maildirsize");
	struct error err;
	size_t removed;

	(void)state;
	open_three(&maildrop);
	put("maildirsize", "100S\n12 3\n");
	maildrop_delete(&maildrop, 1);
	maildrop_delete(&maildrop, 2);
	assert_int_equal(maildrop_finish(&maildrop, &removed, &err), 0);
	assert_int_equal(removed, 2);
	maildrop_release(&maildrop);
	assert_int_equal(file_read(path, 1000, &text, &err), 1);
	/* Of the bytes that the quota counts, ",S=". */
	assert_string_equal(text.data, "100S\n12 3\n-9 -2\n");
}

static void
test_undelete(void **state)
{
	struct maildrop maildrop;
	struct error err;
	size_t removed;

	(void)state;
	open_three(&maildrop);
	maildrop_delete(&maildrop, 0);
	maildrop_undelete_all(&maildrop);
	assert_int_equal(maildrop.kept_count, 3);
	assert_int_equal(maildrop_finish(&maildrop, &removed, &err), 0);
	assert_int_equal(removed, 0);
	assert_true(is_there("cur/10.a.host,S=3:2,S"));
	maildrop_release(&maildrop);
}

static void
test_list_within_the_budget(void **state)
{
	struct maildrop maildrop;
	struct error err;
	char name[60];

	(void)state;
	open_it(&maildrop);
	maildrop_release(&maildrop);
	for (int i = 0; i < 2000; i++) {
		OWN_TEXT path = NULL;
		FILE *file;

		snprintf(name, sizeof(name), "new/%d.x.host,S=1", i);
		path = path_in(name);
		file = fopen(path, "w");
		assert_non_null(file);
		fclose(file);
	}
	budget_set_limit(&memory, 100 * 1024);
	assert_int_equal(maildrop_open(&maildrop, root, &memory, &err), -1);
	budget_set_limit(&memory, 1024 * 1024);
	open_it(&maildrop);
	assert_int_equal(maildrop.count, 2000);
	maildrop_release(&maildrop);
}

#define DROP_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		DROP_TEST(test_messages_in_order_of_arrival),
		DROP_TEST(test_missing_maildir_is_made),
		DROP_TEST(test_strange_names),
		DROP_TEST(test_message_that_others_move_is_found),
		DROP_TEST(test_finish),
		DROP_TEST(test_quota_of_removed),
		DROP_TEST(test_undelete),
		DROP_TEST(test_list_within_the_budget),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
