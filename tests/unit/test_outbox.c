/* SPDX-License-Identifier: ISC */
/* Tests of base/outbox.c. */
#include "base/outbox.h"

#include <sys/socket.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/packet.h"

static void
pair(int ends[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
}

static void
in_order(void **state)
{
	struct outbox outbox;
	char got[100];
	int ends[2], fd;

	(void)state;
	pair(ends);
	outbox_init(&outbox);
	assert_null(outbox_last(&outbox));
	assert_int_equal(outbox_bytes(&outbox), 0);
	buf_adds(outbox_add(&outbox), "first");
	buf_adds(outbox_add(&outbox), "sec");
	/* The last one may grow. */
	buf_adds(outbox_last(&outbox), "ond");
	assert_int_equal(outbox.count, 2);
	assert_int_equal(outbox_bytes(&outbox), 11);
	assert_true(outbox_send(&outbox, ends[0]));
	assert_int_equal(outbox.count, 0);
	assert_int_equal(outbox_bytes(&outbox), 0);
	assert_int_equal(packet_receive(ends[1], got, sizeof(got), &fd, 0), 5);
	assert_memory_equal(got, "first", 5);
	assert_int_equal(packet_receive(ends[1], got, sizeof(got), &fd, 0), 6);
	assert_memory_equal(got, "second", 6);
	close(ends[0]);
	close(ends[1]);
}

/* What the other side does not take now stays, and is counted. */
static void
a_full_socket(void **state)
{
	static char got[PACKET_MAX], text[10000];
	struct outbox outbox;
	size_t left = 0, taken = 0;
	int ends[2], fd;

	(void)state;
	pair(ends);
	outbox_init(&outbox);
	for (int i = 0; i < 100; i++)
		buf_add(outbox_add(&outbox), text, sizeof(text));
	assert_int_equal(outbox_bytes(&outbox), 100 * sizeof(text));
	assert_true(outbox_send(&outbox, ends[0]));
	left = outbox.count;
	assert_in_range(left, 1, 99);
	assert_int_equal(outbox_bytes(&outbox), left * sizeof(text));
	while (taken < 100) {
		assert_int_equal(
		    packet_receive(ends[1], got, sizeof(got), &fd, 0),
		    sizeof(text));
		taken++;
		assert_true(outbox_send(&outbox, ends[0]));
	}
	assert_int_equal(outbox.count, 0);
	close(ends[0]);
	close(ends[1]);
}

static void
nobody_is_there(void **state)
{
	struct outbox outbox;
	int ends[2];

	(void)state;
	pair(ends);
	close(ends[1]);
	outbox_init(&outbox);
	assert_true(outbox_send(&outbox, ends[0])); /* there is nothing */
	buf_adds(outbox_add(&outbox), "one");
	buf_adds(outbox_add(&outbox), "two");
	assert_false(outbox_send(&outbox, ends[0]));
	assert_int_equal(outbox.count, 0);
	assert_int_equal(outbox_bytes(&outbox), 0);
	outbox_release(&outbox);
	close(ends[0]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_order),
		cmocka_unit_test(a_full_socket),
		cmocka_unit_test(nobody_is_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
