/* SPDX-License-Identifier: ISC */
/* Aliases, limits and filters in the files of a domain's folder. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adminsrv/records_backend.h"
#include "adminsrv/users_backend.h"
#include "base/file.h"
#include "base/mem.h"
#include "control/layout.h"
#include "lookupd/domain_files.h"

/* qmail-smtpd asks for aliases and limits; a user's folder is closed to it. */
enum { FILE_MODE = 0644 };

static const char alias_prefix[] = ".qmail-";

static int
cdb_find_alias(struct users *users, const char *name, struct strlist *lines,
    struct error *err)
{
	struct store_alias alias = { .lines = { NULL, 0 } };
	int result = domain_files_alias(users->dir, name, &alias, err);

	for (size_t i = 0; i < alias.lines.count; i++)
		strlist_add(lines, alias.lines.items[i]);
	strlist_release(&alias.lines);
	return result;
}

static int
cdb_alias_names(struct users *users, struct strlist *names, struct error *err)
{
	DIR *folder = opendir(users->dir);
	const struct dirent *entry;

	if (folder == NULL)
		return error_sys(err, "cannot open folder '%s'", users->dir);
	while ((errno = 0, entry = readdir(folder)) != NULL) {
		OWN_TEXT name = NULL;

		if (strncmp(entry->d_name, alias_prefix,
			sizeof(alias_prefix) - 1) != 0 ||
		    strcmp(entry->d_name, ".qmail-default") == 0 ||
		    strstr(entry->d_name, ".tmp.") != NULL)
			continue;
		name = xstrdup(entry->d_name + sizeof(alias_prefix) - 1);
		for (char *colon = name; (colon = strchr(colon, ':')) != NULL;)
			*colon = '.';
		strlist_add(names, name);
	}
	if (errno != 0) {
		error_sys(err, "cannot read folder '%s'", users->dir);
		closedir(folder);
		return -1;
	}
	closedir(folder);
	return 0;
}

/* Replaces a file, or removes it when there is no text. */
static enum admin_result
put_text(const char *path, const struct buf *text, struct error *err)
{
	if (text->length > 0)
		return admin_result_of(file_replace(
		    path, text->data, text->length, FILE_MODE, err));
	if (unlink(path) == -1)
		return errno == ENOENT
		    ? ADMIN_OK
		    : admin_fail(err, "cannot remove '%s'", path);
	return admin_result_of(file_sync_parent(path, err));
}

static enum admin_result
cdb_put_alias(struct users *users, const char *name,
    const struct strlist *lines, struct error *err)
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	OWN_TEXT extension = xstrdup(name);
	OWN_TEXT path = NULL;

	for (char *dot = extension; (dot = strchr(dot, '.')) != NULL;)
		*dot = ':';
	path = xasprintf("%s/%s%s", users->dir, alias_prefix, extension);
	for (size_t i = 0; i < lines->count; i++)
		buf_addf(&text, "%s\n", lines->items[i]);
	return put_text(path, &text, err);
}

/* A file of a user's folder.  1; 0: no such user; -1. */
static int
user_path(struct users *users, const char *user, const char *file,
    char **path_out, struct error *err)
{
	const struct vpasswd_entry *entry;
	int found = users->backend->find(users, user, &entry, err);

	*path_out = found == 1 ? xasprintf("%s/%s", entry->dir, file) : NULL;
	return found;
}

static int
limits_path(
    struct users *users, const char *user, char **path_out, struct error *err)
{
	if (user != NULL)
		return user_path(users, user, ".limits", path_out, err);
	*path_out = xasprintf("%s/.domain_limits", users->dir);
	return 1;
}

static int
cdb_find_limits(struct users *users, const char *name,
    struct store_limits *limits_out, struct error *err)
{
	OWN_TEXT path = NULL;
	int found = limits_path(users, name, &path, err);

	return found == 1 ? domain_files_limits(path, limits_out, err) : found;
}

static enum admin_result
cdb_put_limits(struct users *users, const char *name,
    const struct store_limits *limits, struct error *err)
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	OWN_TEXT path = NULL;

	if (limits_path(users, name, &path, err) != 1)
		return ADMIN_FAILED;
	for (int i = 0; limits != NULL && i < STORE_LIMIT_COUNT; i++)
		if (limits->has[i])
			buf_addf(&text, "%s %" PRId64 "\n",
			    store_limit_names[i], limits->values[i]);
	return put_text(path, &text, err);
}

static int
cdb_find_filters(struct users *users, const char *name,
    struct store_filters *filters_out, struct error *err)
{
	OWN_TEXT path = NULL;
	int found = user_path(users, name, ".vfilter", &path, err);

	return found == 1 ? domain_files_filters(path, filters_out, err)
			  : found;
}

static enum admin_result
cdb_put_filters(struct users *users, const char *name,
    const struct store_filter *filters, size_t count, struct error *err)
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	OWN_TEXT path = NULL;

	if (user_path(users, name, ".vfilter", &path, err) != 1)
		return ADMIN_FAILED;
	for (size_t i = 0; i < count; i++)
		buf_addf(&text, "%d\t%s\t%d\t%d\t%s\t%s\t%s\n",
		    filters[i].number, filters[i].name, filters[i].header,
		    filters[i].comparison, filters[i].keyword,
		    filters[i].destination, filters[i].bounce_action);
	return put_text(path, &text, err);
}

static int
cdb_owner_names(struct users *users, struct strlist *names, struct error *err)
{
	static const char *const files[] = { ".limits", ".vfilter" };
	const struct vpasswd_entry *entry;
	struct stat st;
	int found;

	users_rewind(users);
	while ((found = users_next(users, &entry, err)) == 1)
		for (size_t i = 0; i < 2; i++) {
			OWN_TEXT path = xasprintf("%s/%s", entry->dir, files[i]);

			if (stat(path, &st) == 0)
				strlist_add(names, entry->name);
			else if (errno != ENOENT)
				return error_sys(
				    err, "cannot look for '%s'", path);
		}
	return found;
}

const struct records_backend records_cdb = {
	.find_alias = cdb_find_alias,
	.alias_names = cdb_alias_names,
	.put_alias = cdb_put_alias,
	.find_limits = cdb_find_limits,
	.put_limits = cdb_put_limits,
	.owner_names = cdb_owner_names,
	.find_filters = cdb_find_filters,
	.put_filters = cdb_put_filters,
};
