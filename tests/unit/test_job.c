/* SPDX-License-Identifier: ISC */
/* Tests of queue/job.c. */
#include "queue/job.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

/* No shorter and no longer packet is one. */
#define CHECK_LENGTHS(get, buf, out)                                \
	do {                                                        \
		for (size_t n = 0; n < (buf)->length; n++)          \
			assert_false(get((buf)->data, n, out));     \
		buf_addc(buf, 'x');                                 \
		assert_false(get((buf)->data, (buf)->length, out)); \
	} while (0)

static void
hello(void **state)
{
	static const enum job_channel channels[] = { JOB_VIRTUAL, JOB_LOCAL,
		JOB_REMOTE };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct job_hello sent = { .version = 77,
			.channel = channels[i] };
		struct job_hello got;
		struct buf buf = BUF_INIT;

		job_put_hello(&buf, &sent);
		assert_true(job_get_hello(buf.data, buf.length, &got));
		assert_int_equal(got.version, 77);
		assert_int_equal(got.channel, channels[i]);
		buf.data[buf.length - 1] = 'x';
		assert_false(job_get_hello(buf.data, buf.length, &got));
		buf.data[buf.length - 1] = (char)channels[i];
		CHECK_LENGTHS(job_get_hello, &buf, &got);
		buf_release(&buf);
	}
}

static void
whole_job(void **state)
{
	static const struct job sent = { .delivery = 0xfedcba98,
		.message_id = UINT64_MAX - 1,
		.sender = "",
		.recipient = "d-u@d",
		.user = "d",
		.uid = 1,
		.gid = 2,
		.home = "/home",
		.dash = "-",
		.extension = "u",
		.header = "X-A: b\n" };
	struct job got;
	struct buf buf = BUF_INIT;

	(void)state;
	job_put(&buf, &sent);
	assert_true(job_get(buf.data, buf.length, &got));
	assert_int_equal(got.delivery, sent.delivery);
	assert_int_equal(got.message_id, sent.message_id);
	assert_string_equal(got.sender, sent.sender);
	assert_string_equal(got.recipient, sent.recipient);
	assert_string_equal(got.user, sent.user);
	assert_int_equal(got.uid, 1);
	assert_int_equal(got.gid, 2);
	assert_string_equal(got.home, sent.home);
	assert_string_equal(got.dash, sent.dash);
	assert_string_equal(got.extension, sent.extension);
	assert_string_equal(got.header, sent.header);
	CHECK_LENGTHS(job_get, &buf, &got);
	buf_release(&buf);
}

/* A packet with one result and nothing else. */
static bool
take(const char *data, size_t length, struct job_result *out)
{
	return job_take_result(&data, &length, out) && length == 0;
}

static void
result(void **state)
{
	static const struct {
		char outcome;
		bool wanted;
	} rows[] = { { 'K', true }, { 'Z', true }, { 'D', true }, { 'G', true },
		{ 'k', false }, { 0, false } };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct job_result sent = { .delivery = 9,
			.outcome = (enum job_outcome)rows[i].outcome,
			.text = "two\nlines\n" };
		struct job_result got;
		struct buf buf = BUF_INIT;

		job_put_result(&buf, &sent);
		assert_int_equal(
		    take(buf.data, buf.length, &got), rows[i].wanted);
		if (rows[i].wanted) {
			assert_int_equal(got.delivery, 9);
			assert_int_equal(got.outcome, rows[i].outcome);
			assert_string_equal(got.text, sent.text);
		}
		CHECK_LENGTHS(take, &buf, &got);
		buf_release(&buf);
	}
}

static void
several_results(void **state)
{
	static const char *const texts[] = { "one\n", "", "three\n" };
	struct job_result got;
	struct buf buf = BUF_INIT;
	const char *data;
	size_t length;
	uint32_t i;

	(void)state;
	for (i = 0; i < 3; i++)
		job_put_result(&buf,
		    &(struct job_result){ .delivery = i,
			.outcome = JOB_TEMPFAIL,
			.text = texts[i] });
	buf_addc(&buf, 'x'); /* a bad end */
	data = buf.data;
	length = buf.length;
	for (i = 0; i < 3; i++) {
		assert_true(job_take_result(&data, &length, &got));
		assert_int_equal(got.delivery, i);
		assert_string_equal(got.text, texts[i]);
	}
	assert_int_equal(length, 1);
	assert_false(job_take_result(&data, &length, &got));
	assert_int_equal(length, 1);
	buf_release(&buf);
}

/* A text with a NUL inside, or without one at its end, is none. */
static void
nul(void **state)
{
	struct job_result sent = {
		.delivery = 1, .outcome = JOB_DELIVERED, .text = "abc"
	};
	struct job_result got;
	struct buf buf = BUF_INIT;

	(void)state;
	job_put_result(&buf, &sent);
	buf.data[buf.length - 1] = 'd';
	assert_false(take(buf.data, buf.length, &got));
	buf.data[buf.length - 1] = '\0';
	buf.data[buf.length - 3] = '\0';
	assert_false(take(buf.data, buf.length, &got));
	buf_release(&buf);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hello),
		cmocka_unit_test(whole_job),
		cmocka_unit_test(result),
		cmocka_unit_test(several_results),
		cmocka_unit_test(nul),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
