/* SPDX-License-Identifier: ISC */
/* Tests of control/assign.c. */
#include "control/assign.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/folder.h"

static int
compile(const char *text, size_t length, struct error *err)
{
	err->text[0] = '\0';
	folder_write("assign", text, length);
	return assign_compile(folder_path("assign"), folder_path("cdb"), err);
}

static struct cdbmap *
must_compile(const char *text)
{
	struct cdbmap *map;
	struct error err;

	if (compile(text, strlen(text), &err) == -1 ||
	    cdbmap_open(folder_path("cdb"), &map, &err) != 1)
		fail_msg("%s", err.text);
	return map;
}

static const char users[] =
    "=alice:alice:1001:1001:/home/alice:::\n"
    "+alice-:alice:1001:1001:/home/alice:-::\n"
    "+alice-list-:lists:1002:1003:/home/lists:-:pre-:\n"
    "=Bob:bob:1004:1004:/home/bob::x: y:\n"
    "+example.test-:example.test:89:89:/d/example.test:-::\n"
    "=example.test-u0:special:90:90:/d/special:-:u0:rest ignored:\n"
    "+up.T:upper:91:91:/u:-::\n"
    "+:catchall:65534:65534:/var/alias:-::\n"
    ".\n"
    "after the dot nothing counts\n";

static void
finds_as_lspawn_does(void **state)
{
	static const struct {
		const char *local, *user;
		unsigned uid, gid;
		const char *home, *dash, *extension;
	} rows[] = {
		{ "alice", "alice", 1001, 1001, "/home/alice", "", "" },
		{ "ALICE", "alice", 1001, 1001, "/home/alice", "", "" },
		{ "alice-", "alice", 1001, 1001, "/home/alice", "-", "" },
		{ "alice-Ext", "alice", 1001, 1001, "/home/alice", "-", "Ext" },
		{ "alice-list-A", "lists", 1002, 1003, "/home/lists", "-",
		    "pre-A" },
		{ "alice-listless", "alice", 1001, 1001, "/home/alice", "-",
		    "listless" },
		{ "bob", "bob", 1004, 1004, "/home/bob", "", "x" },
		{ "example.test-u1", "example.test", 89, 89, "/d/example.test",
		    "-", "u1" },
		{ "example.test-u0", "special", 90, 90, "/d/special", "-",
		    "u0" },
		{ "example.test-a-b", "example.test", 89, 89, "/d/example.test",
		    "-", "a-b" },
		{ "UP.Txy", "upper", 91, 91, "/u", "-", "xy" },
		{ "alicette", "catchall", 65534, 65534, "/var/alias", "-",
		    "alicette" },
		{ "", "catchall", 65534, 65534, "/var/alias", "-", "" },
	};
	struct cdbmap *map = must_compile(users);

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct assign_entry entry;
		struct error err = { "" };

		if (assign_find(map, rows[i].local, &entry, &err) != 1)
			fail_msg("%s: not found (%s)", rows[i].local, err.text);
		if (strcmp(entry.user, rows[i].user) != 0 ||
		    entry.uid != rows[i].uid || entry.gid != rows[i].gid ||
		    strcmp(entry.home, rows[i].home) != 0 ||
		    strcmp(entry.dash, rows[i].dash) != 0 ||
		    strcmp(entry.extension, rows[i].extension) != 0)
			fail_msg("%s: got %s %u %u %s '%s' '%s', wanted %s %u "
				 "%u %s '%s' '%s'",
			    rows[i].local, entry.user, (unsigned)entry.uid,
			    (unsigned)entry.gid, entry.home, entry.dash,
			    entry.extension, rows[i].user, rows[i].uid,
			    rows[i].gid, rows[i].home, rows[i].dash,
			    rows[i].extension);
		assign_release(&entry);
	}
	cdbmap_free(&map);
}

static void
absent_without_catchall(void **state)
{
	struct cdbmap *map = must_compile(
	    "=a:a:1:1:/a:::\n+b-:b:1:1:/b:-::\n.\n");
	static const char *const names[] = { "", "aa", "b", "c-x", "xb-x" };

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct assign_entry entry;

		if (assign_find(map, names[i], &entry, NULL) != 0)
			fail_msg("'%s': wanted absent", names[i]);
		assert_null(entry.storage.data);
	}
	cdbmap_free(&map);
}

/* The records, in order, of the file as qmail-newu writes it. */
static void
format_is_qmails(void **state)
{
	static const char text[] =
	    "=Joe:joe:503:78:/home/joe:::\n"
	    "+joe-:joe:503:78:/home/joe:-:pre:\n+x+:x:1:2:/x:+::\n.";
#define RECORD(key, value)                                     \
	{                                                      \
		key, sizeof(key) - 1, value, sizeof(value) - 1 \
	}
	static const struct {
		const char *key;
		unsigned char key_length;
		const char *value;
		unsigned char value_length;
	} records[] = {
		RECORD("!joe\0", "joe\000503\00078\0/home/joe\0\0"),
		RECORD("!joe-", "joe\000503\00078\0/home/joe\0-\0pre"),
		RECORD("!x+", "x\0001\0002\0/x\0+\0"),
		RECORD("", "-+"),
	};
	struct cdbmap *map = must_compile(text);
	struct buf file;
	size_t at = 2048;

	(void)state;
	buf_init(&file);
	assert_int_equal(
	    file_read(folder_path("cdb"), 1 << 20, &file, NULL), 1);
	for (size_t i = 0; i < sizeof(records) / sizeof(records[0]); i++) {
		const char *data = file.data + at;

		assert_int_equal(data[0], records[i].key_length);
		assert_int_equal(data[4], records[i].value_length);
		assert_memory_equal(
		    data + 8, records[i].key, records[i].key_length);
		assert_memory_equal(data + 8 + records[i].key_length,
		    records[i].value, records[i].value_length);
		at += 8 + records[i].key_length + records[i].value_length;
	}
	/* Then two slots of eight bytes for each record. */
	assert_int_equal(file.length, at + 16 * 4);
	buf_release(&file);
	cdbmap_free(&map);
}

static void
bad_lines(void **state)
{
	static const struct {
		const char *name, *text;
		size_t length; /* 0: of the text */
		const char *wanted;
	} rows[] = {
		{ "empty file", "", 0,
		    "users/assign:1: the text ends without" },
		{ "no dot", "=a:a:1:1:/a:::\n", 0,
		    "users/assign:2: the text ends without a line of a single "
		    "dot" },
		{ "cut short", "=a:a:1:1:/a:::\n=b:b:1", 0,
		    "users/assign:2: the text ends without" },
		{ "empty line", "=a:a:1:1:/a:::\n\n.\n", 0,
		    "users/assign:2: an empty line; remove it" },
		{ "other first byte", "a:a:1:1:/a:::\n.\n", 0,
		    "users/assign:1: begins with 'a', not '='" },
		{ "dot and more", ". \n", 0,
		    "users/assign:1: begins with '.'" },
		{ "no colon", "=a\n.\n", 0,
		    "users/assign:1: no colons; write "
		    "=address:user:uid:gid:home:dash:ext:" },
		{ "six colons", "=a:a:1:1:/a::\n.\n", 0,
		    "users/assign:1: 6 colons, not 7; write =address:" },
		{ "no user", "=a::1:1:/a:::\n.\n", 0,
		    "users/assign:1: no user" },
		{ "uid", "=a:a:x:1:/a:::\n.\n", 0,
		    "users/assign:1: uid 'x' is not a number" },
		{ "uid -1", "=a:a:4294967295:1:/a:::\n.\n", 0,
		    "users/assign:1: uid '4294967295' is not a number from 0 "
		    "to 4294967294" },
		{ "gid", "=a:a:1::/a:::\n.\n", 0,
		    "users/assign:1: gid '' is not a number" },
		{ "home", "=a:a:1:1:a:::\n.\n", 0,
		    "users/assign:1: home 'a' is not an absolute path; begin "
		    "it with /" },
		{ "NUL", "=a\0:a:1:1:/a:::\n.\n", 18,
		    "users/assign:1: a NUL byte; remove it" },
	};
	struct error err;
	struct cdbmap *map;

	(void)state;
	map = must_compile("=old:old:1:1:/old:::\n.\n");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (compile(rows[i].text,
			rows[i].length != 0 ? rows[i].length
					    : strlen(rows[i].text),
			&err) != -1)
			fail_msg("%s: compiled", rows[i].name);
		assert_int_equal(errno, EINVAL);
		if (strstr(err.text, rows[i].wanted) == NULL)
			fail_msg("%s: got '%s', wanted '%s'", rows[i].name,
			    err.text, rows[i].wanted);
	}
	assert_false(cdbmap_is_stale(map));
	cdbmap_free(&map);
}

static void
no_text_is_an_error(void **state)
{
	struct error err;

	(void)state;
	assert_int_equal(
	    assign_compile(folder_path("none"), folder_path("cdb"), &err), -1);
	assert_int_equal(errno, ENOENT);
	assert_non_null(strstr(err.text, "no file"));
}

static void
dot_alone(void **state)
{
	struct cdbmap *map = must_compile(".\n");
	struct assign_entry entry;

	(void)state;
	assert_int_equal(assign_find(map, "a", &entry, NULL), 0);
	cdbmap_free(&map);
}

/* A cdb that qmail-newu did not make is neither "found" nor "absent". */
static void
damaged_entries(void **state)
{
	static const struct {
		const char *name, *key;
		size_t key_length;
		const char *value;
		size_t value_length;
		bool has_wildchars;
	} rows[] = {
		{ "no list of wildcards", "!a\0", 3, "a\0001\0001\0/\0\0", 9,
		    false },
		{ "too few fields", "!a\0", 3, "a\0001\0001\0/\0", 8, true },
		{ "too many fields", "!a\0", 3, "a\0001\0001\0/\0\0\0", 10,
		    true },
		{ "bad uid", "!a\0", 3, "a\000x\0001\0/\0\0", 9, true },
		{ "bad gid", "!", 1, "a\0001\0\0/\0\0", 8, true },
		{ "empty", "!", 1, "", 0, true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = { "" };
		struct cdbmap_writer *writer = cdbmap_writer_new(
		    folder_path("cdb"), &err);
		struct assign_entry entry;
		struct cdbmap *map;

		cdbmap_writer_add(writer, rows[i].key, rows[i].key_length,
		    rows[i].value, rows[i].value_length, &err);
		if (rows[i].has_wildchars)
			cdbmap_writer_add(writer, "", 0, "-", 1, &err);
		assert_int_equal(cdbmap_writer_commit(&writer, &err), 0);
		assert_int_equal(
		    cdbmap_open(folder_path("cdb"), &map, &err), 1);
		if (assign_find(map, "a", &entry, &err) != -1)
			fail_msg("%s: wanted -1", rows[i].name);
		assert_non_null(strstr(err.text, "run qmail-newu"));
		cdbmap_free(&map);
	}
}

static void
note_line(const struct assign_line *line, void *context)
{
	buf_addf(context, "%u %c%s %s %lu %lu %s %s|", line->number,
	    line->is_wildcard ? '+' : '=', line->address, line->user,
	    (unsigned long)line->uid, (unsigned long)line->gid, line->home,
	    line->dash);
}

static void
note_fault(unsigned number, const char *reason, void *context)
{
	buf_addf(context, "%u bad %.8s|", number, reason);
}

static void
walks_behind_bad_lines(void **state)
{
	static const struct {
		const char *text, *wanted;
	} rows[] = {
		{ ".\n", "" },
		{ ".\njunk", "" },
		{ "", "1 bad the text|" },
		{ "=A:b:7:8:/h:-:x:\n.\n", "1 =a b 7 8 /h -|" },
		{ "+a.test-:a.test:7:8:/d:-::\n"
		  "junk\n"
		  "+:alias:0:4294967294:/al:-::\n"
		  "=a:b:x:8:/h:::\n"
		  "=c:d:1:2:/e:::\n",
		    "1 +a.test- a.test 7 8 /d -|2 bad begins w|"
		    "3 + alias 0 4294967294 /al -|4 bad uid 'x' |"
		    "5 =c d 1 2 /e |6 bad the text|" },
	};
	struct error err = { "" };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf seen;
		const struct assign_visitor visitor = { note_line, note_fault,
			&seen };

		buf_init(&seen);
		folder_write("walked", rows[i].text, strlen(rows[i].text));
		assert_int_equal(
		    assign_walk(folder_path("walked"), &visitor, &err), 1);
		if (strcmp(seen.data, rows[i].wanted) != 0)
			fail_msg("'%s': got '%s', wanted '%s'", rows[i].text,
			    seen.data, rows[i].wanted);
		buf_release(&seen);
	}
	assert_int_equal(assign_walk(folder_path("none"), NULL, &err), 0);
	assert_int_equal(assign_walk(folder, NULL, &err), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_as_lspawn_does),
		cmocka_unit_test(absent_without_catchall),
		cmocka_unit_test(format_is_qmails),
		cmocka_unit_test(bad_lines),
		cmocka_unit_test(walks_behind_bad_lines),
		cmocka_unit_test(no_text_is_an_error),
		cmocka_unit_test(dot_alone),
		cmocka_unit_test(damaged_entries),
	};

	return cmocka_run_group_tests(tests, folder_setup, folder_teardown);
}
