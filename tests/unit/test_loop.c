/* SPDX-License-Identifier: ISC */
/* Tests of base/loop.c. */
#include "base/loop.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sys/epoll.h>
#include <unistd.h>

struct end {
	struct loop *loop;
	struct loop_source source;
	struct end *removes; /* while it is called */
	int other;           /* the pipe's writing end */
	int calls;
	uint32_t events;
};

static void
ready(uint32_t events, void *context)
{
	struct end *end = context;

	end->calls++;
	end->events = events;
	if (end->removes != NULL)
		loop_remove(end->loop, &end->removes->source);
}

static void
open_end(struct end *end, struct loop *loop)
{
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	*end = (struct end){ .loop = loop, .other = ends[1] };
	end->source = (struct loop_source){
		.fd = ends[0], .ready = ready, .context = end
	};
	assert_int_equal(loop_add(loop, &end->source, EPOLLIN, NULL), 0);
}

static void
close_end(struct end *end)
{
	close(end->source.fd);
	close(end->other);
}

static void
calls_what_is_ready(void **state)
{
	struct loop *loop = loop_new();
	struct end first, second;

	(void)state;
	open_end(&first, loop);
	open_end(&second, loop);
	loop_wait(loop, 0);
	assert_int_equal(first.calls + second.calls, 0);
	assert_int_equal(write(second.other, "x", 1), 1);
	loop_wait(loop, -1);
	assert_int_equal(first.calls, 0);
	assert_int_equal(second.calls, 1);
	assert_int_equal(second.events, EPOLLIN);
	loop_wait(loop, -1); /* still ready */
	assert_int_equal(second.calls, 2);
	loop_change(loop, &second.source, 0);
	loop_wait(loop, 0);
	assert_int_equal(second.calls, 2);
	loop_change(loop, &second.source, EPOLLIN);
	loop_wait(loop, 0);
	assert_int_equal(second.calls, 3);
	loop_remove(loop, &second.source);
	loop_wait(loop, 0);
	assert_int_equal(second.calls, 3);
	close_end(&first);
	close_end(&second);
	loop_free(&loop);
	assert_null(loop);
	loop_free(&loop);
}

/* One that is removed while another is called is not called any more. */
static void
removed_while_ready(void **state)
{
	struct loop *loop = loop_new();
	struct end first, second;

	(void)state;
	open_end(&first, loop);
	open_end(&second, loop);
	first.removes = &second;
	second.removes = &first;
	assert_int_equal(write(first.other, "x", 1), 1);
	assert_int_equal(write(second.other, "x", 1), 1);
	loop_wait(loop, -1);
	assert_int_equal(first.calls + second.calls, 1);
	close_end(&first);
	close_end(&second);
	loop_free(&loop);
}

static void
refuses_what_cannot_be_watched(void **state)
{
	struct loop *loop = loop_new();
	struct loop_source source = { .fd = -1, .ready = ready };
	struct error err = { "" };

	(void)state;
	assert_int_equal(loop_add(loop, &source, EPOLLIN, &err), -1);
	assert_string_not_equal(err.text, "");
	loop_free(&loop);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(calls_what_is_ready),
		cmocka_unit_test(removed_while_ready),
		cmocka_unit_test(refuses_what_cannot_be_watched),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
