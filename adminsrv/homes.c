/* SPDX-License-Identifier: ISC */
/* Where folders of users are. */
#include "adminsrv/homes.h"

#include <stdlib.h>
#include <string.h>

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

int
homes_check(const char *control_dir, const char *domain_dir, const char *path,
    struct error *err)
{
	const char *slash = strrchr(domain_dir, '/');
	OWN_TEXT domains = xstrndup(domain_dir, (size_t)(slash - domain_dir));
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
	if (result == -1 || is_within)
		return result;
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
	return base_out->length == 0
	    ? 0
	    : homes_check(control_dir, domain_dir, base_out->data, err);
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
