/* SPDX-License-Identifier: ISC */
/* Tests of queue/health.c. */
#include "queue/health.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/packet.h"
#include "tests/unit/capture.h"
#include "tests/unit/queue_folder.h"

static void
publish_and_read(void **state)
{
	struct queue_dir *dir = make_queue("q", 3);
	struct health sent = { .state = HEALTH_UP,
		.pid = 12,
		.backlog = 5,
		.is_journal_full = true,
		.journal_used_bytes = 6,
		.journal_size_bytes = 7,
		.lanes_backing_off = 8,
		.damaged = 9 };
	struct health got;
	struct health_file *writer;
	struct error err = { "" };
	int64_t age_ms = -1;
	int listener;

	(void)state;
	/* Never run is not the same as damaged. */
	assert_int_equal(health_read(dir->path, &got, &err), 0);
	writer = health_file_create(dir->path, &err);
	assert_non_null(writer);
	health_file_publish(writer, &sent);
	health_look(dir->path, &got, &age_ms, NULL);
	assert_int_equal(got.state, HEALTH_UP);
	assert_int_equal(got.pid, 12);
	assert_int_equal(got.backlog, 5);
	assert_true(got.is_journal_full);
	assert_int_equal(got.journal_used_bytes, 6);
	assert_int_equal(got.journal_size_bytes, 7);
	assert_int_equal(got.lanes_backing_off, 8);
	assert_int_equal(got.damaged, 9);
	assert_in_range(age_ms, 0, 10000);
	sent.backlog = 6;
	health_file_publish(writer, &sent);
	health_look(dir->path, &got, &age_ms, NULL);
	assert_int_equal(got.backlog, 6);
	/* Nobody listens: down, whatever the file says. */
	assert_int_equal(health_read(dir->path, &got, &err), 1);
	assert_int_equal(got.state, HEALTH_DOWN);
	listener = packet_listen(folder_path("q/lock/intake"), 0600, &err);
	assert_int_not_equal(listener, -1);
	assert_int_equal(health_read(dir->path, &got, &err), 1);
	assert_int_equal(got.state, HEALTH_UP);
	age_ms = -1;
	assert_int_equal(health_read_age(dir->path, &got, &age_ms, &err), 1);
	assert_in_range(age_ms, 0, HEALTH_SILENT_MS);
	close(listener);
	health_file_close(&writer);
	queue_dir_close(&dir);
}

static void
damaged_files(void **state)
{
	static const struct {
		const char *name;
		size_t size;
		const char *wanted;
	} rows[] = {
		{ "empty", 0, "damaged" },
		{ "short", 20, "damaged" },
		{ "zeros", 4096, "another version" },
	};
	static char zeros[4096];
	struct queue_dir *dir = make_queue("q", 3);
	struct health_file *file;
	struct health got;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = { "" };

		folder_write("q/lock/health", zeros, rows[i].size);
		assert_int_equal(health_read(dir->path, &got, &err), -1);
		assert_non_null(strstr(err.text, rows[i].wanted));
	}
	/* A new process makes it whole again. */
	file = health_file_create(dir->path, NULL);
	assert_non_null(file);
	health_file_close(&file);
	assert_int_equal(health_read(dir->path, &got, NULL), 1);
	queue_dir_close(&dir);
}

/* What is wrong in a file that a queue has written. */
static void
damaged_in_part(void **state)
{
	static const struct {
		const char *name;
		off_t at; /* in the file: the page's head has 32 bytes */
		char data[9];
		size_t length; /* of data; 0: the file ends there */
	} rows[] = {
		{ "no state", 32, "\4\0\0\0", 4 },
		{ "a negative state", 32, "\377\377\377\377", 4 },
		{ "a negative pid", 36, "\0\0\0\200", 4 },
		{ "a negative time", 40, "\0\0\0\0\0\0\0\200", 8 },
		{ "held, perhaps", 48, "\2", 1 },
		{ "held remote, perhaps", 49, "\377", 1 },
		{ "a full journal, perhaps",
		    32 + offsetof(struct health, is_journal_full), "\3", 1 },
		{ "half written", 16, "\377\377\377\377", 4 },
		{ "another version", 8, "\1", 1 },
		{ "another size", 12, "\1", 1 },
		{ "written later than now", 24, "\0\0\0\0\0\0\0\177", 8 },
		{ "written before the boot", 24, "\0\0\0\0\0\0\0\200", 8 },
		{ "cut short", 100, "", 0 },
		{ "cut off", 0, "", 0 },
	};
	struct queue_dir *dir = make_queue("q", 3);
	struct health good = { .state = HEALTH_UP, .pid = 12 };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct health_file *writer;
		struct health got;
		int64_t age_ms;
		int fd;

		writer = health_file_create(dir->path, NULL);
		assert_non_null(writer);
		health_file_publish(writer, &good);
		fd = open(folder_path("q/lock/health"), O_RDWR | O_CLOEXEC);
		assert_int_not_equal(fd, -1);
		if (rows[i].length == 0)
			assert_int_equal(ftruncate(fd, rows[i].at), 0);
		else
			assert_int_equal(pwrite(fd, rows[i].data,
					     rows[i].length, rows[i].at),
			    rows[i].length);
		health_look(dir->path, &got, &age_ms, NULL);
		if (age_ms != INT64_MAX)
			fail_msg(
			    "%s: age %lld", rows[i].name, (long long)age_ms);
		if (got.state != HEALTH_DOWN && rows[i].at != 24)
			fail_msg("%s: state %d", rows[i].name, got.state);
		close(fd);
		health_file_close(&writer);
	}
	queue_dir_close(&dir);
}

/* No file may grow beyond so many bytes: as a full disk, but it ends. */
static void
limit_files(rlim_t bytes)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* A write that fails ends nobody, is told once, and is tried again. */
static void
failed_writes(void **state)
{
	struct queue_dir *dir = make_queue("q", 3);
	struct health_file *writer = health_file_create(dir->path, NULL);
	struct health health = { .state = HEALTH_UP }, got;
	struct capture capture;
	int64_t age_ms;
	char *said;

	(void)state;
	assert_true(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
	for (int turn = 1; turn <= 2; turn++) {
		limit_files(sizeof(health)); /* the log has room */
		capture = capture_begin(2);
		for (int i = 0; i < 3; i++)
			health_file_publish(writer, &health);
		said = capture_end(&capture);
		limit_files(RLIM_INFINITY);
		assert_non_null(strstr(said, "/q/lock/health'"));
		assert_null(strchr(strchr(said, '\n') + 1, '\n'));
		free(said);
		health.backlog = (uint64_t)turn;
		health_file_publish(writer, &health);
		health_look(dir->path, &got, &age_ms, NULL);
		assert_int_equal(got.state, HEALTH_UP);
		assert_int_equal(got.backlog, turn);
	}
	health_file_close(&writer);
	queue_dir_close(&dir);
}

/* Mail does not wait for the health file. */
static void
cannot_be_made(void **state)
{
	struct queue_dir *dir = make_queue("q", 3);
	struct error err = { "" };

	(void)state;
	assert_int_equal(mkdir(folder_path("q/lock/health"), 0755), 0);
	assert_null(health_file_create(dir->path, &err));
	assert_non_null(strstr(err.text, "/q/lock/health'"));
	queue_dir_close(&dir);
}

/* Whoever owns the queue cannot make others wait. */
static void
no_file(void **state)
{
	struct queue_dir *dir = make_queue("q", 3);
	struct health got;
	struct error err = { "" };

	(void)state;
	assert_int_equal(mkfifo(folder_path("q/lock/health"), 0644), 0);
	assert_int_equal(health_read(dir->path, &got, &err), -1);
	assert_non_null(strstr(err.text, "damaged"));
	assert_int_equal(unlink(folder_path("q/lock/health")), 0);
	assert_int_equal(mkdir(folder_path("q/lock/health"), 0755), 0);
	assert_int_equal(health_read(dir->path, &got, &err), -1);
	queue_dir_close(&dir);
}

static void
write_on(struct health_file *writer)
{
	struct health health = { .state = HEALTH_UP };

	for (;;) {
		health.backlog++;
		health.workers = (uint32_t)health.backlog;
		health_file_publish(writer, &health);
		usleep(10);
	}
}

/* A copy is whole while the writer, another process, goes on. */
static void
copies_are_whole(void **state)
{
	struct queue_dir *dir = make_queue("q", 3);
	struct health_file *writer = health_file_create(dir->path, NULL);
	pid_t pid = fork();
	int torn = 0;

	(void)state;
	if (pid == 0)
		write_on(writer);
	assert_int_not_equal(pid, -1);
	for (int i = 0; i < 100000; i++) {
		struct health got;
		int64_t age_ms;

		health_look(dir->path, &got, &age_ms, NULL);
		torn += (uint32_t)got.backlog != got.workers;
	}
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(torn, 0);
	health_file_close(&writer);
	queue_dir_close(&dir);
}

static void
names(void **state)
{
	(void)state;
	assert_string_equal(health_state_name(HEALTH_DOWN), "down");
	assert_string_equal(health_state_name(HEALTH_STARTING), "starting");
	assert_string_equal(health_state_name(HEALTH_UP), "up");
	assert_string_equal(health_state_name(HEALTH_STOPPING), "stopping");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(publish_and_read),
		TEST(damaged_files),
		TEST(damaged_in_part),
		TEST(failed_writes),
		TEST(cannot_be_made),
		TEST(no_file),
		TEST(copies_are_whole),
		cmocka_unit_test(names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
