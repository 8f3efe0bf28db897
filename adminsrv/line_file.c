/* SPDX-License-Identifier: ISC */
/* A control file of lines, edited. */
#include "adminsrv/line_file.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/strlist.h"
#include "control/idn.h"

enum { TEXT_MAX = 512 * 1024 * 1024 };

struct line_file {
	char *path;
	struct strlist lines;
	bool exists;
	bool is_changed;
};

int
line_file_load(const char *path, struct line_file **file_out, struct error *err)
{
	struct line_file *file = xcalloc(1, sizeof(*file));
	AUTO(buf_release) struct buf text = BUF_INIT;
	int result;

	file->path = xstrdup(path);
	result = file_read(path, TEXT_MAX, &text, err);
	file->exists = result == 1;
	if (result == 1 && memchr(text.data, '\0', text.length) != NULL)
		result = error_set(err, "'%s' has a NUL byte in it", path);
	for (const char *at = text.data; result == 1 && *at != '\0';) {
		size_t length = strcspn(at, "\n");

		strlist_addn(&file->lines, at, length);
		at += length + (at[length] == '\n');
	}
	if (result == -1)
		line_file_free(&file);
	*file_out = file;
	return result == -1 ? -1 : 0;
}

void
line_file_free(struct line_file **file)
{
	if (*file == NULL)
		return;
	strlist_release(&(*file)->lines);
	free((*file)->path);
	free(*file);
	*file = NULL;
}

bool
line_file_exists(const struct line_file *file)
{
	return file->exists;
}

/* The length of a line's key; 0: it has none. */
static size_t
key_length(const char *line)
{
	size_t length = strcspn(line, ":");

	if (*line == '#')
		return 0;
	while (
	    length > 0 && (line[length - 1] == ' ' || line[length - 1] == '\t'))
		length--;
	return length;
}

static bool
has_key(const char *line, const char *key)
{
	size_t length = key_length(line);
	OWN_TEXT own = NULL;
	char domain[IDN_DOMAIN_SIZE];

	if (length == strlen(key) && strncasecmp(line, key, length) == 0)
		return length > 0;
	if (idn_is_ascii(line))
		return false;
	/* A line that was written by hand may spell a domain otherwise. */
	own = xstrndup(line, length);
	return idn_domain_canonical(own, domain) && strcmp(domain, key) == 0;
}

const char *
line_file_next(const struct line_file *file, size_t *at)
{
	while (
	    *at < file->lines.count && key_length(file->lines.items[*at]) == 0)
		++*at;
	return *at == file->lines.count ? NULL : file->lines.items[(*at)++];
}

const char *
line_file_find(const struct line_file *file, const char *key)
{
	for (size_t i = 0; i < file->lines.count; i++) {
		if (has_key(file->lines.items[i], key))
			return file->lines.items[i];
	}
	return NULL;
}

size_t
line_file_count(const struct line_file *file)
{
	size_t count = 0;
	size_t at = 0;

	while (line_file_next(file, &at) != NULL)
		count++;
	return count;
}

void
line_file_add(struct line_file *file, const char *line)
{
	size_t end = file->lines.count, at = 0;
	char **items, *added;

	while (at < end && strcmp(file->lines.items[at], ".") != 0)
		at++;
	strlist_add(&file->lines, line);
	items = file->lines.items;
	added = items[end];
	memmove(&items[at + 1], &items[at], (end - at) * sizeof(*items));
	items[at] = added;
	file->is_changed = true;
}

bool
line_file_remove(struct line_file *file, const char *key)
{
	struct strlist kept = { .items = NULL };
	bool found;

	for (size_t i = 0; i < file->lines.count; i++)
		if (!has_key(file->lines.items[i], key))
			strlist_add(&kept, file->lines.items[i]);
	found = kept.count < file->lines.count;
	strlist_release(&file->lines);
	file->lines = kept;
	file->is_changed = file->is_changed || found;
	return found;
}

int
line_file_save(const struct line_file *file, unsigned mode, const char *last,
    struct error *err)
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	bool has_last = false;

	if (!file->is_changed)
		return 0;
	for (size_t i = 0; i < file->lines.count; i++) {
		buf_adds(&text, file->lines.items[i]);
		buf_addc(&text, '\n');
		if (last != NULL && strcmp(file->lines.items[i], last) == 0)
			has_last = true; /* the rest is a remark */
	}
	if (last != NULL && !has_last)
		buf_addf(&text, "%s\n", last);
	return file_replace(file->path, text.data, text.length, mode, err);
}
