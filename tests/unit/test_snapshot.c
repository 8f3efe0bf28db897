/* SPDX-License-Identifier: ISC */
/* lookupd/snapshot.c, spool.c: what lookupd keeps on disk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "lookupd/snapshot.h"
#include "lookupd/spool.h"
#include "tests/unit/folder.h"

static void
add_password(struct snapshot_writer *writer, const char *local, const char *dir)
{
	const struct query_password password = { .user = { 1, 0, dir, "9S" },
		.hash = "h",
		.scram = "",
		.secret = "",
		.gecos = "" };
	struct buf record = BUF_INIT;
	struct error err;

	query_put_password(&record, &password);
	if (snapshot_writer_add(writer, QUERY_PASSWORD, local, "x.test",
		record.data, record.length, &err) == -1)
		fail_msg("%s", err.text);
	buf_release(&record);
}

static void
make_snapshot(const char *dir, unsigned users, int64_t at_s)
{
	struct error err;
	struct snapshot_writer *writer = snapshot_writer_new(folder, &err);

	assert_non_null(writer);
	for (unsigned i = 0; i < users; i++) {
		char name[16];

		snprintf(name, sizeof(name), "u%u", i);
		add_password(writer, name, dir);
	}
	assert_int_equal(snapshot_writer_add(writer, QUERY_ALIAS, "u0",
			     "x.test", "&a@b", 5, &err),
	    0);
	if (snapshot_writer_commit(&writer, at_s, &err) == -1)
		fail_msg("%s", err.text);
	assert_null(writer);
}

static void
expect_user(const struct snapshot *snapshot, const char *local, int wanted,
    const char *dir)
{
	struct buf record = BUF_INIT;
	struct query_user user;
	struct error err = { "" };
	int result = snapshot_find(
	    snapshot, QUERY_USER, local, "x.test", &record, &err);

	if (result != wanted)
		fail_msg("%s: %d %s", local, result, err.text);
	if (wanted == 1) {
		assert_true(
		    query_get_user(record.data, record.length, &user));
		assert_string_equal(user.dir, dir);
	}
	buf_release(&record);
}

static void
snapshots_replace_each_other(void **state)
{
	struct snapshot *snapshot, *newer;
	struct snapshot_writer *writer;
	struct buf record = BUF_INIT;
	struct error err;
	int64_t start_ms;

	(void)state;
	assert_int_equal(snapshot_open(folder, &snapshot, &err), 0);
	make_snapshot("/old", 1000, 5000);
	start_ms = clock_ms();
	assert_int_equal(snapshot_open(folder, &snapshot, &err), 1);
	expect_user(snapshot, "u999", 1, "/old");
	assert_true(clock_ms() - start_ms < 100);
	expect_user(snapshot, "u1000", 0, NULL);
	assert_int_equal(snapshot_at_s(snapshot), 5000);
	assert_int_equal(snapshot_records(snapshot), 1001);
	assert_int_equal(snapshot_find(snapshot, QUERY_ALIAS, "u0", "x.test",
			     &record, &err),
	    1);
	assert_string_equal(record.data, "&a@b");
	buf_release(&record);

	/* One that is not finished changes nothing. */
	writer = snapshot_writer_new(folder, &err);
	add_password(writer, "u0", "/never");
	snapshot_writer_abort(&writer);
	expect_user(snapshot, "u0", 1, "/old");

	make_snapshot("/new", 10, 6000);
	assert_int_equal(snapshot_open(folder, &newer, &err), 1);
	expect_user(newer, "u9", 1, "/new");
	expect_user(newer, "u10", 0, NULL);
	/* Who has the one before open goes on with it. */
	expect_user(snapshot, "u999", 1, "/old");
	assert_int_equal(
	    access(folder_path("1-00.cdb"), F_OK), -1); /* its name is gone */
	snapshot_free(&snapshot);
	snapshot_free(&newer);
}

/* What is damaged could not tell. */
static void
damage_is_not_absence(void **state)
{
	struct snapshot *snapshot;
	struct error err;

	(void)state;
	make_snapshot("/d", 10, 5000);
	folder_write("snapshot", "0 1 2 3\n", 8);
	assert_int_equal(snapshot_open(folder, &snapshot, &err), -1);
	folder_write("snapshot", "1 77 2 3\n", 9);
	assert_int_equal(snapshot_open(folder, &snapshot, &err), -1);
	make_snapshot("/d", 10, 5000);
	assert_int_equal(snapshot_open(folder, &snapshot, &err), 1);
	snapshot_free(&snapshot);
}

static const struct query login = { .kind = QUERY_LOGIN,
	.local = "a",
	.domain = "x.test",
	.service = "pop3",
	.ip = "::1",
	.opens_relay = true,
	.number = 99 };

static void
spool_keeps_logins(void **state)
{
	char *path = xstrdup(folder_path("spool"));
	struct query got[10];
	struct error err;
	struct spool *spool = spool_open(path, 100, &err);
	unsigned added = 0;

	(void)state;
	assert_non_null(spool);
	assert_int_equal(spool_peek(spool, got, 10), 0);
	while (spool_add(spool, &login, &err) == 0)
		added++;
	assert_int_equal(added, 4); /* of 23 bytes: it is bounded */
	assert_non_null(strstr(err.text, "is full"));
	spool_free(&spool);

	spool = spool_open(path, 100, &err); /* after a restart */
	assert_int_equal(spool_bytes(spool), 92);
	assert_int_equal(spool_peek(spool, got, 3), 3);
	assert_string_equal(got[2].local, "a");
	assert_string_equal(got[2].service, "pop3");
	assert_true(got[2].opens_relay);
	assert_int_equal(got[2].number, 99);
	assert_int_equal(spool_peek(spool, got, 3), 3); /* not dropped yet */
	assert_int_equal(spool_drop(spool, &err), 0);
	assert_int_equal(spool_peek(spool, got, 3), 1);
	assert_int_equal(spool_drop(spool, &err), 0);
	assert_int_equal(spool_bytes(spool), 0);
	assert_int_equal(spool_add(spool, &login, &err), 0);
	spool_free(&spool);
	/* What a crash cut short stops nothing. */
	folder_write("spool", "a\tx.test\tpo", 11);
	spool = spool_open(path, 100, &err);
	assert_int_equal(spool_peek(spool, got, 3), 0);
	assert_int_equal(spool_drop(spool, &err), 0);
	assert_int_equal(spool_bytes(spool), 0);
	spool_free(&spool);
	/* Nor does it take the next one with it, nor what no database takes. */
	folder_write("spool", "a\tx.test\tpop3\t::1\t9999999999999\t1\na\tx",
	    37);
	spool = spool_open(path, 100, &err);
	assert_int_equal(spool_add(spool, &login, &err), 0);
	assert_int_equal(spool_peek(spool, got, 3), 1);
	assert_int_equal(got[0].number, 99);
	assert_int_equal(spool_drop(spool, &err), 0);
	assert_int_equal(spool_bytes(spool), 0);
	/* Somebody has emptied it. */
	assert_int_equal(spool_add(spool, &login, &err), 0);
	assert_int_equal(truncate(path, 0), 0);
	assert_int_equal(spool_peek(spool, got, 3), 0);
	assert_int_equal(spool_drop(spool, &err), 0);
	assert_int_equal(spool_bytes(spool), 0);
	spool_free(&spool);
	free(path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(snapshots_replace_each_other,
		    folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(
		    damage_is_not_absence, folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(
		    spool_keeps_logins, folder_setup, folder_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
