/* SPDX-License-Identifier: ISC */
/* Tests of control/layout.c. */
#include "control/layout.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

static void
paths(void **state)
{
	static const struct {
		enum layout_id id;
		const char *wanted;
	} rows[] = {
		{ LAYOUT_root, "/n" },
		{ LAYOUT_control, "/n/control" },
		{ LAYOUT_setting, "/n/control/A" },
		{ LAYOUT_assign_cdb, "/n/users/cdb" },
		{ LAYOUT_service_log_run, "/n/service/A/log/run" },
		{ LAYOUT_service_var, "/n/service/A/variables/b" },
		{ LAYOUT_vpasswd, "/d/A/vpasswd" },
		{ LAYOUT_maildir_part, "/d/A/b/Maildir/c" },
		{ LAYOUT_queue, "/n/queue/A" },
		{ LAYOUT_queue_trigger, "/n/queue/A/lock/trigger" },
		{ LAYOUT_unit, "/etc/systemd/system/A" },
	};
	struct home *home;

	(void)state;
	setenv("DOMAINDIR", "/d", 1);
	home = home_at("/n");
	unsetenv("DOMAINDIR");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *path = layout_path(home, rows[i].id, "A", "b", "c");

		assert_string_equal(path, rows[i].wanted);
		free(path);
	}
	home_free(&home);
	{
		char *path = layout_domain_path("/x", LAYOUT_vpasswd_cdb);

		assert_string_equal(path, "/x/vpasswd.cdb");
		free(path);
	}
	assert_string_equal(layout_below(LAYOUT_queue, LAYOUT_queue), "");
	assert_string_equal(
	    layout_below(LAYOUT_queue, LAYOUT_queue_mess), "mess");
	assert_string_equal(
	    layout_below(LAYOUT_queue, LAYOUT_queue_trigger), "lock/trigger");
}

/* What is made by a row is right by it, and each path stands there once. */
static void
rows_fit_themselves(void **state)
{
	(void)state;
	for (unsigned i = 0; i < LAYOUT_COUNT; i++) {
		const struct layout_row *row = &layout_rows[i];

		assert_int_equal(row->mode & row->forbidden, 0);
		assert_int_equal(row->mode & row->needed, row->needed);
		for (unsigned j = 0; j < i; j++)
			assert_string_not_equal(row->path, layout_rows[j].path);
	}
}

static void
judgement(void **state)
{
	static const struct {
		enum layout_id id;
		mode_t mode;
		uid_t uid;
		const char *kind, *fault, *owner;
		mode_t right_mode;
	} rows[] = {
		{ LAYOUT_control, S_IFDIR | 0755, 7, "", "", "", 0755 },
		{ LAYOUT_control, S_IFDIR | 0700, 7, "", "", "", 0700 },
		{ LAYOUT_control, S_IFDIR | 01777, 7, "",
		    "its mode is 1777, which lets others change it", "",
		    01755 },
		{ LAYOUT_setting, S_IFREG | 0664, 7, "",
		    "its mode is 664, which lets others change it", "", 0644 },
		{ LAYOUT_setting, S_IFREG | 0620, 7, "",
		    "its mode is 620, which lets others change it", "", 0600 },
		{ LAYOUT_setting, S_IFDIR | 0777, 7, "it is not a file", "", "",
		    0 },
		{ LAYOUT_servercert, S_IFREG | 0644, 7, "",
		    "its mode is 644, which lets others read it", "", 0640 },
		{ LAYOUT_servercert, S_IFREG | 0000, 7, "", "", "", 0 },
		{ LAYOUT_service_run, S_IFREG | 0644, 7, "",
		    "its mode is 644, which does not let its owner run it", "",
		    0755 },
		{ LAYOUT_service_run, S_IFREG | 0666, 7, "",
		    "its mode is 666, which lets others change it", "", 0755 },
		{ LAYOUT_maildir, S_IFDIR | 0500, 7, "",
		    "its mode is 500, which does not let its owner use it", "",
		    0700 },
		{ LAYOUT_queue_trigger, S_IFIFO | 0622, 8, "", "",
		    "it belongs to uid 8, and should to uid 7", 0622 },
		{ LAYOUT_queue_trigger, S_IFREG | 0622, 7,
		    "it is not a named pipe", "", "", 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct stat st = { .st_mode = rows[i].mode,
			.st_uid = rows[i].uid };
		struct layout_faults faults;
		bool is_right = layout_judge(rows[i].id, &st, 7, &faults);

		assert_string_equal(faults.kind, rows[i].kind);
		assert_string_equal(faults.mode, rows[i].fault);
		assert_string_equal(faults.owner, rows[i].owner);
		assert_int_equal(faults.right_mode, rows[i].right_mode);
		assert_int_equal(is_right,
		    *rows[i].kind == 0 && *rows[i].fault == 0 &&
			*rows[i].owner == 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths),
		cmocka_unit_test(rows_fit_themselves),
		cmocka_unit_test(judgement),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
