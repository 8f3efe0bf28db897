/* SPDX-License-Identifier: ISC */
/* A domain's users: vpasswd and vpasswd.cdb. */
#include "adminsrv/vpasswd_file.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "control/cdbmap.h"

/* The domain's group reads the cdb: qmail-smtpd's user is in it. */
enum { TEXT_MAX = 1 << 30, TEXT_MODE = 0600, CDB_MODE = 0640 };

struct row {
	char *line;   /* as it stands in the text, no newline; NULL: removed */
	char *pieces; /* what entry points into */
	struct vpasswd_entry entry;
};

struct vpasswd_file {
	char *text_path;
	char *cdb_path;
	struct row *rows;
	size_t count, size;
	size_t *index; /* open addressing; row number + 1, 0: free */
	size_t index_size;
	uint64_t fingerprint; /* of the text as loaded or saved */
};

enum { FINGERPRINT_SIZE = 17 }; /* 16 digits and '\0' */

/* FNV-1a: for tables, and to know a text again. */
static uint64_t
hash_bytes(const char *data, size_t length)
{
	uint64_t hash = 14695981039346656037u;

	for (size_t i = 0; i < length; i++)
		hash = (hash ^ (unsigned char)data[i]) * 1099511628211u;
	return hash ^ hash >> 32;
}

static size_t
hash_of(const char *name)
{
	return (size_t)hash_bytes(name, strlen(name));
}

static void
index_add(struct vpasswd_file *file, size_t row)
{
	size_t at = hash_of(file->rows[row].entry.name);

	while (file->index[at % file->index_size] != 0)
		at++;
	file->index[at % file->index_size] = row + 1;
}

/* Makes the index again, larger, from all rows. */
static void
index_rebuild(struct vpasswd_file *file)
{
	file->index_size = file->index_size == 0 ? 1024 : file->index_size * 4;
	free(file->index);
	file->index = xcalloc(file->index_size, sizeof(*file->index));
	for (size_t i = 0; i < file->count; i++) {
		if (file->rows[i].line != NULL)
			index_add(file, i);
	}
}

static struct row *
find_row(const struct vpasswd_file *file, const char *name)
{
	size_t at = hash_of(name);

	if (file->index_size == 0)
		return NULL;
	for (;; at++) {
		size_t row = file->index[at % file->index_size];

		if (row == 0)
			return NULL;
		if (file->rows[row - 1].line != NULL &&
		    strcmp(file->rows[row - 1].entry.name, name) == 0)
			return &file->rows[row - 1];
	}
}

static void
row_release(struct row *row)
{
	free(row->line);
	free(row->pieces);
	*row = (struct row){ .line = NULL };
}

static int
row_init(struct row *row, const char *line, size_t length, struct error *err)
{
	row->line = xstrndup(line, length);
	row->pieces = xstrndup(line, length);
	if (memchr(line, '\0', length) != NULL)
		error_set(err, "there is a NUL byte in it");
	else if (vpasswd_parse_line(row->pieces, length, &row->entry, err) == 0)
		return 0;
	row_release(row);
	return -1;
}

/* Takes the row. */
static void
append_row(struct vpasswd_file *file, const struct row *row)
{
	if (file->count == file->size) {
		file->size = file->size == 0 ? 64 : file->size * 2;
		file->rows = xrealloc(
		    file->rows, file->size * sizeof(*file->rows));
	}
	file->rows[file->count++] = *row;
	if (file->count * 2 > file->index_size)
		index_rebuild(file);
	else
		index_add(file, file->count - 1);
}

static int
load_lines(struct vpasswd_file *file, const struct buf *text, struct error *err)
{
	const char *at = text->data;
	const char *end = text->data + text->length;

	for (unsigned number = 1; at < end; number++) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		size_t length = (size_t)((newline == NULL ? end : newline) -
		    at);
		struct row row;
		int result = 0;

		if (length > 0)
			result = row_init(&row, at, length, err);
		if (length > 0 && result == 0 &&
		    find_row(file, row.entry.name) != NULL) {
			result = error_set(
			    err, "user '%s' is there twice", row.entry.name);
			row_release(&row);
		}
		if (result == -1)
			return error_context(
			    err, "%s:%u", file->text_path, number);
		if (length > 0)
			append_row(file, &row);
		at += length + 1;
	}
	return 0;
}

int
vpasswd_file_load(
    const char *domain_dir, struct vpasswd_file **file_out, struct error *err)
{
	struct vpasswd_file *file = xcalloc(1, sizeof(*file));
	struct buf text;
	int result;

	buf_init(&text);
	file->text_path = xasprintf("%s/vpasswd", domain_dir);
	file->cdb_path = xasprintf("%s/vpasswd.cdb", domain_dir);
	result = file_read(file->text_path, TEXT_MAX, &text, err);
	if (result == 1 && load_lines(file, &text, err) == -1)
		result = -1;
	file->fingerprint = hash_bytes(text.data, text.length);
	if (result == -1)
		vpasswd_file_free(&file);
	buf_release(&text);
	*file_out = file;
	return result;
}

void
vpasswd_file_free(struct vpasswd_file **file)
{
	if (*file == NULL)
		return;
	for (size_t i = 0; i < (*file)->count; i++)
		row_release(&(*file)->rows[i]);
	free((*file)->rows);
	free((*file)->index);
	free((*file)->text_path);
	free((*file)->cdb_path);
	free(*file);
	*file = NULL;
}

const struct vpasswd_entry *
vpasswd_file_next(const struct vpasswd_file *file, size_t *at)
{
	while (*at < file->count && file->rows[*at].line == NULL)
		++*at;
	return *at == file->count ? NULL : &file->rows[(*at)++].entry;
}

const struct vpasswd_entry *
vpasswd_file_find(const struct vpasswd_file *file, const char *name)
{
	const struct row *row = find_row(file, name);

	return row == NULL ? NULL : &row->entry;
}

int
vpasswd_file_put(struct vpasswd_file *file, const struct vpasswd_entry *entry,
    struct error *err)
{
	struct row *old;
	struct row row;
	struct buf line;
	int result;

	buf_init(&line);
	result = vpasswd_format(entry, &line, err);
	if (result == 0)
		result = row_init(&row, line.data, line.length - 1, err);
	buf_release(&line);
	if (result == -1)
		return -1;
	old = find_row(file, row.entry.name);
	if (old == NULL) {
		append_row(file, &row);
	} else {
		row_release(old);
		*old = row;
	}
	return 0;
}

bool
vpasswd_file_remove(struct vpasswd_file *file, const char *name)
{
	struct row *row = find_row(file, name);

	if (row != NULL)
		row_release(row);
	return row != NULL;
}

static void
print_fingerprint(const struct vpasswd_file *file, char text[FINGERPRINT_SIZE])
{
	snprintf(text, FINGERPRINT_SIZE, "%016" PRIx64, file->fingerprint);
}

static int
add_rows(const struct vpasswd_file *file, struct cdbmap_writer *writer,
    struct error *err)
{
	char fingerprint[FINGERPRINT_SIZE];

	print_fingerprint(file, fingerprint);
	if (cdbmap_writer_add(
		writer, "", 0, fingerprint, strlen(fingerprint), err) == -1)
		return -1;
	for (size_t i = 0; i < file->count; i++) {
		const struct row *row = &file->rows[i];
		const char *value;

		if (row->line == NULL)
			continue;
		value = strchr(row->line, ':') + 1;
		if (cdbmap_writer_add(writer, row->entry.name,
			strlen(row->entry.name), value, strlen(value),
			err) == -1)
			return -1;
	}
	return 0;
}

int
vpasswd_file_compile(const struct vpasswd_file *file, struct error *err)
{
	struct cdbmap_writer *writer;

	writer = cdbmap_writer_new(file->cdb_path, err);
	if (writer == NULL)
		return -1;
	cdbmap_writer_set_mode(writer, CDB_MODE);
	if (add_rows(file, writer, err) == -1) {
		cdbmap_writer_abort(&writer);
		return -1;
	}
	return cdbmap_writer_commit(&writer, err);
}

int
vpasswd_file_save(struct vpasswd_file *file, struct error *err)
{
	struct buf text;
	int result;

	buf_init(&text);
	for (size_t i = 0; i < file->count; i++) {
		if (file->rows[i].line == NULL)
			continue;
		buf_adds(&text, file->rows[i].line);
		buf_addc(&text, '\n');
	}
	file->fingerprint = hash_bytes(text.data, text.length);
	result = file_replace(
	    file->text_path, text.data, text.length, TEXT_MODE, err);
	buf_release(&text);
	return result == -1 ? -1 : vpasswd_file_compile(file, err);
}

bool
vpasswd_file_is_compiled(const struct vpasswd_file *file)
{
	char wanted[FINGERPRINT_SIZE];
	struct cdbmap *map;
	struct buf found;
	bool is_compiled;

	if (cdbmap_open(file->cdb_path, &map, NULL) != 1)
		return false;
	print_fingerprint(file, wanted);
	buf_init(&found);
	is_compiled = cdbmap_get(map, "", 0, &found, NULL) == 1 &&
	    strcmp(found.data, wanted) == 0;
	buf_release(&found);
	cdbmap_free(&map);
	return is_compiled;
}
