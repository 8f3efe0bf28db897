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
packet_types(void **state)
{
	(void)state;
	assert_int_equal(job_packet_type("", 0), 0);
	assert_int_equal(job_packet_type("xyz", 3), 0);
	assert_int_equal(job_packet_type("\0", 1), 0);
	for (const char *at = "htjrban"; *at != '\0'; at++)
		assert_int_equal(job_packet_type(at, 1), *at);
}

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
		assert_int_equal(job_packet_type(buf.data, buf.length), 'h');
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
take(void **state)
{
	const struct job_take sent = { 500, UINT64_MAX - 7, true };
	struct job_take got;
	struct buf buf = BUF_INIT;

	(void)state;
	job_put_take(&buf, &sent);
	assert_int_equal(job_packet_type(buf.data, buf.length), 't');
	assert_true(job_get_take(buf.data, buf.length, &got));
	assert_int_equal(got.recipients, 500);
	assert_int_equal(got.bytes, UINT64_MAX - 7);
	assert_true(got.by_sender);
	CHECK_LENGTHS(job_get_take, &buf, &got);
	buf_release(&buf);
}

static void
backoff(void **state)
{
	const struct job_backoff sent = { "example.org", 300, "no answer" };
	struct job_backoff got;
	struct buf buf = BUF_INIT;

	(void)state;
	job_put_backoff(&buf, &sent);
	assert_int_equal(job_packet_type(buf.data, buf.length), 'b');
	assert_true(job_get_backoff(buf.data, buf.length, &got));
	assert_string_equal(got.lane, "example.org");
	assert_int_equal(got.seconds, 300);
	assert_string_equal(got.reason, "no answer");
	CHECK_LENGTHS(job_get_backoff, &buf, &got);
	buf_release(&buf);
}

static void
wake(void **state)
{
	const char *got;
	struct buf buf = BUF_INIT;

	(void)state;
	job_put_wake(&buf, "example.org");
	assert_int_equal(job_packet_type(buf.data, buf.length), 'w');
	assert_true(job_get_wake(buf.data, buf.length, &got));
	assert_string_equal(got, "example.org");
	CHECK_LENGTHS(job_get_wake, &buf, &got);
	buf_release(&buf);
}

static void
ask(void **state)
{
	const char *got;
	enum job_wish wish = JOB_WISH_NONE;
	struct buf buf = BUF_INIT;

	(void)state;
	job_put_ask(&buf, "example.org", JOB_WISH_ANYWAY);
	assert_int_equal(job_packet_type(buf.data, buf.length), 'a');
	assert_true(job_get_ask(buf.data, buf.length, &got, &wish));
	assert_string_equal(got, "example.org");
	assert_int_equal(wish, JOB_WISH_ANYWAY);
	for (size_t length = 0; length < buf.length; length++)
		assert_false(job_get_ask(buf.data, length, &got, &wish));
	buf.data[buf.length - 1] = JOB_WISH_ANYWAY + 1;
	assert_false(job_get_ask(buf.data, buf.length, &got, &wish));
	buf_release(&buf);
}

static void
room(void **state)
{
	const struct job_room sent = { "example.org", UINT32_MAX - 7 };
	struct job_room got;
	struct buf buf = BUF_INIT;

	(void)state;
	job_put_room(&buf, &sent);
	assert_int_equal(job_packet_type(buf.data, buf.length), 'n');
	assert_true(job_get_room(buf.data, buf.length, &got));
	assert_string_equal(got.lane, "example.org");
	assert_int_equal(got.jobs, UINT32_MAX - 7);
	CHECK_LENGTHS(job_get_room, &buf, &got);
	buf_release(&buf);
}

/* Checks one job and all that is shorter or longer. */
static bool
get_job(const void *data, size_t length, struct job *out)
{
	static struct job_recipient recipients[JOB_RECIPIENTS_MAX];

	return job_get(data, length, recipients, out);
}

static struct job_recipient two[] = {
	{ 0xfedcba98, "d-u@d", "d", "/home/d", "-", "u", " NOTIFY=NEVER" },
	{ 3, "d-v@d", "d", "/home/d", "-", "v", "" },
};

static struct job
some_job(void)
{
	return (struct job){
		.message_id = UINT64_MAX - 1,
		.uuid = { { 1, 2, 3, 0xff } },
		.lane = "virtual",
		.birth_s = -5,
		.attempt = 9,
		.size_bytes = 4,
		.sender = "",
		.header = "X-A: b\n",
		.dsn = " RET=HDRS",
		.needs_tls = true,
		.body = "a\0\nb",
		.recipients = two,
		.recipient_count = 2,
	};
}

static void
assert_same_job(const struct job *got, const struct job *sent)
{
	size_t i;

	assert_int_equal(got->message_id, sent->message_id);
	assert_true(uuid_is_equal(&got->uuid, &sent->uuid));
	assert_string_equal(got->lane, sent->lane);
	assert_int_equal(got->birth_s, sent->birth_s);
	assert_int_equal(got->attempt, sent->attempt);
	assert_int_equal(got->size_bytes, sent->size_bytes);
	assert_string_equal(got->sender, sent->sender);
	assert_string_equal(got->header, sent->header);
	assert_string_equal(got->dsn, sent->dsn);
	assert_int_equal(got->needs_tls, sent->needs_tls);
	assert_int_equal(got->recipient_count, sent->recipient_count);
	for (i = 0; i < sent->recipient_count; i++) {
		const struct job_recipient *a = &got->recipients[i];
		const struct job_recipient *b = &sent->recipients[i];

		assert_int_equal(a->delivery, b->delivery);
		assert_string_equal(a->recipient, b->recipient);
		assert_string_equal(a->user, b->user);
		assert_string_equal(a->home, b->home);
		assert_string_equal(a->dash, b->dash);
		assert_string_equal(a->extension, b->extension);
		assert_string_equal(a->dsn, b->dsn);
	}
}

static void
whole_job(void **state)
{
	struct job sent = some_job();
	struct job got;
	struct buf buf = BUF_INIT;

	(void)state;
	job_put(&buf, &sent);
	assert_int_equal(job_packet_type(buf.data, buf.length), 'j');
	assert_true(get_job(buf.data, buf.length, &got));
	assert_same_job(&got, &sent);
	assert_memory_equal(got.body, sent.body, 4);
	CHECK_LENGTHS(get_job, &buf, &got);
	buf_release(&buf);
}

static void
job_whose_body_is_elsewhere(void **state)
{
	struct job sent = some_job();
	struct job got;
	struct buf buf = BUF_INIT;

	(void)state;
	sent.size_bytes = (uint64_t)1 << 40;
	sent.body = NULL;
	job_put(&buf, &sent);
	assert_true(get_job(buf.data, buf.length, &got));
	assert_same_job(&got, &sent);
	assert_null(got.body);
	CHECK_LENGTHS(get_job, &buf, &got);
	buf_release(&buf);
}

static void
empty_body(void **state)
{
	struct job sent = some_job();
	struct job got;
	struct buf buf = BUF_INIT;

	(void)state;
	sent.size_bytes = 0;
	job_put(&buf, &sent);
	assert_true(get_job(buf.data, buf.length, &got));
	assert_same_job(&got, &sent);
	assert_non_null(got.body);
	buf_release(&buf);
}

/* The length of a body is the committed one, and bounded. */
static void
body_of_another_length(void **state)
{
	static const char large[JOB_BODY_MAX + 1];
	struct job sent = some_job();
	struct job got;
	struct buf buf = BUF_INIT;
	char *size;

	(void)state;
	job_put(&buf, &sent);
	/* type, number, UUID, lane, birth, attempt */
	size = buf.data + 1 + 8 + 16 + 4 + sizeof("virtual") + 8 + 4;
	assert_int_equal(*size, 4);
	*size = 5;
	assert_false(get_job(buf.data, buf.length, &got));
	*size = 4;
	assert_true(get_job(buf.data, buf.length, &got));
	buf_reset(&buf);
	sent.body = large;
	sent.size_bytes = JOB_BODY_MAX;
	job_put(&buf, &sent);
	assert_true(get_job(buf.data, buf.length, &got));
	buf_reset(&buf);
	sent.size_bytes++;
	job_put(&buf, &sent);
	assert_false(get_job(buf.data, buf.length, &got));
	buf_release(&buf);
}

static void
number_of_recipients(void **state)
{
	static const struct {
		size_t count;
		bool wanted;
	} rows[] = { { 0, false }, { 1, true }, { JOB_RECIPIENTS_MAX, true },
		{ JOB_RECIPIENTS_MAX + 1, false } };
	struct job_recipient many[JOB_RECIPIENTS_MAX + 1];
	struct job sent = some_job();
	struct job got;
	size_t i;

	(void)state;
	for (i = 0; i <= JOB_RECIPIENTS_MAX; i++) {
		many[i] = two[0];
		many[i].delivery = (uint32_t)i;
	}
	sent.recipients = many;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf buf = BUF_INIT;

		sent.recipient_count = rows[i].count;
		job_put(&buf, &sent);
		assert_int_equal(
		    get_job(buf.data, buf.length, &got), rows[i].wanted);
		if (rows[i].wanted)
			assert_same_job(&got, &sent);
		buf_release(&buf);
	}
}

/* A packet with one result and nothing else. */
static bool
take_one(const char *data, size_t length, struct job_result *out)
{
	return job_open_results(&data, &length) &&
	    job_take_result(&data, &length, out) && length == 0;
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
		assert_int_equal(job_packet_type(buf.data, buf.length), 'r');
		assert_int_equal(
		    take_one(buf.data, buf.length, &got), rows[i].wanted);
		if (rows[i].wanted) {
			assert_int_equal(got.delivery, 9);
			assert_int_equal(got.outcome, rows[i].outcome);
			assert_string_equal(got.text, sent.text);
		}
		CHECK_LENGTHS(take_one, &buf, &got);
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
	assert_true(job_open_results(&data, &length));
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
	assert_false(take_one(buf.data, buf.length, &got));
	buf.data[buf.length - 1] = '\0';
	buf.data[buf.length - 3] = '\0';
	assert_false(take_one(buf.data, buf.length, &got));
	buf_release(&buf);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packet_types),
		cmocka_unit_test(hello),
		cmocka_unit_test(take),
		cmocka_unit_test(backoff),
		cmocka_unit_test(ask),
		cmocka_unit_test(wake),
		cmocka_unit_test(room),
		cmocka_unit_test(whole_job),
		cmocka_unit_test(job_whose_body_is_elsewhere),
		cmocka_unit_test(empty_body),
		cmocka_unit_test(body_of_another_length),
		cmocka_unit_test(number_of_recipients),
		cmocka_unit_test(result),
		cmocka_unit_test(several_results),
		cmocka_unit_test(nul),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
