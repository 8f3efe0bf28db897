/* SPDX-License-Identifier: ISC */
/* Tests of adminsrv/user_info_json.c. */
#include "adminsrv/user_info.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>

#include "base/mem.h"
#include "lookupd/store.h"
#include "tests/unit/folder.h"

static struct vpasswd_entry
make_entry(const char *quota)
{
	return (struct vpasswd_entry){ .name = "al",
		.hash = "$6$x",
		.gecos = "Al \"A\" \xff",
		.dir = folder,
		.quota = quota };
}

/* A field of a user, as compact JSON. */
static void
expect(const json_t *json, const char *field, const char *wanted)
{
	char *got = json_dumps(
	    json_object_get(json, field), JSON_COMPACT | JSON_ENCODE_ANY);

	if (got == NULL || strcmp(got, wanted) != 0)
		fail_msg("%s: got '%s', wanted '%s'", field, got, wanted);
	free(got);
}

static void
all_fields(void **state)
{
	struct vpasswd_entry entry = make_entry("5000S,10C");
	struct error err = { "" };
	char *dir = xasprintf("\"%s\"", folder);
	json_t *json;

	(void)state;
	assert_int_equal(
	    file_make_dirs(folder_path("Maildir/new"), 0700, NULL), 0);
	folder_write("Maildir/new/1.a,S=100", "x", 1);
	entry.uid_flags = VPASSWD_INACTIVE | 3;
	entry.gid_flags = STORE_NO_POP | STORE_NO_SMTP | 0x8000;
	json = user_info_json(&entry, "a.test", &err);
	assert_non_null(json);
	assert_int_equal(json_object_size(json), 16);
	expect(json, "name", "\"al\"");
	expect(json, "domain", "\"a.test\"");
	expect(json, "passwd", "\"$6$x\"");
	expect(json, "is_active", "false");
	expect(json, "uid", "19");
	expect(json, "gid", "33026");
	expect(json, "flags", "[\"no_pop\",\"no_smtp\"]");
	expect(json, "gecos", "\"Al \\\"A\\\" \xef\xbf\xbd\"");
	expect(json, "dir", dir);
	expect(json, "quota", "\"5000S,10C\"");
	expect(json, "quota_bytes", "5000");
	expect(json, "quota_messages", "10");
	expect(json, "used_bytes", "100");
	expect(json, "used_messages", "1");
	expect(json, "has_scram", "false");
	expect(json, "has_secret", "false");
	json_decref(json);
	free(dir);
}

/* No limit is not a limit of nothing, and no Maildir not an empty one. */
static void
what_is_not_there_is_null(void **state)
{
	static const struct {
		const char *quota, *bytes, *messages;
	} rows[] = {
		{ "NOQUOTA", "null", "null" },
		{ "7S", "7", "null" },
		{ "7C", "null", "7" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct vpasswd_entry entry = make_entry(rows[i].quota);
		json_t *json = user_info_json(&entry, "a.test", NULL);

		assert_non_null(json);
		expect(json, "quota_bytes", rows[i].bytes);
		expect(json, "quota_messages", rows[i].messages);
		expect(json, "used_bytes", "null");
		expect(json, "used_messages", "null");
		expect(json, "is_active", "true");
		expect(json, "flags", "[]");
		json_decref(json);
	}
}

static void
what_cannot_be_told_is_an_error(void **state)
{
	struct vpasswd_entry entry = make_entry("much");
	struct error err = { "" };

	(void)state;
	assert_null(user_info_json(&entry, "a.test", &err));
	assert_int_equal(
	    strncmp(err.text, "user 'al': 'much' is no quota: ", 31), 0);
	entry = make_entry("NOQUOTA");
	folder_write("Maildir", "no folder", 9);
	*err.text = '\0';
	assert_null(user_info_json(&entry, "a.test", &err));
	assert_string_not_equal(err.text, "");
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, folder_setup, folder_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(all_fields),
		TEST(what_is_not_there_is_null),
		TEST(what_cannot_be_told_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
