/* SPDX-License-Identifier: ISC */
/* adminsrv/bulk.c: lists of new users. */
#include <crypt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "adminsrv/bulk.h"
#include "base/mem.h"

static int
read_text(const char *text, enum bulk_password kind, struct bulk *bulk,
    struct error *err)
{
	char *copy = xstrdup(text);
	FILE *file = fmemopen(copy, strlen(copy), "r");
	int result = bulk_read(file, kind, "9S", bulk, err);

	fclose(file);
	free(copy);
	return result;
}

static void
reads_lists(void **state)
{
	struct error err;
	struct bulk bulk;

	(void)state;
	assert_int_equal(read_text("# new ones\n"
				   "Alice@A.test  secret\n"
				   "\n"
				   "bob@b.test\tp:w 10M,5C\r\n"
				   "carol@a.test x",
			     BULK_CLEAR, &bulk, &err),
	    0);
	assert_int_equal(bulk.count, 3);
	assert_string_equal(bulk.users[0].address.local, "alice");
	assert_string_equal(bulk.users[0].address.domain, "a.test");
	assert_string_equal(bulk.users[0].password, "secret");
	assert_string_equal(bulk.users[0].quota, "9S");
	assert_int_equal(bulk.users[0].line, 2);
	assert_string_equal(bulk.users[1].password, "p:w");
	assert_string_equal(bulk.users[1].quota, "10485760S,5C");
	assert_string_equal(bulk.users[2].password, "x");
	bulk_release(&bulk);
}

static void
refuses_bad_lists(void **state)
{
	static char long_line[4096];
	const struct {
		enum bulk_password kind;
		const char *text, *wanted; /* in the reason */
	} rows[] = {
		{ BULK_CLEAR, "a@b.test\n", "line 1" },
		{ BULK_CLEAR, "a@b.test x\nb@b.test x 10M more\n", "line 2" },
		{ BULK_CLEAR, "#\n\na@b.test x 10X\n", "line 3" },
		{ BULK_CLEAR, "a x\n", "a" },
		{ BULK_CLEAR, "a:b@b.test x\n", "a:b" },
		{ BULK_CLEAR, "a@b_.test x\n", "b_.test" },
		{ BULK_NO_PASSWORD, "a@b.test 10M more\n", "line 1" },
		{ BULK_CLEAR, long_line, "line 1" },
	};

	(void)state;
	memset(long_line, 'x', sizeof(long_line) - 1);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = { "" };
		struct bulk bulk;

		if (read_text(rows[i].text, rows[i].kind, &bulk, &err) != -1 ||
		    strstr(err.text, rows[i].wanted) == NULL)
			fail_msg("row %zu: '%s'", i, err.text);
		bulk_release(&bulk);
	}
}

/* The password would silently have been "x". */
static void
refuses_nul_in_last_line(void **state)
{
	char list[] = "a@b.test x\0y";
	FILE *file = fmemopen(list, sizeof(list) - 1, "r");
	struct error err = { "" };
	struct bulk bulk;

	(void)state;
	assert_int_equal(bulk_read(file, BULK_CLEAR, "9S", &bulk, &err), -1);
	assert_non_null(strstr(err.text, "line 1"));
	bulk_release(&bulk);
	fclose(file);
}

static void
hashes_all(void **state)
{
	struct buf text;
	struct bulk bulk;
	struct error err;

	(void)state;
	buf_init(&text);
	for (unsigned i = 0; i < 50; i++)
		buf_addf(&text, "u%u@a.test password%u\n", i, i);
	assert_int_equal(read_text(text.data, BULK_CLEAR, &bulk, &err), 0);
	assert_int_equal(bulk_hash(&bulk, BULK_CLEAR, "MD5", &err), 0);
	for (unsigned i = 0; i < 50; i++) {
		const struct bulk_user *user = &bulk.users[i];

		assert_string_equal(crypt(user->password, user->data.hash.data),
		    user->data.hash.data);
	}
	bulk_release(&bulk);

	assert_int_equal(read_text(text.data, BULK_CLEAR, &bulk, &err), 0);
	assert_int_equal(bulk_hash(&bulk, BULK_CLEAR, "rot13", &err), -1);
	assert_non_null(strstr(err.text, "rot13"));
	bulk_release(&bulk);

	assert_int_equal(
	    read_text("a@b.test $6$x\n", BULK_HASHED, &bulk, &err), 0);
	assert_int_equal(bulk_hash(&bulk, BULK_HASHED, NULL, &err), 0);
	assert_string_equal(bulk.users[0].data.hash.data, "$6$x");
	bulk_release(&bulk);

	assert_int_equal(
	    read_text("a@b.test 5M\n", BULK_NO_PASSWORD, &bulk, &err), 0);
	assert_int_equal(bulk_hash(&bulk, BULK_NO_PASSWORD, NULL, &err), 0);
	assert_string_equal(bulk.users[0].data.hash.data, VPASSWD_NO_PASSWORD);
	assert_string_equal(bulk.users[0].quota, "5242880S");
	bulk_release(&bulk);
	buf_release(&text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_lists),
		cmocka_unit_test(refuses_bad_lists),
		cmocka_unit_test(refuses_nul_in_last_line),
		cmocka_unit_test(hashes_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
