/* SPDX-License-Identifier: ISC */
/* Files in the control folder that are no setting. */
#include "control/showctl.h"

#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "control/layout.h"

/* Files that programs read besides the settings, or in the place of one. */
static bool
is_other(const char *name)
{
	static const enum layout_id others[] = { LAYOUT_access,
		LAYOUT_access_cdb, LAYOUT_morercpthosts,
		LAYOUT_morercpthosts_cdb, LAYOUT_smtproutes_cdb,
		LAYOUT_moresmtproutes, LAYOUT_moresmtproutes_cdb,
		LAYOUT_remote_auth, LAYOUT_remote_auth_cdb };

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (strcmp(name, layout_below(LAYOUT_control, others[i])) == 0)
			return true;
	if (strncmp(name, "outgoingip.", 11) == 0)
		return true;
	for (unsigned id = 0; id < SETTING_COUNT; id++)
		if (setting_rows[id].type == SETTING_RULES &&
		    strcmp(name, setting_rows[id].standard) == 0)
			return true;
	return false;
}

const char *
showctl_queue_of(const char *name)
{
	const char *dot = strchr(name, '.');
	OWN_TEXT stem = NULL;
	enum setting_id id;

	if (dot == NULL || dot == name || dot[1] == '\0' ||
	    name[strlen(name) - 1] == '~')
		return NULL;
	stem = xstrndup(name, (size_t)(dot - name));
	if (strcmp(stem, "concurrencyl") == 0 ||
	    strcmp(stem, "concurrencyr") == 0 ||
	    (settings_find(stem, &id) &&
		strstr(setting_rows[id].readers, "qmail-send") != NULL))
		return dot + 1;
	return NULL;
}

static bool
is_known_file(const char *name)
{
	enum setting_id id;

	if (name[0] == '.' || name[strlen(name) - 1] == '~')
		return true;
	return is_other(name) || settings_find(name, &id) ||
	    showctl_queue_of(name) != NULL;
}

int
showctl_find_unknown(
    const char *control_dir, struct strlist *names_out, struct error *err)
{
	DIR *dir = opendir(control_dir);
	const struct dirent *entry;

	*names_out = (struct strlist){ .items = NULL };
	if (dir == NULL)
		return error_sys(err,
		    "cannot open folder '%s' (MQMAIL_HOME names the node)",
		    control_dir);
	while ((entry = readdir(dir)) != NULL) {
		struct stat st;

		if (!is_known_file(entry->d_name) &&
		    (fstatat(dirfd(dir), entry->d_name, &st, 0) == -1 ||
			!S_ISDIR(st.st_mode)))
			strlist_add(names_out, entry->d_name);
	}
	closedir(dir);
	strlist_sort(names_out);
	return 0;
}
