/* SPDX-License-Identifier: ISC */
/* Tests of control/cdb_records.c. */
#include "control/cdb_records.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "control/cdbmap.h"
#include "base/mem.h"
#include "tests/unit/folder.h"

enum { RECORDS = 100, HEAD_BYTES = 2048 };

static void
make_cdb(const char *path, unsigned count)
{
	struct cdbmap_writer *writer = cdbmap_writer_new(path, NULL);

	assert_non_null(writer);
	for (unsigned i = 0; i < count; i++) {
		char key[16], value[16];
		int n = snprintf(key, sizeof(key), "key%u", i);

		snprintf(value, sizeof(value), "value%u", i);
		assert_int_equal(cdbmap_writer_add(writer, key, (size_t)n,
				     value, strlen(value), NULL),
		    0);
	}
	assert_int_equal(cdbmap_writer_commit(&writer, NULL), 0);
}

/* The bytes of a cdb of count records; the caller releases. */
static void
read_cdb(unsigned count, struct buf *bytes)
{
	make_cdb(folder_path("cdb"), count);
	buf_init(bytes);
	assert_int_equal(
	    file_read(folder_path("cdb"), 1 << 20, bytes, NULL), 1);
}

static void
see(const struct cdb_record *record, unsigned count)
{
	char key[16];
	int n = snprintf(key, sizeof(key), "key%u", count);

	assert_int_equal(record->key_length, n);
	assert_memory_equal(record->key, key, record->key_length);
	assert_memory_equal(record->value, "value", 5);
}

static void
gives_every_record(void **state)
{
	static const unsigned counts[] = { 0, 1, RECORDS };

	(void)state;
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		struct error err = { "" };
		struct cdb_records records;
		struct cdb_record record;
		unsigned seen = 0;

		make_cdb(folder_path("cdb"), counts[i]);
		if (cdb_records_read(folder_path("cdb"), &records, &err) != 1)
			fail_msg("%u records: %s", counts[i], err.text);
		assert_int_equal(records.count, counts[i]);
		while (cdb_records_next(&records, &record))
			see(&record, seen++);
		assert_int_equal(seen, counts[i]);
		cdb_records_release(&records);
	}
}

static void
files_of_other_kinds(void **state)
{
	struct cdb_records records;
	struct cdb_record record;
	struct error err = { "" };

	(void)state;
	assert_int_equal(
	    cdb_records_read(folder_path("none"), &records, &err), 0);
	assert_false(cdb_records_next(&records, &record));
	cdb_records_release(&records);
	assert_int_equal(mkfifo(folder_path("pipe"), 0600), 0);
	assert_int_equal(
	    cdb_records_read(folder_path("pipe"), &records, &err), -1);
	assert_string_equal(err.text, "it is not a file");
	assert_false(cdb_records_next(&records, &record));
	cdb_records_release(&records);
}

/* Cut anywhere it is found: the last bytes are slots that are needed. */
static void
every_cut_is_found(void **state)
{
	size_t count;
	struct buf bytes;
	struct error err;

	(void)state;
	read_cdb(RECORDS, &bytes);
	for (size_t size = 0; size < bytes.length; size++) {
		/* Memory of just that size, for the address sanitizer. */
		char *cut = xmalloc(size + (size == 0));

		memcpy(cut, bytes.data, size);
		if (cdb_records_check(cut, size, &count, &err) != -1)
			fail_msg("not found: cut to %zu bytes", size);
		free(cut);
	}
	buf_release(&bytes);
}

/* A byte of the head, the lengths, or the tables that is another one. */
static void
every_wrong_number_is_found(void **state)
{
	size_t count;
	struct buf bytes;
	struct error err;

	(void)state;
	read_cdb(1, &bytes); /* one record of 4 + 6 bytes, and 2 slots */
	assert_int_equal(bytes.length, HEAD_BYTES + 8 + 4 + 6 + 16);
	for (size_t at = 0; at < bytes.length; at++) {
		size_t record = at - HEAD_BYTES;

		if (at >= HEAD_BYTES + 12 && at < HEAD_BYTES + 18)
			continue; /* the value may be anything */
		bytes.data[at] ^= 0x40;
		/* A longer empty table, or a hash of a free slot, may be. */
		if (cdb_records_check(bytes.data, bytes.length, &count, &err) !=
			-1 &&
		    record < 18)
			fail_msg("not found: byte %zu", at);
		bytes.data[at] ^= 0x40;
	}
	buf_release(&bytes);
}

static void
put(struct buf *bytes, size_t at, uint32_t number)
{
	for (int i = 0; i < 4; i++)
		bytes->data[at + (size_t)i] = (char)(number >> 8 * i);
}

static void
says_what_is_wrong(void **state)
{
	size_t count;
	static const struct {
		const char *name;
		size_t at; /* where the number is put */
		uint32_t number;
		const char *wanted;
	} rows[] = {
		{ "table in the head", 0, 100, "table 0 is outside the file" },
		{ "table behind the end", 8 * 255, 0xffffffff,
		    "table 255 is outside the file" },
		{ "so many slots", 12, 0x1fffffff,
		    "table 1 is outside the file" },
		{ "long key", HEAD_BYTES, 0xffffffff,
		    "the record at byte 2048 does not fit" },
		{ "long value", HEAD_BYTES + 4, 7,
		    "the record at byte 2048 does not fit" },
		{ "short value", HEAD_BYTES + 4, 5,
		    "the record at byte 2065 does not fit" },
		{ "other key", HEAD_BYTES + 8, 0x2079656b,
		    "names no record of such a key" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = { "" };
		struct buf bytes;

		read_cdb(1, &bytes);
		put(&bytes, rows[i].at, rows[i].number);
		if (cdb_records_check(bytes.data, bytes.length, &count, &err) !=
			-1 ||
		    strstr(err.text, rows[i].wanted) == NULL)
			fail_msg("%s: got '%s', wanted '%s'", rows[i].name,
			    err.text, rows[i].wanted);
		buf_release(&bytes);
	}
}

/* As a power cut leaves it: the tables are zeros. */
static void
lost_tables_are_found(void **state)
{
	size_t count;
	struct error err = { "" };
	struct buf bytes;

	(void)state;
	read_cdb(1, &bytes);
	memset(bytes.data + bytes.length - 16, 0, 16);
	assert_int_equal(
	    cdb_records_check(bytes.data, bytes.length, &count, &err), -1);
	assert_string_equal(err.text,
	    "it has 1 records, and its tables name 0: the file is damaged");
	buf_release(&bytes);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gives_every_record),
		cmocka_unit_test(files_of_other_kinds),
		cmocka_unit_test(every_cut_is_found),
		cmocka_unit_test(every_wrong_number_is_found),
		cmocka_unit_test(says_what_is_wrong),
		cmocka_unit_test(lost_tables_are_found),
	};

	return cmocka_run_group_tests(tests, folder_setup, folder_teardown);
}
