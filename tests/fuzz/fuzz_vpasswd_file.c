/* SPDX-License-Identifier: ISC */
/*
 * A domain's vpasswd file: loaded, a user put and one removed, saved and
 * loaded again; those that were not touched must be the same.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "adminsrv/vpasswd_file.h"
#include "base/mem.h"
#include "tests/fuzz/scratch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_same(const struct vpasswd_file *before, const struct vpasswd_file *after,
    const char *removed)
{
	const struct vpasswd_entry *entry, *other;
	size_t at = 0, count = 0;

	while ((entry = vpasswd_file_next(before, &at)) != NULL) {
		other = vpasswd_file_find(after, entry->name);
		if (removed != NULL && strcmp(entry->name, removed) == 0) {
			assert(other == NULL);
			continue;
		}
		count++;
		assert(other != NULL);
		if (strcmp(entry->name, "put") == 0)
			continue;
		assert(strcmp(entry->hash, other->hash) == 0);
		assert(strcmp(entry->dir, other->dir) == 0);
		assert(strcmp(entry->quota, other->quota) == 0);
		assert(entry->uid_flags == other->uid_flags);
	}
	count += vpasswd_file_find(before, "put") == NULL;
	for (at = 0; vpasswd_file_next(after, &at) != NULL; count--)
		;
	assert(count == 0);
}

static void
change(struct vpasswd_file *before)
{
	const struct vpasswd_entry put = { .name = "put",
		.hash = "*",
		.gecos = "",
		.dir = "/d/put",
		.quota = "NOQUOTA" };
	const struct vpasswd_entry *first;
	struct vpasswd_file *file, *after;
	char *removed = NULL;
	struct error err;
	size_t at = 0;

	if (vpasswd_file_load(scratch_dir(), &file, &err) != 1)
		abort();
	first = vpasswd_file_next(file, &at);
	if (first != NULL && strcmp(first->name, "put") != 0)
		removed = xstrdup(first->name);
	assert(removed == NULL || vpasswd_file_remove(file, removed));
	assert(removed == NULL || !vpasswd_file_remove(file, removed));
	assert(vpasswd_file_put(file, &put, &err) == 0);
	assert(vpasswd_file_save(file, &err) == 0);
	assert(vpasswd_file_is_compiled(file));
	assert(vpasswd_file_load(scratch_dir(), &after, &err) == 1);
	assert(vpasswd_file_is_compiled(after));
	check_same(before, after, removed);
	vpasswd_file_free(&after);
	vpasswd_file_free(&file);
	free(removed);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *path = xasprintf("%s/vpasswd", scratch_dir());
	struct vpasswd_file *before;
	struct error err = { "" };

	if (file_replace(path, (const char *)data, size, 0600, &err) == -1)
		abort();
	if (vpasswd_file_load(scratch_dir(), &before, &err) == 1)
		change(before);
	else
		assert(before == NULL && strstr(err.text, path) != NULL);
	vpasswd_file_free(&before);
	free(path);
	return 0;
}
