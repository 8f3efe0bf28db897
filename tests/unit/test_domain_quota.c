/* SPDX-License-Identifier: ISC */
#include "delivery/domain_quota.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "tests/unit/tempdir.h"

static char *root;

static void
put(const char *folder, const char *name, const char *text)
{
	OWN_TEXT path = xasprintf("%s/%s", root, folder);
	OWN_TEXT file = xasprintf("%s/%s", path, name);
	struct error err;

	assert_int_equal(file_make_dirs(path, 0700, &err), 0);
	assert_int_equal(file_replace(file, text, strlen(text), 0600, &err), 0);
}

/* What maildirsize says; where there is none, what is there. */
static void
all_maildirs_count(void **state)
{
	struct quota_usage usage;
	struct error err;

	(void)state;
	root = tempdir_make();
	put("al/Maildir", "maildirsize", "1000S\n300 2\n-100 -1\n");
	put("a/b/bo/Maildir/new", "1.x,S=50", "x");
	put("a/b/bo/Maildir/cur", "2.x,S=7:2,S", "x");
	put("a/b/bo/Maildir/.Lists/cur", "3.x,S=1000:2,S", "x");
	put("a/b/bo/Maildir/tmp", "4", "not yet");
	put("a/b/bo/Maildir/.Trash/cur", "5.x,S=9:2,S", "x");
	put("cy", "Mailbox", "none");
	put("dd/Maildir", "maildirsize", "damaged");
	assert_int_equal(domain_quota_count(root, &usage, &err), 0);
	assert_int_equal(usage.bytes, 200 + 1057);
	assert_int_equal(usage.count, 1 + 3);
	tempdir_remove(root);
	assert_int_equal(domain_quota_count("/nonexistent", &usage, &err), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_maildirs_count),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
