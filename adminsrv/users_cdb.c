/* SPDX-License-Identifier: ISC */
/* A domain's users in the files vpasswd and vpasswd.cdb of its folder. */
#include <stdlib.h>
#include <string.h>

#include "adminsrv/records_backend.h"
#include "adminsrv/users_backend.h"
#include "adminsrv/vpasswd_file.h"
#include "base/mem.h"

struct cdb_users {
	struct vpasswd_file *file;
	size_t at; /* of the walk */
};

static struct cdb_users *
cdb_of(struct users *users)
{
	return users->state;
}

static enum admin_result
cdb_load(struct users *users, bool is_new, struct error *err)
{
	struct cdb_users *self = xcalloc(1, sizeof(*self));
	int found = vpasswd_file_load(users->dir, &self->file, err);

	users->state = self;
	if (found == -1)
		return ADMIN_FAILED;
	if (found == 0 && !is_new) {
		error_set(err,
		    "'%s/vpasswd' is missing: is its disk mounted?  Put it "
		    "back, or run vadddomain for a new one",
		    users->dir);
		return ADMIN_FAILED;
	}
	/* Behind the text since a run was killed; a new domain has none. */
	if (found == 1 && users->completes &&
	    !vpasswd_file_is_compiled(self->file) &&
	    vpasswd_file_compile(self->file, err) == -1)
		return ADMIN_FAILED;
	return ADMIN_OK;
}

static void
cdb_unload(struct users *users)
{
	struct cdb_users *self = cdb_of(users);

	if (self == NULL)
		return;
	vpasswd_file_free(&self->file);
	free(self);
}

enum admin_result
users_cdb_compile(struct users *users, struct error *err)
{
	return admin_result_of(vpasswd_file_compile(cdb_of(users)->file, err));
}

static int
cdb_find(struct users *users, const char *name,
    const struct vpasswd_entry **entry_out, struct error *err)
{
	(void)err;
	*entry_out = vpasswd_file_find(cdb_of(users)->file, name);
	return *entry_out != NULL;
}

static void
cdb_rewind(struct users *users)
{
	cdb_of(users)->at = 0;
}

static int
cdb_next(struct users *users, const struct vpasswd_entry **entry_out,
    struct error *err)
{
	(void)err;
	*entry_out = vpasswd_file_next(cdb_of(users)->file, &cdb_of(users)->at);
	return *entry_out != NULL;
}

static int
cdb_count(struct users *users, uint64_t *count_out, struct error *err)
{
	const struct vpasswd_entry *entry;
	size_t at = 0;

	(void)err;
	*count_out = 0;
	while ((entry = vpasswd_file_next(cdb_of(users)->file, &at)) != NULL)
		*count_out += strcmp(entry->name, "postmaster") != 0;
	return 0;
}

static int
cdb_count_folders(struct users *users, struct dirhash *hash, struct error *err)
{
	const struct vpasswd_entry *entry;
	size_t at = 0;

	(void)err;
	while ((entry = vpasswd_file_next(cdb_of(users)->file, &at)) != NULL)
		dirhash_count(hash, entry->dir);
	return 0;
}

static int
cdb_find_any(struct users *users, const struct users_new *new, size_t count,
    const char **name_out, struct error *err)
{
	(void)err;
	for (size_t i = 0; i < count; i++)
		if (vpasswd_file_find(cdb_of(users)->file, new[i].name) !=
		    NULL) {
			*name_out = new[i].name;
			return 1;
		}
	return 0;
}

static int
cdb_is_shared(
    struct users *users, const char *name, const char *dir, struct error *err)
{
	const struct vpasswd_entry *entry;
	size_t at = 0;

	(void)err;
	while ((entry = vpasswd_file_next(cdb_of(users)->file, &at)) != NULL)
		if (strcmp(entry->name, name) != 0 &&
		    (users_is_within(entry->dir, dir) ||
			users_is_within(dir, entry->dir)))
			return 1;
	return 0;
}

/* After a failure the file in memory is not used any more. */
static enum admin_result
cdb_add(struct users *users, const struct vpasswd_entry *entries, size_t count,
    struct error *err)
{
	struct vpasswd_file *file = cdb_of(users)->file;

	for (size_t i = 0; i < count; i++)
		if (vpasswd_file_put(file, &entries[i], err) == -1) {
			error_context(err, "user '%s'", entries[i].name);
			return ADMIN_REFUSED;
		}
	return admin_result_of(vpasswd_file_save(file, err));
}

static enum admin_result
cdb_change(
    struct users *users, const struct vpasswd_entry *entry, struct error *err)
{
	return cdb_add(users, entry, 1, err);
}

static enum admin_result
cdb_rename(struct users *users, const char *name,
    const struct vpasswd_entry *entry, struct error *err)
{
	struct vpasswd_file *file = cdb_of(users)->file;
	OWN_TEXT old = xstrdup(name); /* it may be the row's */

	if (vpasswd_file_put(file, entry, err) == -1)
		return ADMIN_REFUSED;
	vpasswd_file_remove(file, old);
	return admin_result_of(vpasswd_file_save(file, err));
}

static enum admin_result
cdb_remove_begin(struct users *users, const char *name, struct error *err)
{
	(void)users;
	(void)name;
	(void)err;
	return ADMIN_OK;
}

static enum admin_result
cdb_remove_end(
    struct users *users, const char *name, bool is_wanted, struct error *err)
{
	struct vpasswd_file *file = cdb_of(users)->file;

	if (!is_wanted)
		return ADMIN_OK;
	vpasswd_file_remove(file, name);
	return admin_result_of(vpasswd_file_save(file, err));
}

const struct users_backend users_cdb = {
	.records = &records_cdb,
	.load = cdb_load,
	.unload = cdb_unload,
	.find = cdb_find,
	.rewind = cdb_rewind,
	.next = cdb_next,
	.count = cdb_count,
	.count_folders = cdb_count_folders,
	.find_any = cdb_find_any,
	.is_shared = cdb_is_shared,
	.add = cdb_add,
	.put = cdb_add, /* which replaces */
	.change = cdb_change,
	.rename = cdb_rename,
	.remove_begin = cdb_remove_begin,
	.remove_end = cdb_remove_end,
};
