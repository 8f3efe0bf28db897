/* SPDX-License-Identifier: ISC */
/* Tests of queue/send_limits.c. */
#include "queue/send_client.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/folder.h"

enum { SMTPD = 40001, ONE = 50001, TWO = 50002, MANY = 50003, MIB = 1 << 20 };

/* A queue with clients that are never run: only counted. */
struct bench {
	struct send send;
	struct client clients[300];
	size_t count;
};

static struct client *
add_client(struct bench *bench, unsigned long uid)
{
	struct client *client = &bench->clients[bench->count++];

	bench->send.smtpd_uid = SMTPD;
	*client = (struct client){
		.send = &bench->send, .uid = uid, .next = bench->send.clients
	};
	client->spare.mess_fd = -1;
	bench->send.clients = client;
	return client;
}

static void
who_is_trusted(void **state)
{
	const struct {
		const char *name;
		unsigned long uid;
		bool wanted;
	} rows[] = {
		{ "root", 0, true },
		{ "the queue's user", getuid(), true },
		{ "qmaild", SMTPD, true },
		{ "another", ONE, false },
		{ "nobody", (uid_t)-1, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct bench bench = { .count = 0 };
		struct client *client = add_client(&bench, rows[i].uid);

		if (client_is_trusted(client) != rows[i].wanted)
			fail_msg("%s", rows[i].name);
	}
}

/* The last one to come is asked; MANY are all of different users. */
static void
connections(void **state)
{
	static const struct {
		const char *name;
		unsigned ones, twos, many, trusted;
		unsigned long last;
		bool wanted;
	} rows[] = {
		{ "the first", 0, 0, 0, 0, ONE, false },
		{ "the 32nd of a user", 31, 0, 0, 0, ONE, false },
		{ "the 33rd of a user", 32, 0, 0, 0, ONE, true },
		{ "another user's first", 32, 0, 0, 0, TWO, false },
		{ "another user's 32nd", 32, 31, 0, 0, TWO, false },
		{ "the 256th", 0, 0, 255, 0, ONE, false },
		{ "the 257th", 0, 0, 256, 0, ONE, true },
		{ "the 257th of two users and many", 30, 30, 196, 0, ONE,
		    true },
		{ "trusted ones are not counted", 31, 0, 200, 60, ONE, false },
		{ "nor refused", 32, 0, 224, 40, SMTPD, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct bench *bench = calloc(1, sizeof(*bench));
		unsigned n;

		assert_non_null(bench);
		for (n = 0; n < rows[i].ones; n++)
			add_client(bench, ONE);
		for (n = 0; n < rows[i].twos; n++)
			add_client(bench, TWO);
		for (n = 0; n < rows[i].many; n++)
			add_client(bench, MANY + n);
		for (n = 0; n < rows[i].trusted; n++)
			add_client(bench, SMTPD);
		if (client_is_one_too_many(add_client(bench, rows[i].last)) !=
		    rows[i].wanted)
			fail_msg("%s", rows[i].name);
		free(bench);
	}
}

static void
envelopes(void **state)
{
	static const struct {
		const char *name;
		unsigned long uid;
		size_t own, piece; /* bytes */
		unsigned others;   /* strangers with 16 MiB each */
		unsigned trusted;  /* the same of qmaild */
		bool wanted;
	} rows[] = {
		{ "little", ONE, 0, 100, 0, 0, false },
		{ "16 MiB", ONE, 16 * MIB - 100, 100, 0, 0, false },
		{ "more", ONE, 16 * MIB - 100, 101, 0, 0, true },
		{ "more, trusted", SMTPD, 16 * MIB - 100, 101, 0, 0, true },
		{ "64 MiB of all", ONE, 16 * MIB - 100, 100, 3, 0, false },
		{ "more of all", ONE, 100, 16 * MIB - 199, 3, 0, false },
		{ "a byte more of all", ONE, 0, 1, 4, 0, true },
		{ "a byte less of all", ONE, 0, 0, 4, 0, false },
		{ "trusted ones are not counted", ONE, 0, 1, 3, 9, false },
		{ "nor refused", SMTPD, 0, 100, 9, 9, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct bench *bench = calloc(1, sizeof(*bench));
		struct client *client;
		unsigned n;

		assert_non_null(bench);
		for (n = 0; n < rows[i].others; n++)
			add_client(bench, TWO)->envelope.length = 16 * MIB;
		for (n = 0; n < rows[i].trusted; n++)
			add_client(bench, SMTPD)->envelope.length = 16 * MIB;
		client = add_client(bench, rows[i].uid);
		client->envelope.length = rows[i].own;
		if (client_is_too_much(client, rows[i].piece) != rows[i].wanted)
			fail_msg("%s", rows[i].name);
		free(bench);
	}
}

static void
recipients(void **state)
{
	static const struct {
		const char *name;
		unsigned long uid;
		size_t count;
		bool wanted;
	} rows[] = {
		{ "none", ONE, 0, false },
		{ "many", ONE, 100000, false },
		{ "too many", ONE, 100001, true },
		{ "too many, trusted", SMTPD, 100001, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct bench bench = { .count = 0 };

		if (client_has_too_many(add_client(&bench, rows[i].uid),
			rows[i].count) != rows[i].wanted)
			fail_msg("%s", rows[i].name);
	}
}

static void
holes(void **state)
{
	static const struct {
		const char *name;
		off_t written, size; /* bytes of the file */
		uint64_t said;
		bool wanted;
	} rows[] = {
		{ "empty", 0, 0, 0, false },
		{ "whole", 300000, 300000, 300000, false },
		{ "small holes", 4096, 60000, 60000, false },
		{ "large holes", 4096, 300000, 4096, true },
		{ "nothing but a hole", 0, 70000, 0, true },
		{ "says too much", 4096, 4096, 300000, true },
		{ "says less", 300000, 300000, 10, false },
	};
	static char data[300000];

	(void)state;
	memset(data, 'x', sizeof(data));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct bench bench = { .count = 0 };
		struct client *client = add_client(&bench, ONE);
		int fd = open(folder_path("file"),
		    O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

		assert_int_not_equal(fd, -1);
		assert_int_equal(
		    write(fd, data, (size_t)rows[i].written), rows[i].written);
		assert_int_equal(ftruncate(fd, rows[i].size), 0);
		assert_int_equal(fsync(fd), 0); /* blocks are counted */
		client->spare.mess_fd = fd;
		if (client_is_sparse(client, rows[i].said) != rows[i].wanted)
			fail_msg("%s", rows[i].name);
		close(fd);
		if (!client_is_sparse(client, 0))
			fail_msg("cannot be told: %s", rows[i].name);
	}
}

static void
silence(void **state)
{
	enum { HOUR_MS = 3600 * 1000, NOW_MS = 100 * HOUR_MS };
	static const struct {
		const char *name;
		unsigned long uid;
		enum client_state state;
		bool is_gone;
		int64_t silent_ms; /* since the last packet */
		time_t unwritten_s;
		bool wanted;
	} rows[] = {
		{ "idle for less", ONE, CLIENT_IDLE, false, HOUR_MS - 1, 0,
		    false },
		{ "idle", ONE, CLIENT_IDLE, false, HOUR_MS, 0, true },
		{ "idle, trusted", SMTPD, CLIENT_IDLE, false, 9 * HOUR_MS, 0,
		    false },
		{ "idle, gone", ONE, CLIENT_IDLE, true, HOUR_MS, 0, false },
		{ "it writes", ONE, CLIENT_OPEN, false, 9 * HOUR_MS, 3599,
		    false },
		{ "it does nothing", ONE, CLIENT_OPEN, false, HOUR_MS, 3600,
		    true },
		{ "nor a trusted one", SMTPD, CLIENT_OPEN, false, HOUR_MS, 3600,
		    true },
		{ "just opened, an old file", ONE, CLIENT_OPEN, false, 1000,
		    90000, false },
		{ "we are at work", ONE, CLIENT_COMMITTING, false, 9 * HOUR_MS,
		    90000, false },
	};
	time_t now = 1700000000;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct bench bench = { .count = 0 };
		struct client *client = add_client(&bench, rows[i].uid);
		struct timespec times[2] = { { .tv_nsec = UTIME_OMIT },
			{ .tv_sec = now - rows[i].unwritten_s } };

		client->spare.mess_fd = open(folder_path("file"),
		    O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		assert_int_not_equal(client->spare.mess_fd, -1);
		assert_int_equal(futimens(client->spare.mess_fd, times), 0);
		client->state = rows[i].state;
		client->is_gone = rows[i].is_gone;
		client->active_at = NOW_MS - rows[i].silent_ms;
		if (client_is_asleep(client, NOW_MS, now) != rows[i].wanted)
			fail_msg("%s", rows[i].name);
		close(client->spare.mess_fd);
	}
}

/* Descriptors are taken until as many are left as the row says. */
static void
files(void **state)
{
	enum { MAX = 800, LEFT = MAX / FILES_LEFT_PART };
	static const struct {
		const char *name;
		unsigned left; /* before what is asked for */
		unsigned wanted;
		bool answer;
	} rows[] = {
		{ "many", MAX / 2, CLIENT_FILES, true },
		{ "just enough", LEFT + CLIENT_FILES, CLIENT_FILES, true },
		{ "one too few", LEFT + CLIENT_FILES - 1, CLIENT_FILES, false },
		{ "for a connection", LEFT + CLIENT_FILES - 1, 1, true },
		{ "just enough for one", LEFT / 2 + 1, 1, true },
		{ "none for one", LEFT / 2, 1, false },
		{ "nothing", 0, 1, false },
	};
	struct rlimit limit;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	if (limit.rlim_cur < MAX)
		skip();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct send send = { .files_max = MAX, .files_used = MAX };
		int fds[MAX], count = 0;
		unsigned used = 0;
		bool answer;

		for (int fd = 0; fd < MAX; fd++)
			used += fcntl(fd, F_GETFD) != -1;
		while (used + count < MAX - rows[i].left)
			fds[count++] = dup(0);
		answer = client_has_files(&send, rows[i].wanted);
		/* What is known to be short is not asked again at once. */
		if (!answer && client_has_files(&send, rows[i].wanted))
			fail_msg("%s: again", rows[i].name);
		while (count > 0)
			close(fds[--count]);
		if (answer != rows[i].answer)
			fail_msg("%s", rows[i].name);
	}
}

/* Between two counts what is taken is added up, until a count says better. */
static void
files_are_counted(void **state)
{
	struct send send = { .files_max = 800, .files_used = 0 };

	(void)state;
	for (unsigned n = 0; n < 1000; n++)
		assert_true(client_has_files(&send, CLIENT_FILES));
	assert_true(send.files_used < 800);
	client_recount_files(&send);
	assert_true(client_has_files(&send, CLIENT_FILES));
	assert_true(send.files_used < 700);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_is_trusted),
		cmocka_unit_test(connections),
		cmocka_unit_test(envelopes),
		cmocka_unit_test(recipients),
		cmocka_unit_test(files),
		cmocka_unit_test(files_are_counted),
		cmocka_unit_test_setup_teardown(
		    holes, folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(
		    silence, folder_setup, folder_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
