/* SPDX-License-Identifier: ISC */
/* Does users/cdb say what users/assign says? */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/scan.h"
#include "control/cdbmap.h"
#include "svctool/check/cdb.h"
#include "svctool/check/domain.h"

enum { FIELDS = 6 };

/* user NUL uid NUL gid NUL home NUL dash NUL extension */
static bool
is_same(const struct check_assign *assign, const struct buf *value)
{
	const char *fields[FIELDS], *at = value->data;
	const char *end = at + value->length;
	uint64_t uid, gid;

	for (unsigned i = 0; i < FIELDS; i++) {
		if (at > end)
			return false;
		fields[i] = at;
		at += strlen(at) + 1;
	}
	return strcmp(fields[0], assign->user) == 0 &&
	    scan_u64(fields[1], UINT32_MAX, &uid) && uid == assign->uid &&
	    scan_u64(fields[2], UINT32_MAX, &gid) && gid == assign->gid &&
	    strcmp(fields[3], assign->home) == 0 &&
	    strcmp(fields[4], assign->dash) == 0;
}

static bool
is_compiled(const struct cdbmap *map, const struct check_assign *assign)
{
	struct buf key, value;
	bool result;

	buf_init(&key);
	buf_init(&value);
	buf_addf(&key, "!%s", assign->address);
	/* The exact key has a NUL at its end. */
	result = cdbmap_get(map, key.data,
		     key.length + (assign->is_wildcard ? 0 : 1), &value,
		     NULL) == 1 &&
	    is_same(assign, &value);
	buf_release(&value);
	buf_release(&key);
	return result;
}

static void
count(const struct check_cdb_record *record, void *context)
{
	size_t *records = context;

	(void)record;
	++*records;
}

/* The first line that is not in the map as it stands, or NULL. */
static const struct check_assign *
find_other(const struct check_assigns *assigns, const struct cdbmap *map)
{
	for (size_t i = 0; i < assigns->count; i++) {
		const struct check_assign *this = &assigns->items[i];

		/* Of two lines of one address the first counts. */
		if (i > 0 && strcmp(this->address, this[-1].address) == 0)
			continue;
		if (!is_compiled(map, this))
			return this;
	}
	return NULL;
}

void
check_assign_cdb(struct check *check, const struct check_assigns *assigns)
{
	char *path = xasprintf("%s/cdb", check->node->home->users);
	const struct check_assign *other;
	struct cdbmap *map = NULL;
	size_t records = 0;

	/* What is no whole cdb check_compiled() finds. */
	if (check_cdb_file(path, count, &records, NULL) == 1 &&
	    cdbmap_open(path, &map, NULL) == 1) {
		other = find_other(assigns, map);
		if (other != NULL)
			check_find(check, CHECK_ERROR, path, 0,
			    "it was not made from 'assign' as that is now "
			    "('%s')",
			    other->address);
		else if (records != assigns->count + 1) /* the wildcards */
			check_find(check, CHECK_ERROR, path, 0,
			    "it has %zu entries, and 'assign' makes %zu",
			    records, assigns->count + 1);
		if (other != NULL || records != assigns->count + 1)
			check_remedy(check, "run qmail-newu");
	}
	cdbmap_free(&map);
	free(path);
}
