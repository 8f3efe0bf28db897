/* SPDX-License-Identifier: ISC */
/*
 * A cdb file, asked for the key that stands in front of the first NUL of the
 * input, and for others.  When the first byte is odd the rest is put as a
 * record into a good file, which must give it back, and the file is then cut
 * to as many bytes as the second byte says in 1/256 of it.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "control/cdbmap.h"
#include "tests/fuzz/scratch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TIMES = 3, MORE = 64 * 1024 };

static const char other_key[] = "other";

/* Asks for a key: what is found must be the length's, else there is a reason */
static int
ask(const struct cdbmap *map, const void *key, size_t length)
{
	struct error err = { "" };
	struct buf value;
	int found;

	buf_init(&value);
	buf_adds(&value, "kept");
	found = cdbmap_get(map, key, length, &value, &err);
	assert(found >= -1 && found <= 1);
	assert(found != -1 || err.text[0] != '\0');
	assert(found == 1 || value.length == 4);
	assert(memcmp(value.data, "kept", 4) == 0);
	buf_release(&value);
	assert(cdbmap_get(map, key, length, NULL, &err) == found);
	return found;
}

/* Of a damaged file, the damage may be told by one of two readers alone. */
static bool
is_same_answer(int a, int b)
{
	return a == b || a == -1 || b == -1;
}

/*
 * Any bytes as a file.  Each question more than once: the first few may be
 * answered by the file, later ones by a copy in memory.
 */
static void
ask_file(const char *path, const void *key, size_t length, bool is_whole)
{
	struct error err = { "" };
	struct cdbmap *map;
	int first = 0, first_other = 0, times;

	if (cdbmap_open(path, &map, &err) != 1) {
		assert(err.text[0] != '\0' && !is_whole);
		return;
	}
	assert(!cdbmap_is_stale(map));
	for (times = 0; times < TIMES; times++) {
		int found = ask(map, key, length);
		int other = ask(map, other_key, strlen(other_key));

		assert((found == 1 && other == 1) || !is_whole);
		assert(times == 0 || is_same_answer(found, first));
		assert(times == 0 || is_same_answer(other, first_other));
		first = found;
		first_other = other;
		ask(map, "", 0);
	}
	cdbmap_free(&map);
}

/* As it is, which is small, and with so much behind it that it is read. */
static void
ask_both(const char *path, const void *key, size_t length, bool is_whole)
{
	struct stat st;

	ask_file(path, key, length, is_whole);
	if (stat(path, &st) == -1 || truncate(path, st.st_size + MORE) == -1)
		abort();
	ask_file(path, key, length, is_whole);
	if (truncate(path, st.st_size) == -1)
		abort();
}

static void
ask_record(const uint8_t *data, size_t size, unsigned share)
{
	char *path = xasprintf("%s/cdb", scratch_dir());
	const uint8_t *nul = memchr(data, '\0', size);
	size_t length = nul == NULL ? size : (size_t)(nul - data);
	struct cdbmap_writer *writer = cdbmap_writer_new(path, NULL);
	struct buf text;

	cdbmap_writer_add(
	    writer, data, length, data + length, size - length, NULL);
	cdbmap_writer_add(writer, other_key, strlen(other_key), "", 0, NULL);
	if (cdbmap_writer_commit(&writer, NULL) == -1)
		abort();
	ask_both(path, data, length, true);
	buf_init(&text);
	if (file_read(path, SIZE_MAX / 2, &text, NULL) != 1 ||
	    truncate(path, (off_t)(text.length * share / 256)) == -1)
		abort();
	ask_both(path, data, length, false);
	buf_release(&text);
	free(path);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct scratch cdb;
	const uint8_t *nul;
	size_t length;

	if (size < 2)
		return 0;
	if (data[0] & 1) {
		ask_record(data + 2, size - 2, data[1]);
		return 0;
	}
	nul = memchr(data + 1, '\0', size - 1);
	length = nul == NULL ? size - 1 : (size_t)(nul - data - 1);
	scratch_open(&cdb, data + 1, size - 1);
	ask_both(cdb.path, data + 1, length, false);
	scratch_close(&cdb);
	return 0;
}
