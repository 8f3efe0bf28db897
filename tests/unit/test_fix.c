/* SPDX-License-Identifier: ISC */
/* Tests of queue/fix.c. */
#include "queue/fix.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <inttypes.h>

#include "base/mem.h"
#include "tests/unit/queue_folder.h"

/* A whole message in S5 and S4 together, its texts telling whose they are. */
static uint64_t
put_all(const struct queue_dir *dir, const char *text)
{
	static const enum queue_folder kinds[] = { QUEUE_TODO, QUEUE_INFO,
		QUEUE_LOCAL, QUEUE_REMOTE, QUEUE_BOUNCE, QUEUE_INTD };
	uint64_t id = put_message(dir, text);

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		put_file(dir, kinds[i], id, text, strlen(text));
	return id;
}

/* Finds the message with this text; all its files must say the same. */
static void
expect_message(const struct queue_dir *dir, const char *text)
{
	char *command = xasprintf(
	    "cd '%s' && f=$(grep -lrx '%s' mess) && "
	    "[ $(echo $f | wc -w) = 1 ] && i=$(stat -c %%i $f) && "
	    "s=$((i %% %u)) && [ $f = mess/$s/$i ] && "
	    "for n in todo intd bounce info/$s local/$s remote/$s; do "
	    "grep -qx '%s' $n/$i || exit 1; done",
	    dir->path, text, dir->split, text);

	if (system(command) != 0)
		fail_msg("message '%s' is not whole (%s)", text, command);
	free(command);
}

static void
sh(const char *format, const char *path)
{
	char *command = xasprintf("cd '%s' && %s", path, format);

	if (system(command) != 0)
		fail_msg("%s", command);
	free(command);
}

static int
fix(const char *name, unsigned split)
{
	struct error err = { "" };
	int changes = quiet_fix(folder_path(name), split, false, &err);

	if (changes == -1)
		fail_msg("%s", err.text);
	return changes;
}

static void
creation(void **state)
{
	struct error err = { "" };
	struct stat st;
	int would;

	(void)state;
	assert_int_equal(quiet_fix(folder_path("q"), 5, true, &err), 1);
	assert_int_equal(access(folder_path("q"), F_OK), -1);
	assert_true(fix("q", 5) > 20);
	assert_int_equal(fix("q", 5), 0);
	assert_int_equal(stat(folder_path("q/lock/trigger"), &st), 0);
	assert_true(S_ISFIFO(st.st_mode));
	assert_int_equal(st.st_mode & 07777, 0622);
	assert_int_equal(stat(folder_path("q/lock/tcpto"), &st), 0);
	assert_int_equal(st.st_size, 1024);
	assert_int_equal(stat(folder_path("q/mess/4"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	/* What is missing or wrong is told, then made. */
	sh("rmdir info/3 && chmod 755 todo && rm lock/trigger && "
	   "echo x >lock/trigger",
	    folder_path("q"));
	would = quiet_fix(folder_path("q"), 5, true, &err);
	assert_int_equal(would, 3);
	assert_true(fix("q", 5) >= 3); /* modes of new ones, too */
	assert_int_equal(fix("q", 5), 0);
}

/* cp -r gives every file another inode. */
static void
copied(void **state)
{
	struct queue_dir *dir = make_queue("old", 5), *copy;
	char text[20];

	(void)state;
	for (int i = 0; i < 40; i++) {
		snprintf(text, sizeof(text), "message-%d", i);
		put_all(dir, text);
	}
	sh("cp -r old new", folder);
	assert_true(fix("new", 5) > 0);
	copy = queue_dir_open(folder_path("new"), NULL);
	for (int i = 0; i < 40; i++) {
		snprintf(text, sizeof(text), "message-%d", i);
		expect_message(copy, text);
	}
	assert_int_equal(fix("new", 5), 0);
	queue_dir_close(&copy);
	queue_dir_close(&dir);
}

/* One's new name is another's old name. */
static void
swapped_names(void **state)
{
	struct queue_dir *dir = make_queue("q", 5);
	uint64_t a = put_all(dir, "aaa"), b = put_all(dir, "bbb");
	char *command = xasprintf(
	    "for d in mess info local remote todo intd bounce; do "
	    "f=$(find $d -name %" PRIu64 ") g=$(find $d -name %" PRIu64 "); "
	    "mv $f x; mv $g $f; mv x $g; done",
	    a, b);

	(void)state;
	sh(command, dir->path);
	free(command);
	assert_true(fix("q", 5) > 0);
	expect_message(dir, "aaa");
	expect_message(dir, "bbb");
	queue_dir_close(&dir);
}

static void
other_split(void **state)
{
	static const unsigned splits[] = { 23, 3, 1, 151, 5 };
	struct queue_dir *dir = make_queue("q", 5);

	(void)state;
	put_all(dir, "first");
	put_all(dir, "second");
	queue_dir_close(&dir);
	for (size_t i = 0; i < sizeof(splits) / sizeof(splits[0]); i++) {
		assert_true(fix("q", splits[i]) > 0);
		dir = queue_dir_open(folder_path("q"), NULL);
		assert_int_equal(dir->split, splits[i]);
		expect_message(dir, "first");
		expect_message(dir, "second");
		queue_dir_close(&dir);
		assert_int_equal(fix("q", splits[i]), 0);
	}
}

/* Another system's todo/ and intd/ may be split too. */
static void
split_todo(void **state)
{
	struct queue_dir *dir = make_queue("q", 5);

	(void)state;
	put_all(dir, "first");
	put_all(dir, "second");
	sh("for d in todo intd; do for f in $(ls $d); do "
	   "mkdir -p $d/$((f % 5)); mv $d/$f $d/$((f % 5))/; done; "
	   "mkdir -p $d/0 $d/1; done",
	    dir->path);
	assert_true(fix("q", 5) > 0);
	expect_message(dir, "first");
	expect_message(dir, "second");
	sh("[ -z \"$(find todo intd -mindepth 1 -type d)\" ]", dir->path);
	queue_dir_close(&dir);
}

/* Names as a repair leaves them that is interrupted in either step. */
static void
interrupted(void **state)
{
	static const char *const steps[] = {
		/* first step: only the first folders have moved */
		"for f in $(ls todo); do i=$(stat -c %i mess/*/$f); "
		"mv todo/$f todo/fix.$i; done",
		"for d in todo intd info; do "
		"for f in $(find $d -type f); do n=$(basename $f); "
		"i=$(stat -c %i mess/*/$n); "
		"[ $d = info ] && t=info/$((i % 5)) || t=$d; "
		"mv $f $t/fix.$i; done; done",
		/* between the steps */
		"for d in todo intd bounce info local remote mess; do "
		"for f in $(find $d -type f); do n=$(basename $f); "
		"[ $d = mess ] && i=$(stat -c %i $f) || "
		"i=$(stat -c %i mess/*/$n); "
		"case $d in todo|intd|bounce) t=$d;; *) t=$d/$((i % 5));; "
		"esac; mv $f $t/fix.$i; done; done",
		/* second step: the messages have their names already */
		"for d in todo intd bounce info local remote mess; do "
		"for f in $(find $d -type f); do n=$(basename $f); "
		"[ $d = mess ] && i=$(stat -c %i $f) || "
		"i=$(stat -c %i mess/*/$n); "
		"case $d in todo|intd|bounce) t=$d;; *) t=$d/$((i % 5));; "
		"esac; mv $f $t/fix.$i; done; done; "
		"for f in mess/*/fix.*; do mv $f ${f%/*}/${f##*/fix.}; done",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		struct queue_dir *dir = make_queue("q", 5), *copy;

		put_all(dir, "first");
		put_all(dir, "second");
		put_all(dir, "third");
		queue_dir_close(&dir);
		sh("cp -r q copy", folder);
		sh(steps[i], folder_path("copy"));
		assert_true(fix("copy", 5) > 0);
		copy = queue_dir_open(folder_path("copy"), NULL);
		expect_message(copy, "first");
		expect_message(copy, "second");
		expect_message(copy, "third");
		assert_int_equal(fix("copy", 5), 0);
		queue_dir_close(&copy);
		sh("rm -r q copy", folder);
	}
}

/* Interrupted, then copied: fix.N, and N is no longer its inode. */
static void
interrupted_and_copied(void **state)
{
	struct queue_dir *dir = make_queue("q", 5), *copy;

	(void)state;
	put_all(dir, "first");
	put_all(dir, "second");
	sh("for f in $(find mess todo intd bounce info local remote -type f); "
	   "do mv $f ${f%/*}/fix.${f##*/}; done",
	    dir->path);
	sh("cp -r q copy", folder);
	assert_true(fix("copy", 5) > 0);
	copy = queue_dir_open(folder_path("copy"), NULL);
	expect_message(copy, "first");
	expect_message(copy, "second");
	queue_dir_close(&copy);
	queue_dir_close(&dir);
}

static void
orphans_go_and_strangers_stay(void **state)
{
	struct queue_dir *dir = make_queue("q", 5);

	(void)state;
	put_all(dir, "first");
	put_file(dir, QUEUE_TODO, 12345, "x", 1);
	put_file(dir, QUEUE_INFO, 12345, "x", 1);
	put_file(dir, QUEUE_BOUNCE, 12345, "x", 1);
	folder_write("q/mess/0/README", "x", 1);
	folder_write("q/todo/notes", "x", 1);
	assert_true(fix("q", 5) >= 3);
	expect_message(dir, "first");
	assert_false(has_file(dir, QUEUE_TODO, 12345, ""));
	assert_false(has_file(dir, QUEUE_INFO, 12345, ""));
	assert_false(has_file(dir, QUEUE_BOUNCE, 12345, ""));
	assert_int_equal(access(folder_path("q/mess/0/README"), F_OK), 0);
	assert_int_equal(access(folder_path("q/todo/notes"), F_OK), 0);
	queue_dir_close(&dir);
}

/* The rest of its messages was removed, before they could be put back. */
static void
lost_folder_may_come_back(void **state)
{
	static const char *const kinds[] = { "mess", "info", "local",
		"remote" };
	struct queue_dir *dir = make_queue("q", 5);
	uint64_t id = put_all(dir, "first");

	(void)state;
	put_all(dir, "second");
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct error err = { "" };
		char path[60], wanted[40];

		snprintf(wanted, sizeof(wanted), "%s/%u' is missing", kinds[i],
		    (unsigned)(id % 5));
		snprintf(path, sizeof(path), "q/%s/%u", kinds[i],
		    (unsigned)(id % 5));
		assert_int_equal(
		    rename(folder_path(path), folder_path("lost")), 0);
		for (int is_test = 0; is_test <= 1; is_test++) {
			assert_int_equal(
			    quiet_fix(dir->path, 5, is_test, &err), -1);
			if (strstr(err.text, wanted) == NULL)
				fail_msg("%s: %s", wanted, err.text);
		}
		assert_int_equal(
		    rename(folder_path("lost"), folder_path(path)), 0);
		assert_int_equal(fix("q", 5), 0);
		expect_message(dir, "first");
		expect_message(dir, "second");
	}
	queue_dir_close(&dir);
	/* A repair that was interrupted had removed them itself. */
	dir = make_queue("smaller", 5);
	sh("rmdir mess/2 mess/3 && touch lock/fixing", dir->path);
	queue_dir_close(&dir);
	assert_true(fix("smaller", 2) > 0);
	/* Lost for good, as the operator says. */
	dir = make_queue("given-up", 5);
	id = put_all(dir, "third");
	sh("rm -r mess && mkdir mess mess/0 mess/1 mess/2 mess/3 mess/4",
	    dir->path);
	assert_true(fix("given-up", 5) > 0);
	assert_false(has_file(dir, QUEUE_TODO, id, ""));
	queue_dir_close(&dir);
}

/* The mode of a file elsewhere was changed, by root too. */
static void
links_are_not_followed(void **state)
{
	struct queue_dir *dir = make_queue("q", 5);
	struct error err = { "" };
	char name[40];
	struct stat st;

	(void)state;
	folder_write("victim", "x", 1);
	assert_int_equal(chmod(folder_path("victim"), 0644), 0);
	assert_int_equal(
	    symlink(folder_path("victim"), folder_path("q/mess/new")), 0);
	assert_int_equal(lstat(folder_path("q/mess/new"), &st), 0);
	snprintf(name, sizeof(name), "q/mess/%u/%llu",
	    (unsigned)(st.st_ino % 5), (unsigned long long)st.st_ino);
	assert_int_equal(
	    rename(folder_path("q/mess/new"), folder_path(name)), 0);
	put_all(dir, "first");
	assert_int_equal(fix("q", 5), 0);
	assert_int_equal(stat(folder_path("victim"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
	assert_int_equal(lstat(folder_path(name), &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	expect_message(dir, "first");
	assert_int_equal(unlink(folder_path("q/lock/sendmutex")), 0);
	assert_int_equal(
	    symlink(folder_path("made"), folder_path("q/lock/sendmutex")), 0);
	assert_int_equal(quiet_fix(dir->path, 5, false, &err), -1);
	assert_non_null(strstr(err.text, "sendmutex"));
	assert_int_equal(access(folder_path("made"), F_OK), -1);
	queue_dir_close(&dir);
}

static void
refusals(void **state)
{
	struct queue_dir *dir = make_queue("q", 5);
	struct error err = { "" };
	int fd = queue_take(dir->path, 0, &err);

	(void)state;
	assert_int_equal(quiet_fix(dir->path, 5, false, &err), -1);
	assert_non_null(strstr(err.text, "another qmail-send"));
	close(fd);
	sh("mkdir mess/0/77 2>/dev/null; rmdir mess/0/77; rmdir bounce && "
	   "echo x >bounce",
	    dir->path);
	assert_int_equal(quiet_fix(dir->path, 5, false, &err), -1);
	assert_non_null(strstr(err.text, "bounce' is not a folder"));
	sh("rm bounce && echo x >mess/1/99 && echo y >mess/2/99", dir->path);
	assert_int_equal(quiet_fix(dir->path, 5, false, &err), -1);
	assert_non_null(strstr(err.text, "two messages are called 99"));
	queue_dir_close(&dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(creation),
		TEST(copied),
		TEST(swapped_names),
		TEST(other_split),
		TEST(split_todo),
		TEST(interrupted),
		TEST(interrupted_and_copied),
		TEST(orphans_go_and_strangers_stay),
		TEST(lost_folder_may_come_back),
		TEST(links_are_not_followed),
		TEST(refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
