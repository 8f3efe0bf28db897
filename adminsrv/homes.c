/* SPDX-License-Identifier: ISC */
/* Where folders of users are. */
#include "adminsrv/homes.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "control/layout.h"
#include "control/node_setting.h"
#include "adminsrv/users_backend.h"
#include "base/file.h"
#include "base/mem.h"

static bool
is_plain_path(const char *path)
{
	return *path == '/' && strstr(path, "/../") == NULL &&
	    strstr(path, "/./") == NULL && strpbrk(path, ":\n") == NULL &&
	    (strlen(path) < 3 || strcmp(path + strlen(path) - 3, "/..") != 0);
}

static bool
has_entry(const char *folder, const char *name)
{
	OWN_TEXT path = xasprintf("%s/%s", folder, name);
	struct stat st;

	return lstat(path, &st) == 0;
}

/*
 * Of the folders above path the first that is a user's, or another domain's:
 * who removes that one would remove what is in it.  NULL: none; to be freed.
 */
static char *
find_foreign_above(const char *path, const char *domain_dir)
{
	for (const char *slash = strchr(path + 1, '/'); slash != NULL;
	     slash = strchr(slash + 1, '/')) {
		OWN_TEXT above = xstrndup(path, (size_t)(slash - path));

		if (has_entry(above, "Maildir") ||
		    (strcmp(above, domain_dir) != 0 &&
			has_entry(above,
			    layout_below(LAYOUT_domain, LAYOUT_vpasswd_lock))))
			return xstrdup(above);
	}
	return NULL;
}

int
homes_check(const char *control_dir, const char *domain_dir, const char *path,
    struct error *err)
{
	const char *slash = strrchr(domain_dir, '/');
	OWN_TEXT domains = xstrndup(domain_dir, (size_t)(slash - domain_dir));
	OWN_TEXT foreign = NULL;
	struct strlist roots = { NULL, 0 };
	bool is_within = users_is_within(path, domains);
	int result = 0;

	if (!is_plain_path(path))
		return error_set(err,
		    "'%s' is not an absolute path without '..' and ':'", path);
	if (control_dir != NULL && !is_within)
		result = node_setting_lines(
		    control_dir, SETTING_homeroots, &roots, err);
	for (size_t i = 0; i < roots.count; i++)
		if (users_is_within(path, roots.items[i]))
			is_within = true;
	strlist_release(&roots);
	if (result == -1)
		return -1;
	foreign = find_foreign_above(path, domain_dir);
	if (foreign != NULL)
		return error_set(err,
		    "'%s' is within '%s', which is another domain's or a "
		    "user's",
		    path, foreign);
	if (is_within)
		return 0;
	return error_set(err,
	    "deliveries do not go to '%s': write the folder into "
	    "control/homeroots and restart the queues first",
	    path);
}

int
homes_base(const char *control_dir, const char *domain_dir, const char *base,
    struct buf *base_out, struct error *err)
{
	OWN_TEXT path = xasprintf("%s/.base_path", domain_dir);
	AUTO(buf_release) struct buf text = BUF_INIT;
	OWN_TEXT below = NULL;
	const char *standard = getenv("BASE_PATH");
	int found = base != NULL ? 0 : file_read(path, 4096, &text, err);

	buf_reset(base_out);
	if (found == -1)
		return -1;
	if (found == 1) {
		text.data[strcspn(text.data, "\n")] = '\0';
		base = text.data;
	} else if (base == NULL)
		base = standard == NULL ? "" : standard;
	buf_adds(base_out, base);
	while (
	    base_out->length > 1 && base_out->data[base_out->length - 1] == '/')
		buf_cut(base_out, base_out->length - 1);
	if (base_out->length == 0)
		return 0;
	/* As that of a user in it. */
	below = xasprintf("%s/%s", base_out->data, homes_prefix(""));
	return homes_check(control_dir, domain_dir, below, err);
}

const char *
homes_prefix(const char *name)
{
	static const struct {
		char last;
		const char *prefix;
	} rows[] = { { 'e', "A2E" }, { 'k', "F2K" }, { 'p', "L2P" },
		{ 's', "Q2S" } };

	if (*name >= 'a' && *name <= 'z')
		for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
			if (*name <= rows[i].last)
				return rows[i].prefix;
	return "T2Zsym";
}
