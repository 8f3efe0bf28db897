/* SPDX-License-Identifier: ISC */
#include "smtp/server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/smtp_home.h"

static char *root;
static struct home *home;
static struct smtp_server *server;

static int
setup(void **state)
{
	const struct smtp_kind kind = { .is_lmtp = true };

	(void)state;
	root = smtp_home_make();
	home = home_new();
	server = smtp_server_new(home, &kind, NULL);
	return server == NULL ? -1 : 0;
}

static int
teardown(void **state)
{
	(void)state;
	smtp_server_free(&server);
	home_free(&home);
	tempdir_remove(root);
	return 0;
}

static void
a_reread_replaces_the_snapshot(void **state)
{
	struct smtp_config *first = smtp_server_config(server), *second;
	struct error err;

	(void)state;
	assert_true(server->kind.is_lmtp);
	smtp_home_write(root, "control/databytes", "77\n");
	assert_int_equal(smtp_server_reload(server, &err), 0);
	smtp_home_write(root, "control/databytes", "oops\n");
	assert_int_equal(smtp_server_reload(server, &err), -1);
	assert_non_null(strstr(err.text, "oops"));
	second = smtp_server_config(server);
	assert_int_equal(first->databytes, 0);
	assert_int_equal(second->databytes, 77);
	smtp_config_release(&first);
	smtp_config_release(&second);
}

static void
numbers_are_not_given_twice(void **state)
{
	unsigned long first = smtp_server_next_qp(server);

	(void)state;
	assert_int_equal(smtp_server_next_qp(server), first + 1);
	assert_true(first > (unsigned long)getpid());
}

static void
stop_wakes_who_waits(void **state)
{
	struct smtp_presence waiting = { 0 }, busy = { 0 }, gone = { 0 };
	int pairs[2][2];
	char byte;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pairs[0]), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pairs[1]), 0);
	waiting.fd = pairs[0][0];
	busy.fd = pairs[1][0];
	gone.fd = -1;
	smtp_server_enter(server, &gone);
	smtp_server_enter(server, &waiting);
	smtp_server_enter(server, &busy);
	assert_true(smtp_server_wait(server, &gone));
	smtp_server_leave(server, &gone);
	assert_true(smtp_server_wait(server, &waiting));
	assert_true(smtp_server_wait(server, &busy));
	smtp_server_resume(&busy);
	assert_false(atomic_load(&server->has_stopped));
	smtp_server_stop(server);
	assert_true(atomic_load(&server->has_stopped));
	assert_int_equal(recv(waiting.fd, &byte, 1, MSG_DONTWAIT), 0);
	assert_int_equal(recv(busy.fd, &byte, 1, MSG_DONTWAIT), -1);
	assert_false(smtp_server_wait(server, &busy));
	smtp_server_leave(server, &busy);
	smtp_server_leave(server, &waiting);
	for (size_t i = 0; i < 4; i++)
		close(pairs[i / 2][i % 2]);
}

static void
a_bad_setting_is_told(void **state)
{
	const struct smtp_kind kind = { .is_lmtp = false };
	struct error err;

	(void)state;
	smtp_home_write(root, "control/maxhops", "0\n");
	assert_null(smtp_server_new(home, &kind, &err));
	assert_non_null(strstr(err.text, "maxhops"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    a_reread_replaces_the_snapshot, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    numbers_are_not_given_twice, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    stop_wakes_who_waits, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    a_bad_setting_is_told, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
