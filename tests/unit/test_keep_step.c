/* SPDX-License-Identifier: ISC */
/*
 * Tests of queue/keep_step.c and queue/keep_sync.c: which durable calls each
 * job makes, in what order, and what is left when one of them fails, or when
 * the process is killed before it.
 */
#include "queue/keep_private.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "queue/exitcode.h"
#define FOLDER_IN_MEMORY
#include "tests/unit/keep_bench.h"

/*
 * -- the calls: these take the place of the system's
 *
 * A call is written as its name and the folder of the file, "sync mess"; of a
 * folder itself "sync mess/".  One that removes or moves nothing is not.
 */
static struct {
	bool is_on;
	char text[4000];
	unsigned count;
	unsigned failing; /* the number of the call that fails, from 1; or 0 */
	unsigned last; /* after so many the process is dead; or 0: it lives */
	const char *failing_call; /* once, as the kernel has it; or always */
	bool fails_always;
} calls;

enum verdict { CALL_DOES, CALL_FAILS, CALL_DEAD };

/* The folder of the queue that fd is, or is in. */
static const char *
folder_of(int fd)
{
	static char path[512];
	char link[64], *start, *end;
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n < 0)
		return "?";
	path[n] = '\0';
	start = strstr(path, "/q/");
	if (start == NULL)
		return "?";
	end = strchr(start + 3, '/');
	if (end != NULL)
		*end = '\0';
	return start + 3;
}

static enum verdict
note_call(const char *format, ...)
{
	size_t length = strlen(calls.text);
	char call[64];
	va_list args;

	if (!calls.is_on)
		return CALL_DOES;
	va_start(args, format);
	vsnprintf(call, sizeof(call), format, args);
	va_end(args);
	snprintf(calls.text + length, sizeof(calls.text) - length, "%s%s",
	    length > 0 ? "\n" : "", call);
	calls.count++;
	if (calls.last > 0 && calls.count > calls.last)
		return CALL_DEAD;
	if (calls.count == calls.failing ||
	    (calls.failing_call != NULL &&
		strcmp(call, calls.failing_call) == 0)) {
		if (!calls.fails_always)
			calls.failing_call = NULL;
		errno = EIO;
		return CALL_FAILS;
	}
	return CALL_DOES;
}

#define ACT(verdict, does) \
	switch (verdict) { \
	case CALL_FAILS:   \
		return -1; \
	case CALL_DEAD:    \
		return 0;  \
	case CALL_DOES:    \
		break;     \
	}                  \
	return does

int
openat(int folder_fd, const char *name, int flags, ...)
{
	enum verdict verdict = CALL_DOES;
	mode_t mode;
	va_list args;

	va_start(args, flags);
	mode = (flags & O_CREAT) != 0 ? va_arg(args, mode_t) : 0;
	va_end(args);
	if ((flags & O_CREAT) != 0)
		verdict = note_call("create %s", folder_of(folder_fd));
	if (verdict == CALL_DEAD)
		return open("/dev/null", O_WRONLY | O_CLOEXEC);
	ACT(verdict, (int)syscall(SYS_openat, folder_fd, name, flags, mode));
}

ssize_t
pwrite(int fd, const void *data, size_t length, off_t offset)
{
	enum verdict verdict = note_call("write %s", folder_of(fd));

	if (verdict == CALL_DEAD)
		return (ssize_t)length;
	ACT(verdict, syscall(SYS_pwrite64, fd, data, length, offset));
}

ssize_t
write(int fd, const void *data, size_t length)
{
	enum verdict verdict = note_call("write %s", folder_of(fd));

	if (verdict == CALL_DEAD)
		return (ssize_t)length;
	if (verdict == CALL_FAILS)
		length /= 2; /* a short count */
	return syscall(SYS_write, fd, data, length);
}

int
futimens(int fd, const struct timespec times[2])
{
	ACT(note_call("time %s", folder_of(fd)),
	    (int)syscall(SYS_utimensat, fd, NULL, times, 0));
}

int
fdatasync(int fd)
{
	ACT(note_call("sync %s", folder_of(fd)), 0);
}

int
fsync(int fd)
{
	ACT(note_call("sync %s/", folder_of(fd)), 0);
}

int
renameat(int from_fd, const char *from, int to_fd, const char *to)
{
	char folder_from[32];

	if (calls.is_on &&
	    faccessat(from_fd, from, F_OK, AT_SYMLINK_NOFOLLOW) == -1)
		return -1;
	snprintf(folder_from, sizeof(folder_from), "%s", folder_of(from_fd));
	ACT(note_call("move %s %s", folder_from, folder_of(to_fd)),
	    (int)syscall(SYS_renameat2, from_fd, from, to_fd, to, 0));
}

int
unlinkat(int folder_fd, const char *name, int flags)
{
	if (calls.is_on &&
	    faccessat(folder_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == -1)
		return -1;
	ACT(note_call("remove %s", folder_of(folder_fd)),
	    (int)syscall(SYS_unlinkat, folder_fd, name, flags));
}

int
ftruncate(int fd, off_t length)
{
	ACT(note_call("cut %s", folder_of(fd)),
	    (int)syscall(SYS_ftruncate, fd, length));
}

/* -- messages */

enum { ID = 7 };

struct bench {
	struct queue_dir *dir;
	struct keep_syncs syncs;
};

static void
run_jobs(struct bench *bench, struct keep_job *const *jobs, size_t count)
{
	struct keep_jobs list = STAILQ_HEAD_INITIALIZER(list);

	for (size_t i = 0; i < count; i++) {
		jobs[i]->result = QQ_OK;
		STAILQ_INSERT_TAIL(&list, jobs[i], in_list);
	}
	calls.is_on = true;
	keep_run(&bench->syncs, &list);
	calls.is_on = false;
}

static int
run_one(struct bench *bench, struct keep_job *job)
{
	int result;

	run_jobs(bench, &job, 1);
	result = job->result;
	keep_job_free(&job);
	return result;
}

/* A queue in which all is durable. */
static void
open_bench(struct bench *bench)
{
	enum queue_folder kind;

	bench->dir = make_bare_queue("q", 3);
	keep_syncs_init(&bench->syncs, bench->dir, 0);
	for (kind = 0; kind < QUEUE_FOLDER_COUNT; kind++)
		for (unsigned i = 0;
		     i < (kind < QUEUE_FOLDER_SPLIT_END ? 3U : 1U); i++)
			bench->syncs.folders[kind][i].is_dirty = false;
	memset(&calls, 0, sizeof(calls));
}

static void
close_bench(struct bench *bench)
{
	keep_syncs_release(&bench->syncs);
	queue_dir_close(&bench->dir);
}

static void
begin_again(struct bench *bench)
{
	close_bench(bench);
	folder_teardown(NULL);
	folder_setup(NULL);
	open_bench(bench);
}

#define LOCAL_LIST "Ta\0Tb"

enum before { FRESH, LARGE, S4, S4_BEGUN, S5, S5_NO_NOTE, S2 };

static void
put_before(const struct queue_dir *dir, enum before before)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT },
		{ .tv_sec = time(NULL) - KEEP_GARBAGE_S - 10 } };
	int fd;

	if (before == FRESH)
		return;
	put_file(dir, QUEUE_MESS, ID, "text", 4);
	if (before == S4 || before == S4_BEGUN)
		put_file(dir, QUEUE_TODO, ID, KEEP_RECORD_TODO,
		    sizeof(KEEP_RECORD_TODO));
	if (before == S4_BEGUN) {
		put_file(dir, QUEUE_INTD, ID, "x", 1);
		put_file(dir, QUEUE_PID, ID, "x", 1);
		put_file(dir, QUEUE_INFO, ID, "Fs", 2);
		put_file(dir, QUEUE_LOCAL, ID, "Told", 4);
		put_file(dir, QUEUE_BOUNCE, ID, "<old>:\nno\n\n", 11);
	}
	if (before == S5 || before == S5_NO_NOTE) {
		put_file(dir, QUEUE_INFO, ID, KEEP_RECORD_INFO,
		    sizeof(KEEP_RECORD_INFO));
		put_file(dir, QUEUE_LOCAL, ID, LOCAL_LIST, sizeof(LOCAL_LIST));
		put_file(dir, QUEUE_REMOTE, ID, "Tc", 3);
	}
	if (before == S5)
		put_file(dir, QUEUE_BOUNCE, ID, "<z>:\nno\n\n", 9);
	if (before == S2) {
		put_file(dir, QUEUE_INTD, ID, "x", 1);
		fd = queue_open_file(dir, QUEUE_MESS, ID, O_WRONLY);
		assert_int_equal(futimens(fd, times), 0);
		close(fd);
	}
}

/* -- jobs, and the calls that they must show */

static struct keep_job *
make_todo(enum before before)
{
	return keep_todo_job(ID, before == FRESH ? "text" : NULL);
}

static struct keep_job *
make_remember(enum before before)
{
	return keep_remember_job(
	    ID, before == FRESH ? "text" : NULL, "<z>:\nno\n\n");
}

/* Only local recipients, and nothing has failed. */
static struct keep_job *
make_remember_local(enum before before)
{
	struct keep_job *job = keep_remember_job(
	    ID, before == FRESH ? "text" : NULL, "");

	buf_reset(&job->text[KEEP_REMOTE]);
	job->retry_at[0] = 0;
	return job;
}

static struct keep_job *
make_mark(enum before before)
{
	struct keep_job *job = keep_mark_job(ID, "<b>:\nno\n\n");

	(void)before;
	job->retry_at[0] = 3000000;
	job->attempt = 1;
	job->attempt_at = KEEP_ATTEMPT_AT;
	return job;
}

static struct keep_job *
make_mark_only(enum before before)
{
	(void)before;
	return keep_mark_job(ID, "");
}

static struct keep_job *
make_time(enum before before)
{
	struct keep_job *job = keep_job_new(KEEP_MARK, ID);

	(void)before;
	job->channel = QUEUE_REMOTE;
	job->retry_at[1] = 3000000;
	return job;
}

static struct keep_job *
make_channel_end(enum before before)
{
	(void)before;
	return keep_channel_end_job(ID, QUEUE_LOCAL);
}

static struct keep_job *
make_forget(enum before before)
{
	(void)before;
	return keep_job_new(KEEP_FORGET, ID);
}

static struct keep_job *
make_sweep(enum before before)
{
	(void)before;
	return keep_job_new(KEEP_SWEEP, ID);
}

/*
 * Durable operations, and what each must show, in order.  Syncs that stand
 * together run together.
 */
static const struct operation {
	const char *name;
	enum before before;
	struct keep_job *(*make)(enum before before);
	const char *calls;
	const char *left; /* folders that have a file then */
} operations[] = {
	{ "TODO, fresh", FRESH, make_todo,
	    "create mess\n"
	    "write mess\n"
	    "time mess\n"
	    "create pid\n"
	    "write pid\n"
	    "sync mess\n"
	    "sync mess/\n"
	    "sync pid\n"
	    "move pid todo\n"
	    "sync todo/",
	    "mt" },
	{ "TODO, fresh and large", LARGE, make_todo,
	    "create pid\n"
	    "write pid\n"
	    "sync pid\n"
	    "move pid todo\n"
	    "sync todo/",
	    "mt" },
	{ "REMEMBER, fresh", FRESH, make_remember,
	    /* before local and remote, which without it are a damage */
	    "create pid\n"
	    "write pid\n"
	    "time pid\n"
	    "create mess\n"
	    "write mess\n"
	    "time mess\n"
	    "create local\n"
	    "write local\n"
	    "time local\n"
	    "create remote\n"
	    "write remote\n"
	    "create bounce\n"
	    "write bounce\n"
	    "sync pid\n"
	    "sync mess\n"
	    "sync mess/\n"
	    "sync local\n"
	    "sync local/\n"
	    "sync remote\n"
	    "sync remote/\n"
	    "sync bounce\n"
	    "sync bounce/\n"
	    "move pid info\n"
	    "sync info/",
	    "milrb" },
	{ "REMEMBER, S4", S4, make_remember_local,
	    "create pid\n"
	    "write pid\n"
	    "time pid\n"
	    "create local\n"
	    "write local\n"
	    "sync pid\n"
	    "sync local\n"
	    "sync local/\n"
	    "move pid info\n"
	    "sync info/\n"
	    "move todo pid\n"
	    "sync todo/\n"
	    "remove pid",
	    "mil" },
	{ "REMEMBER, S4, begun before", S4_BEGUN, make_remember_local,
	    /* it may be the file in todo/ */
	    "create pid\n"
	    "remove pid\n"
	    "create pid\n"
	    "write pid\n"
	    "time pid\n"
	    "create local\n"
	    "write local\n"
	    "remove bounce\n"
	    "sync pid\n"
	    "sync local\n"
	    "sync local/\n"
	    "sync bounce/\n"
	    "move pid info\n"
	    "sync info/\n"
	    "move todo pid\n"
	    "remove intd\n"
	    "sync todo/\n"
	    "remove pid",
	    "mil" },
	{ "MARK", S5_NO_NOTE, make_mark,
	    "create bounce\n"
	    "write bounce\n"
	    "sync bounce\n"
	    "sync bounce/\n"
	    "write local\n"
	    "time local\n"
	    "write info\n"
	    "time info\n"
	    "sync local",
	    "milrb" },
	{ "MARK, second note", S5, make_mark,
	    "create bounce\n"
	    "write bounce\n"
	    "sync bounce\n"
	    "write local\n"
	    "time local\n"
	    "write info\n"
	    "time info\n"
	    "sync local",
	    "milrb" },
	{ "MARK, no note", S5, make_mark_only,
	    "write local\n"
	    "sync local",
	    "milrb" },
	{ "MARK, time only", S5, make_time, "time remote", "milrb" },
	{ "CHANNEL_END", S5, make_channel_end, "remove local", "mirb" },
	{ "FORGET, S5", S5, make_forget,
	    "remove bounce\n"
	    "remove local\n"
	    "remove remote\n"
	    "sync bounce/\n"
	    "sync local/\n"
	    "sync remote/\n"
	    "remove info\n"
	    "sync info/\n"
	    "remove mess",
	    "" },
	{ "FORGET, S4", S4, make_forget,
	    "remove todo\n"
	    "sync todo/\n"
	    "remove mess",
	    "" },
	{ "FORGET, S4, S5 begun", S4_BEGUN, make_forget,
	    "remove bounce\n"
	    "remove local\n"
	    "remove intd\n"
	    "remove info\n"
	    "sync bounce/\n"
	    "sync local/\n"
	    "sync intd/\n"
	    "sync info/\n"
	    "remove todo\n"
	    "sync todo/\n"
	    "remove mess\n"
	    "remove pid",
	    "" },
	{ "SWEEP", S2, make_sweep,
	    "remove intd\n"
	    "sync intd/\n"
	    "remove mess",
	    "" },
};

enum { OPERATION_COUNT = sizeof(operations) / sizeof(operations[0]) };

static void
order_of_calls(void **state)
{
	struct bench bench;

	(void)state;
	open_bench(&bench);
	for (size_t i = 0; i < OPERATION_COUNT; i++) {
		const struct operation *operation = &operations[i];

		begin_again(&bench);
		put_before(bench.dir, operation->before);
		assert_int_equal(
		    run_one(&bench, operation->make(operation->before)), QQ_OK);
		if (strcmp(calls.text, operation->calls) != 0)
			fail_msg("%s:\n%s\n-- wanted:\n%s", operation->name,
			    calls.text, operation->calls);
		expect_folders(bench.dir, ID, operation->left);
	}
	close_bench(&bench);
}

/* A channel's end is not durable before the message is forgotten. */
static void
forget_syncs_channel_ends(void **state)
{
	struct bench bench;

	(void)state;
	open_bench(&bench);
	put_before(bench.dir, S5);
	assert_int_equal(run_one(&bench, make_channel_end(S5)), QQ_OK);
	assert_int_equal(
	    run_one(&bench, keep_channel_end_job(ID, QUEUE_REMOTE)), QQ_OK);
	calls.text[0] = '\0';
	assert_int_equal(run_one(&bench, make_forget(S5)), QQ_OK);
	assert_string_equal(calls.text,
	    "remove bounce\n"
	    "sync bounce/\n"
	    "sync local/\n"
	    "sync remote/\n"
	    "remove info\n"
	    "sync info/\n"
	    "remove mess");
	close_bench(&bench);
}

/* -- failures */

static bool
has(const struct bench *bench, enum queue_folder kind)
{
	return has_file(bench->dir, kind, ID, "");
}

/* The todo record is never written over, nor gone before there is info. */
static void
expect_whole_todo(const struct bench *bench)
{
	expect_file(bench->dir, QUEUE_TODO, ID, KEEP_RECORD_TODO,
	    sizeof(KEEP_RECORD_TODO));
}

/* What the state table allows, whatever was interrupted. */
static void
expect_a_state(const struct bench *bench, enum before before)
{
	bool has_record = has(bench, QUEUE_INFO) || has(bench, QUEUE_TODO);
	bool was_kept = before != FRESH && before != LARGE && before != S2;

	if (has_record)
		EXPECT_FILE(bench->dir, QUEUE_MESS, ID, "text");
	else if (has(bench, QUEUE_LOCAL) || has(bench, QUEUE_REMOTE))
		assert_true(has(bench, QUEUE_PID)); /* no damage */
	if (before == LARGE)
		assert_true(has(bench, QUEUE_MESS));
	if (has(bench, QUEUE_TODO)) {
		expect_whole_todo(bench);
		return;
	}
	/* Its end begins with what is beside the record. */
	if (was_kept && !has_record)
		assert_false(has(bench, QUEUE_LOCAL) ||
		    has(bench, QUEUE_REMOTE) || has(bench, QUEUE_BOUNCE) ||
		    has(bench, QUEUE_INTD));
	if (has(bench, QUEUE_INFO) && before != S5 && before != S5_NO_NOTE)
		EXPECT_FILE(bench->dir, QUEUE_LOCAL, ID, LOCAL_LIST "\0");
}

/* TODO and REMEMBER that fail leave what was there. */
static void
expect_undone(const struct bench *bench, enum before before)
{
	switch (before) {
	case FRESH:
		expect_folders(bench->dir, ID, "");
		break;
	case LARGE:
		expect_folders(bench->dir, ID, "m");
		break;
	case S4:
	case S4_BEGUN:
		expect_whole_todo(bench);
		break;
	case S5:
	case S5_NO_NOTE:
	case S2:
		break;
	}
}

static void
expect_marks(const struct bench *bench, const struct operation *operation)
{
	if (operation->make == make_mark)
		expect_file(bench->dir, QUEUE_BOUNCE, ID,
		    operation->before == S5 ? "<z>:\nno\n\n<b>:\nno\n\n"
					    : "<b>:\nno\n\n",
		    operation->before == S5 ? 18 : 9);
	if (operation->make == make_mark || operation->make == make_mark_only)
		EXPECT_FILE(bench->dir, QUEUE_LOCAL, ID, "Ta\0Db\0");
}

/* Each call of each operation fails once; then the job is done again. */
static void
each_call_fails(void **state)
{
	struct bench bench;
	unsigned failing = 1;

	(void)state;
	open_bench(&bench);
	for (size_t i = 0; i < OPERATION_COUNT;) {
		const struct operation *operation = &operations[i];
		struct keep_job *job = operation->make(operation->before);
		enum keep_type type = job->type;
		bool is_note_kept;
		int result;

		begin_again(&bench);
		put_before(bench.dir, operation->before);
		calls.failing = failing;
		run_jobs(&bench, &job, 1);
		if (calls.count < failing) { /* that was the last one */
			keep_job_free(&job);
			failing = 1;
			i++;
			continue;
		}
		result = job->result;
		is_note_kept = job->is_note_kept;
		keep_job_free(&job);
		failing++;
		expect_a_state(&bench, operation->before);
		if (result == QQ_OK)
			continue; /* what nobody needs to know of */
		if (type == KEEP_TODO || type == KEEP_REMEMBER)
			expect_undone(&bench, operation->before);
		if (type == KEEP_MARK && !is_note_kept)
			EXPECT_FILE(
			    bench.dir, QUEUE_LOCAL, ID, LOCAL_LIST "\0");
		calls.failing = 0;
		job = operation->make(operation->before);
		if (is_note_kept)
			buf_reset(&job->text[KEEP_BOUNCE]);
		assert_int_equal(run_one(&bench, job), QQ_OK);
		if (type != KEEP_FORGET)
			expect_folders(bench.dir, ID, operation->left);
		else
			assert_false(has(&bench, QUEUE_MESS));
		expect_marks(&bench, operation);
	}
	close_bench(&bench);
}

/* The process is killed after each call of each operation. */
static void
killed_after_each_call(void **state)
{
	struct bench bench;
	unsigned last = 1;

	(void)state;
	open_bench(&bench);
	for (size_t i = 0; i < OPERATION_COUNT;) {
		const struct operation *operation = &operations[i];

		begin_again(&bench);
		put_before(bench.dir, operation->before);
		calls.last = last;
		run_one(&bench, operation->make(operation->before));
		expect_a_state(&bench, operation->before);
		if (calls.count > last++)
			continue;
		last = 1;
		i++;
	}
	close_bench(&bench);
}

/* -- whose failure a sync is */

static struct keep_job *
for_message(uint64_t id, struct keep_job *job)
{
	job->id = id;
	return job;
}

/*
 * Two notes at once, whose folder cannot be synced; a third message lies in the
 * same part of local/, but has no note.
 */
static void
failure_of_a_folder(void **state)
{
	struct keep_job *jobs[3];
	struct bench bench;

	(void)state;
	open_bench(&bench);
	for (uint64_t i = 0; i < 3; i++) {
		put_file(bench.dir, QUEUE_LOCAL, ID + 3 * i, LOCAL_LIST,
		    sizeof(LOCAL_LIST));
		jobs[i] = for_message(ID + 3 * i,
		    keep_mark_job(ID, i == 2 ? "" : "<b>:\nno\n\n"));
	}
	calls.failing_call = "sync bounce/";
	run_jobs(&bench, jobs, 3);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(jobs[i]->result, QQ_WRITE_ERROR);
		assert_non_null(strstr(jobs[i]->err.text, "bounce"));
		assert_false(jobs[i]->is_note_kept);
		EXPECT_FILE(
		    bench.dir, QUEUE_LOCAL, jobs[i]->id, LOCAL_LIST "\0");
		assert_false(
		    has_file(bench.dir, QUEUE_BOUNCE, jobs[i]->id, ""));
	}
	assert_int_equal(jobs[2]->result, QQ_OK);
	EXPECT_FILE(bench.dir, QUEUE_LOCAL, jobs[2]->id, "Ta\0Db\0");
	/* The next time nothing fails. */
	run_jobs(&bench, jobs, 3);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(jobs[i]->result, QQ_OK);
		EXPECT_FILE(bench.dir, QUEUE_LOCAL, jobs[i]->id, "Ta\0Db\0");
		if (i < 2)
			EXPECT_FILE(bench.dir, QUEUE_BOUNCE, jobs[i]->id,
			    "<b>:\nno\n\n");
		keep_job_free(&jobs[i]);
	}
	close_bench(&bench);
}

/* A file is one message's, a part of mess/ is of all that lie in it. */
static void
failure_of_one_part(void **state)
{
	static const struct {
		const char *call;
		bool fails[3]; /* of messages 7 and 10, in one part, and 8 */
	} rows[] = {
		{ "sync mess", { true, false, false } },
		{ "sync mess/", { true, true, false } },
		{ "sync todo/", { true, true, true } },
		{ "move pid todo", { true, false, false } },
	};
	static const uint64_t ids[3] = { 7, 10, 8 };
	struct bench bench;

	(void)state;
	open_bench(&bench);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct keep_job *jobs[3];

		begin_again(&bench);
		for (int j = 0; j < 3; j++)
			jobs[j] = keep_todo_job(ids[j], "text");
		calls.failing_call = rows[i].call;
		run_jobs(&bench, jobs, 3);
		for (int j = 0; j < 3; j++) {
			if ((jobs[j]->result != QQ_OK) != rows[i].fails[j])
				fail_msg("%s: %d", rows[i].call, j);
			expect_folders(
			    bench.dir, ids[j], rows[i].fails[j] ? "" : "mt");
			keep_job_free(&jobs[j]);
		}
	}
	close_bench(&bench);
}

/*
 * The record has its name, and whether that is durable cannot be told, twice:
 * what belongs to it stays, or a crash could leave the record alone.
 */
static void
undo_that_cannot_be_synced(void **state)
{
	static const struct {
		enum before before;
		struct keep_job *(*make)(enum before before);
		const char *call, *left;
	} rows[] = {
		{ FRESH, make_todo, "sync todo/", "m" },
		{ FRESH, make_remember, "sync info/", "mlrb" },
	};
	struct bench bench;

	(void)state;
	open_bench(&bench);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		begin_again(&bench);
		calls.failing_call = rows[i].call;
		calls.fails_always = true;
		assert_int_not_equal(
		    run_one(&bench, rows[i].make(rows[i].before)), QQ_OK);
		expect_folders(bench.dir, ID, rows[i].left);
	}
	close_bench(&bench);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(order_of_calls),
		TEST(forget_syncs_channel_ends),
		TEST(each_call_fails),
		TEST(killed_after_each_call),
		TEST(failure_of_a_folder),
		TEST(failure_of_one_part),
		TEST(undo_that_cannot_be_synced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
