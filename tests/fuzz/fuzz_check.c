/* SPDX-License-Identifier: ISC */
/*
 * What svctool check reads of a node's rules; the first byte says whether the
 * rest is a cdb file, one access rule in a cdb, a file of envrules, or the
 * reason of another function.  Findings must be fit to be shown.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "control/cdb_records.h"
#include "control/cdbmap.h"
#include "control/envrules.h"
#include "svctool/check/variable.h"
#include "tests/fuzz/scratch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CDB_FILE, ACCESS_RULE, ENVRULES, REASON, KINDS };

static struct settings *
get_settings(void)
{
	static struct settings *settings;
	char *me;

	if (settings != NULL)
		return settings;
	me = xasprintf("%s/me", scratch_dir());
	if (file_replace(me, "me.test\n", 8, 0600, NULL) == -1)
		abort();
	settings = settings_load(scratch_dir(), NULL, NULL, NULL);
	if (settings == NULL)
		abort();
	free(me);
	return settings;
}

static void
assert_plain(const char *text)
{
	assert(text != NULL);
	for (; *text != '\0'; text++)
		assert((unsigned char)*text >= ' ' && *text != 127);
}

static void
check_findings(const struct check *check)
{
	assert(check->count <= check->errors + check->warnings + check->notes);
	for (size_t i = 0; i < check->count; i++) {
		assert_plain(check->findings[i].file);
		assert_plain(check->findings[i].text);
		assert_plain(check->findings[i].remedy);
	}
}

/* A file that check finds right, lookups can read. */
static void
read_cdb(struct check *check, const char *path)
{
	struct error err = { "" };
	struct cdb_records records;
	struct cdbmap *map;
	int result = cdb_records_read(path, &records, &err);

	cdb_records_release(&records);
	check_access_rules(check, path);
	if (result == -1) {
		assert(err.text[0] != '\0' && check->errors > 0);
		return;
	}
	assert(cdbmap_open(path, &map, &err) == 1);
	cdbmap_free(&map);
}

static void
read_rule(struct check *check, const void *data, size_t size)
{
	char *path = xasprintf("%s/cdb", scratch_dir());
	struct cdbmap_writer *writer = cdbmap_writer_new(path, NULL);

	cdbmap_writer_add(writer, "192.0.2.1", 9, data, size, NULL);
	if (cdbmap_writer_commit(&writer, NULL) == -1)
		abort();
	read_cdb(check, path);
	free(path);
}

/* check finds fault with just those files that the server will not load. */
static void
read_envrules(struct check *check, const char *path)
{
	struct envrules *rules;
	struct error err;
	int loaded = envrules_load(path, &rules, &err);

	check_envrules(check, path);
	assert(loaded != -1 || check->errors > 0);
	envrules_free(&rules);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct home *home = home_at(scratch_dir());
	const struct node node = { .home = home };
	struct check check = { .node = &node, .settings = get_settings() };
	struct scratch file;
	char *text;

	if (size == 0) {
		home_free(&home);
		return 0;
	}
	scratch_open(&file, data + 1, size - 1);
	switch (data[0] % KINDS) {
	case CDB_FILE:
		read_cdb(&check, file.path);
		break;
	case ACCESS_RULE:
		read_rule(&check, data + 1, size - 1);
		break;
	case ENVRULES:
		read_envrules(&check, file.path);
		break;
	case REASON:
		text = xstrndup((const char *)data + 1, size - 1);
		check_reason(&check, CHECK_ERROR, text, NULL);
		check_reason(&check, CHECK_WARNING, text, text);
		free(text);
		break;
	}
	check_findings(&check);
	check.settings = NULL; /* ours; for the next input, too */
	check_release(&check);
	scratch_close(&file);
	home_free(&home);
	return 0;
}
