/* SPDX-License-Identifier: ISC */
/* The environment of every service of a node. */
#include "control/global_vars.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

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

static void
visit_file(const char *path, const char *name,
    const struct global_vars_visitor *visitor)
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	OWN_TEXT value = NULL;
	struct error err;
	struct stat st;

	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
		error_set(&err,
		    "it is not a file, so envdir fails and the service cannot "
		    "start; move it away");
	else if (file_read(path, VARIABLE_MAX, &text, &err) == -1) {
		struct error reason = err;

		error_set(&err,
		    "%s; make it readable for those who run services",
		    reason.text);
	} else {
		if (text.length > 0)
			value = global_vars_parse(text.data, text.length);
		visitor->variable(path, name, value, visitor->context);
		return;
	}
	if (visitor->fault != NULL)
		visitor->fault(path, err.text, visitor->context);
}

int
global_vars_walk(const char *folder, const struct global_vars_visitor *visitor)
{
	DIR *dir = opendir(folder);
	const struct dirent *entry;

	if (dir == NULL)
		return -1;
	while ((entry = readdir(dir)) != NULL) {
		OWN_TEXT path = xasprintf("%s/%s", folder, entry->d_name);

		if (entry->d_name[0] != '.')
			visit_file(path, entry->d_name, visitor);
	}
	closedir(dir);
	return 0;
}

static void
take_global_variable(
    const char *path, const char *name, const char *value, void *context)
{
	(void)path;
	(void)context;
	setenv(name, value != NULL ? value : "", 0);
}

void
global_vars_take(const char *folder)
{
	const struct global_vars_visitor visitor = {
		.variable = take_global_variable
	};

	global_vars_walk(folder, &visitor);
}

struct home *
global_vars_home(void)
{
	AUTO(home_free) struct home *home = home_new();
	OWN_TEXT folder = layout_path(home, LAYOUT_global_vars);

	global_vars_take(folder);
	return home_at(home->root);
}
