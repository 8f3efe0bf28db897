/* SPDX-License-Identifier: ISC */
/* The environment of every service of a node. */
#include "control/global_vars.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "control/layout.h"

enum { VARIABLE_MAX = 65536 };

char *
global_vars_parse(const char *text, size_t length)
{
	const char *newline = memchr(text, '\n', length);
	char *value;
	size_t i;

	if (newline != NULL)
		length = (size_t)(newline - text);
	while (
	    length > 0 && (text[length - 1] == ' ' || text[length - 1] == '\t'))
		length--;
	value = xmalloc(length + 1);
	for (i = 0; i < length; i++)
		value[i] = text[i] == '\0' ? '\n' : text[i];
	value[length] = '\0';
	return value;
}

char *
global_vars_read(const char *path)
{
	AUTO(buf_release) struct buf buf = BUF_INIT;

	if (file_read(path, VARIABLE_MAX, &buf, NULL) != 1)
		return NULL;
	return global_vars_parse(buf.data, buf.length);
}

void
global_vars_take(const char *folder)
{
	DIR *dir = opendir(folder);
	const struct dirent *entry;

	if (dir == NULL)
		return;
	while ((entry = readdir(dir)) != NULL) {
		AUTO(mem_free)
		char *path = xasprintf("%s/%s", folder, entry->d_name);
		AUTO(mem_free) char *value = NULL;

		if (entry->d_name[0] != '.')
			value = global_vars_read(path);
		if (value != NULL)
			setenv(entry->d_name, value, 0);
	}
	closedir(dir);
}

struct home *
global_vars_home(void)
{
	AUTO(home_free) struct home *home = home_new();
	AUTO(mem_free) char *folder = layout_path(home, LAYOUT_global_vars);

	global_vars_take(folder);
	return home_at(home->root);
}
