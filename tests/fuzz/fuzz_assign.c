/* SPDX-License-Identifier: ISC */
/*
 * users/assign as text, as one value in a cdb, and as a whole cdb file; the
 * first byte says which.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "control/assign.h"
#include "tests/fuzz/scratch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const locals[] = { "", "a", "alice", "ALICE-ext",
	"example.test-u0", "a-b-c-d" };

/* Looks addresses up; 1 or 0 each when the file must be right. */
static void
find_all(const char *path, int must_be_right)
{
	struct assign_entry entry;
	struct cdbmap *map;
	struct error err;
	size_t i;

	if (cdbmap_open(path, &map, &err) != 1) {
		assert(!must_be_right);
		return;
	}
	for (i = 0; i < sizeof(locals) / sizeof(locals[0]); i++) {
		int found = assign_find(map, locals[i], &entry, &err);

		assert(found != -1 || !must_be_right);
		if (found != 1)
			continue;
		assert(strlen(entry.user) + strlen(entry.home) +
			strlen(entry.dash) + strlen(entry.extension) <
		    entry.storage.length);
		assign_release(&entry);
	}
	cdbmap_free(&map);
}

struct walk {
	unsigned lines, faults;
};

static void
see_line(const struct assign_line *line, void *context)
{
	struct walk *walk = context;

	assert(line->number > 0 && line->user[0] != '\0');
	assert(line->home[0] == '/' && line->uid != (uid_t)-1);
	assert(line->address != NULL && line->dash != NULL);
	walk->lines++;
}

static void
see_fault(unsigned number, const char *reason, void *context)
{
	struct walk *walk = context;

	assert(number > 0 && reason[0] != '\0');
	walk->faults++;
}

/* Who checks the text finds fault where compiling it fails, and only there. */
static void
walk_text(const char *path, bool is_compiled)
{
	struct walk walk = { 0, 0 };
	const struct assign_visitor visitor = { see_line, see_fault, &walk };

	assert(assign_walk(path, &visitor, NULL) == 1);
	assert((walk.faults == 0) == is_compiled);
}

static void
compile_text(const void *data, size_t size)
{
	bool is_compiled;
	char *cdb = xasprintf("%s/cdb", scratch_dir());
	struct scratch text;
	struct error err;

	scratch_open(&text, data, size);
	is_compiled = assign_compile(text.path, cdb, &err) == 0;
	if (is_compiled)
		find_all(cdb, 1);
	else
		assert(errno == EINVAL &&
		    strncmp(err.text, "users/assign:", 13) == 0);
	walk_text(text.path, is_compiled);
	scratch_close(&text);
	free(cdb);
}

static void
read_value(const void *data, size_t size)
{
	char *cdb = xasprintf("%s/cdb", scratch_dir());
	struct cdbmap_writer *writer = cdbmap_writer_new(cdb, NULL);

	cdbmap_writer_add(writer, "!", 1, data, size, NULL);
	cdbmap_writer_add(writer, "", 0, "-", 1, NULL);
	if (cdbmap_writer_commit(&writer, NULL) == -1)
		abort();
	find_all(cdb, 0);
	free(cdb);
}

static void
read_cdb(const void *data, size_t size)
{
	struct scratch cdb;

	scratch_open(&cdb, data, size);
	find_all(cdb.path, 0);
	scratch_close(&cdb);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	switch (data[0] % 4) {
	case 1:
		read_value(data + 1, size - 1);
		break;
	case 2:
		read_cdb(data + 1, size - 1);
		break;
	default:
		compile_text(data + 1, size - 1);
		break;
	}
	return 0;
}
