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
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "base/mem.h"
#define FOLDER_IN_MEMORY
#include "tests/unit/queue_folder.h"

/* Files of a message in S5 and S4 together, their text telling whose. */
static void
put_beside(const struct queue_dir *dir, uint64_t id, const char *text)
{
	static const enum queue_folder kinds[] = { QUEUE_TODO, QUEUE_INFO,
		QUEUE_LOCAL, QUEUE_REMOTE, QUEUE_BOUNCE, QUEUE_INTD };

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		put_file(dir, kinds[i], id, text, strlen(text));
}

/* A whole one that is named by its inode. */
static uint64_t
put_all(const struct queue_dir *dir, const char *text)
{
	uint64_t id = put_message(dir, text);

	put_beside(dir, id, text);
	return id;
}

/* A whole one with a number of ours. */
static void
put_ours(const struct queue_dir *dir, uint64_t id, const char *text)
{
	put_file(dir, QUEUE_MESS, id, text, strlen(text));
	put_beside(dir, id, text);
}

static void
expect_ours(const struct queue_dir *dir, uint64_t id, const char *text)
{
	static const enum queue_folder kinds[] = { QUEUE_MESS, QUEUE_TODO,
		QUEUE_INFO, QUEUE_LOCAL, QUEUE_REMOTE, QUEUE_BOUNCE,
		QUEUE_INTD };

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		expect_file(dir, kinds[i], id, text, strlen(text));
}

/*
 * Finds the message with this text, which must be named by its inode; all its
 * files must say the same.
 */
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
fix_as(const char *name, const struct fix_options *options)
{
	struct error err = { "" };
	int changes = quiet_fix_as(folder_path(name), options, &err);

	if (changes == -1)
		fail_msg("%s", err.text);
	return changes;
}

static int
fix(const char *name, unsigned split)
{
	const struct fix_options options = {
		.split = split, .uid = (uid_t)-1, .gid = (gid_t)-1
	};

	return fix_as(name, &options);
}

static int
fix_by_inode(const char *name, unsigned split)
{
	const struct fix_options options = { .split = split,
		.is_by_inode = true,
		.uid = (uid_t)-1,
		.gid = (gid_t)-1 };

	return fix_as(name, &options);
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

/* A number is a message's for its life, whatever its inode is. */
static void
numbers_stay(void **state)
{
	const uint64_t ours = 1764000000000000;
	struct queue_dir *dir = make_queue("old", 5), *copy;
	uint64_t theirs = put_all(dir, "theirs");

	(void)state;
	for (uint64_t i = 0; i < 7; i++)
		put_ours(dir, ours + i, "ours");
	assert_int_equal(fix("old", 5), 0);
	sh("cp -a old new", folder);
	assert_int_equal(fix("new", 5), 0);
	assert_true(fix("new", 9) > 0);
	copy = queue_dir_open(folder_path("new"), NULL);
	assert_int_equal(copy->split, 9);
	expect_ours(copy, theirs, "theirs");
	for (uint64_t i = 0; i < 7; i++)
		expect_ours(copy, ours + i, "ours");
	assert_int_equal(fix("new", 9), 0);
	queue_dir_close(&copy);
	queue_dir_close(&dir);
}

/* What an interrupted repair that keeps numbers left. */
static void
interrupted_with_numbers(void **state)
{
	struct queue_dir *dir = make_queue("q", 5);

	(void)state;
	put_ours(dir, 1764000000000007, "first");
	put_ours(dir, 1764000000000008, "second");
	/* From 5 folders to 3: some have moved. */
	sh("mv info/*/1764000000000007 info/1/; "
	   "mv local/*/1764000000000007 local/1/; echo numbers >lock/fixing",
	    dir->path);
	queue_dir_close(&dir);
	assert_true(fix("q", 3) > 0);
	dir = queue_dir_open(folder_path("q"), NULL);
	expect_ours(dir, 1764000000000007, "first");
	expect_ours(dir, 1764000000000008, "second");
	assert_int_equal(access(folder_path("q/lock/fixing"), F_OK), -1);
	queue_dir_close(&dir);
}

/* No file is moved over another one. */
static void
place_is_taken(void **state)
{
	struct queue_dir *dir = make_queue("q", 5);
	struct error err = { "" };

	(void)state;
	put_ours(dir, 10, "first");
	folder_write("q/info/3/10", "other", 5);
	assert_int_equal(quiet_fix(dir->path, 5, false, &err), -1);
	assert_non_null(strstr(err.text, "info/3/10' to 'info/0/10'"));
	EXPECT_FILE(dir, QUEUE_INFO, 10, "first");
	assert_int_equal(unlink(folder_path("q/info/3/10")), 0);
	assert_int_equal(fix("q", 5), 1); /* the interrupted one ends */
	expect_ours(dir, 10, "first");
	queue_dir_close(&dir);
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
	assert_true(fix_by_inode("new", 5) > 0);
	copy = queue_dir_open(folder_path("new"), NULL);
	for (int i = 0; i < 40; i++) {
		snprintf(text, sizeof(text), "message-%d", i);
		expect_message(copy, text);
	}
	assert_int_equal(fix_by_inode("new", 5), 0);
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
	assert_true(fix_by_inode("q", 5) > 0);
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
		/* It goes on as it began, also when not asked to. */
		sh("touch lock/fixing", folder_path("copy"));
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

enum { STRANGER = 65534 };

/* What is in the victim's folder, owners and modes too; the caller frees. */
static char *
show_victim(void)
{
	char *command = xasprintf("cd '%s' && find . -printf "
				  "'%%p %%U %%G %%m %%n %%s\\n' | sort && "
				  "cat $(find . -type f | sort)",
	    folder_path("victim"));
	struct buf text = BUF_INIT;
	FILE *pipe = popen(command, "r");
	char part[1000];
	size_t n;

	assert_non_null(pipe);
	while ((n = fread(part, 1, sizeof(part), pipe)) > 0)
		buf_add(&text, part, n);
	pclose(pipe);
	free(command);
	return text.data;
}

/*
 * Root was led elsewhere by links that the queue's owner put into its place:
 * each row makes some, and nothing in victim/ changes.
 */
static void
root_is_led_nowhere(void **state)
{
	static const struct {
		const char *name, *attack;
	} rows[] = {
		{ "mess", "mv mess aside; ln -s ../victim mess" },
		{ "info", "mv info aside; ln -s ../victim info" },
		{ "local", "mv local aside; ln -s ../victim local" },
		{ "remote", "mv remote aside; ln -s ../victim remote" },
		{ "todo", "rm -r todo; ln -s ../victim todo" },
		{ "intd", "rm -r intd; ln -s ../victim intd" },
		{ "bounce", "rm -r bounce; ln -s ../victim bounce" },
		{ "pid", "rm -r pid; ln -s ../victim pid" },
		{ "lock", "rm -r lock; ln -s ../victim lock" },
		{ "mess/1", "rm -r mess/1; ln -s ../../victim mess/1" },
		{ "info/1", "rm -r info/1; ln -s ../../victim info/1" },
		{ "local/1", "rm -r local/1; ln -s ../../victim local/1" },
		{ "remote/1", "rm -r remote/1; ln -s ../../victim remote/1" },
		{ "todo/1", "ln -s ../../victim todo/1" },
		{ "intd/1", "ln -s ../../victim intd/1" },
		{ "bounce/6", "ln -s ../../victim bounce/6" },
		{ "files",
		    "ln -s ../../victim/6 mess/1/6; "
		    "ln -s ../../../victim/6 mess/1/11; "
		    "ln -s ../../victim/6 info/1/6; "
		    "ln -s ../victim/6 todo/6; "
		    "ln -s ../victim/6 bounce/6" },
		{ "other names of files",
		    "ln ../victim/6 mess/1/6; "
		    "ln ../victim/11 mess/1/11; "
		    "ln ../victim/11 todo/11" },
		{ "sendmutex",
		    "rm lock/sendmutex; "
		    "ln -s ../../victim/6 lock/sendmutex" },
		{ "a new sendmutex",
		    "rm lock/sendmutex; "
		    "ln -s ../../victim/no lock/sendmutex" },
		{ "tcpto", "rm lock/tcpto; ln -s ../../victim/6 lock/tcpto" },
		{ "trigger",
		    "rm lock/trigger; ln -s ../../victim/6 lock/trigger" },
		{ "fixing", "ln -s ../../victim/6 lock/fixing" },
		{ "journals",
		    "for i in .0 .1 .2 .3 '' .damaged.1; do "
		    "ln -s ../../victim/6 lock/journal$i; done" },
		{ "spares",
		    "ln -s ../../victim/6 pid/6.e; "
		    "ln -s ../../victim/6 mess/1/6; "
		    "ln -s ../../victim/6 lock/workers" },
	};
	const struct fix_options options = {
		.split = 3, .uid = STRANGER, .gid = STRANGER
	};

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(chmod(folder, 0755), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct queue_dir *dir = make_queue("q", 5);
		struct error err = { "" };
		char *before, *after;

		queue_dir_close(&dir);
		sh("mkdir victim victim/0 victim/1 && for i in 6 11 16 fix.6 "
		   "x/../0/fix.5 1/6; do echo $i >victim/${i#x/../}; done; "
		   "chmod -R a+rw victim",
		    folder);
		sh(rows[i].attack, folder_path("q"));
		sh("chown -hR 65534:65534 .", folder_path("q"));
		/* That gave away what has another name there. */
		sh("chown -R 0:0 .", folder_path("victim"));
		before = show_victim();
		quiet_fix_as(folder_path("q"), &options, &err);
		after = show_victim();
		if (strcmp(before, after) != 0)
			fail_msg("%s: before:\n%safter:\n%s", rows[i].name,
			    before, after);
		free(before);
		free(after);
		sh("rm -r q victim", folder);
	}
}

/*
 * He may rename while root works: now lock is a folder, now a file of root's,
 * whose mode root then changed for the folder's.
 */
static void
root_is_led_nowhere_meanwhile(void **state)
{
	const struct fix_options options = {
		.split = 3, .uid = STRANGER, .gid = STRANGER
	};
	struct queue_dir *dir;
	struct error err;
	struct stat st;
	pid_t pid;

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(chmod(folder, 0755), 0);
	dir = make_queue("q", 3);
	folder_write("victim", "x", 1);
	assert_int_equal(chmod(folder_path("victim"), 0600), 0);
	sh("chown -R 65534:65534 . && ln ../victim aside", dir->path);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		while (chdir(dir->path) == 0 && setuid(STRANGER) == 0)
			for (int i = 0; i < 1000; i++)
				renameat2(AT_FDCWD, "lock", AT_FDCWD, "aside",
				    RENAME_EXCHANGE);
		_exit(1);
	}
	for (int i = 0; i < 300; i++) {
		quiet_fix_as(folder_path("q"), &options, &err);
		assert_int_equal(stat(folder_path("victim"), &st), 0);
		if (st.st_uid != 0 || (st.st_mode & 07777) != 0600)
			break;
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_int_equal(st.st_uid, 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	queue_dir_close(&dir);
}

/* What another system's user left is given away, and then mended. */
static void
root_gives_all_away(void **state)
{
	const struct fix_options options = {
		.split = 3, .uid = STRANGER, .gid = STRANGER
	};
	struct queue_dir *dir = make_queue("q", 5);

	(void)state;
	if (geteuid() != 0) {
		queue_dir_close(&dir);
		skip();
	}
	put_ours(dir, 1764000000000007, "first");
	/* As qmail-queue links it. */
	sh("rm intd/*; ln todo/1764000000000007 intd/", dir->path);
	/* As qmail-send keeps a damaged segment. */
	sh("touch lock/journal.1; ln lock/journal.1 lock/journal.damaged.1",
	    dir->path);
	folder_write("q/mess/4/README", "x", 1);
	queue_dir_close(&dir);
	sh("chown -R 1234:1234 .; chmod -R 0700 .", folder_path("q"));
	assert_true(fix_as("q", &options) > 0);
	assert_int_equal(fix_as("q", &options), 0);
	dir = queue_dir_open(folder_path("q"), NULL);
	expect_ours(dir, 1764000000000007, "first");
	sh("[ -z \"$(find . ! -user 65534 ! -name '*README')\" ] && "
	   "[ -e mess/4.README ]",
	    dir->path);
	assert_int_equal(geteuid(), 0);
	assert_int_equal(getegid(), 0);
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

static void
note_fault(const struct fix_fault *fault, void *context)
{
	buf_addf(
	    context, "%d %s: %s\n", (int)fault->kind, fault->path, fault->text);
}

/* For who only looks: each fault with its words, and no change. */
static void
tells_faults(void **state)
{
	struct buf got = BUF_INIT;
	struct fix_options options = { .split = 3,
		.is_test = true,
		.see = note_fault,
		.context = &got,
		.files_max = 1000,
		.uid = geteuid(),
		.gid = (gid_t)-1 };
	struct queue_dir *dir = make_queue("seen", 3);
	struct error err = { "" };

	(void)state;
	put_ours(dir, 300, "x");
	assert_int_equal(queue_fix(folder_path("seen"), &options, &err), 0);
	put_file(dir, QUEUE_INFO, 600, "x", 1);
	folder_write("seen/mess/1/README", "x", 1);
	assert_int_equal(chmod(folder_path("seen/todo"), 0755), 0);
	assert_int_equal(unlink(folder_path("seen/lock/tcpto")), 0);
	assert_int_equal(queue_fix(folder_path("seen"), &options, &err), 3);
	assert_string_equal(got.data,
	    "0 todo: its mode is 755, and should be 700\n"
	    "0 lock/tcpto: No such file or directory\n"
	    "2 mess/1/README: it is no message\n"
	    "1 info/0/600: there is no message mess/0/600 that it belongs "
	    "to\n");
	assert_int_equal(access(folder_path("seen/info/0/600"), F_OK), 0);
	buf_release(&got);
	queue_dir_close(&dir);
}

/* A message that was not walked over is there all the same. */
static void
looks_at_no_more_files_than_asked(void **state)
{
	struct buf got = BUF_INIT;
	struct fix_options options = { .split = 3,
		.is_test = true,
		.see = note_fault,
		.context = &got,
		.files_max = 12, /* four of each part, two are "." and ".." */
		.uid = geteuid(),
		.gid = (gid_t)-1 };
	struct queue_dir *dir = make_queue("many", 3);
	struct error err = { "" };

	(void)state;
	for (uint64_t id = 300; id < 360; id++)
		put_ours(dir, id, "x");
	assert_int_equal(queue_fix(folder_path("many"), &options, &err), 0);
	for (uint64_t id = 300; id < 360; id++)
		queue_unlink(dir, QUEUE_MESS, id);
	assert_in_range(queue_fix(folder_path("many"), &options, &err), 1, 90);
	buf_release(&got);
	queue_dir_close(&dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(creation),
		TEST(numbers_stay),
		TEST(interrupted_with_numbers),
		TEST(place_is_taken),
		TEST(copied),
		TEST(swapped_names),
		TEST(other_split),
		TEST(split_todo),
		TEST(interrupted),
		TEST(interrupted_and_copied),
		TEST(orphans_go_and_strangers_stay),
		TEST(lost_folder_may_come_back),
		TEST(links_are_not_followed),
		TEST(root_is_led_nowhere),
		TEST(root_is_led_nowhere_meanwhile),
		TEST(root_gives_all_away),
		TEST(refusals),
		TEST(tells_faults),
		TEST(looks_at_no_more_files_than_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
