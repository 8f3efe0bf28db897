/* SPDX-License-Identifier: ISC */
/* A domain's users: vpasswd and vpasswd.cdb. */
#include "adminsrv/vpasswd_file.h"

#include <inttypes.h>
#include <search.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "control/cdbmap.h"
#include "control/layout.h"

enum { TEXT_MAX = 1 << 30 };

struct row {
	uint64_t hash; /* of the name: most comparisons end here */
	struct vpasswd_entry entry;
	char *line;   /* as it stands in the text, no newline */
	char *pieces; /* what entry points into */
};

struct vpasswd_file {
	char *text_path;
	char *cdb_path;
	struct row **rows; /* in the text's order */
	size_t count;
	void *by_name;        /* tsearch(3) */
	uint64_t fingerprint; /* of the text as loaded or saved */
};

enum { FINGERPRINT_SIZE = 17 }; /* 16 digits and '\0' */

/* FNV-1a: for names, and to know a text again. */
static uint64_t
hash_bytes(const char *data, size_t length)
{
	uint64_t hash = 14695981039346656037u;

	for (size_t i = 0; i < length; i++)
		hash = (hash ^ (unsigned char)data[i]) * 1099511628211u;
	return hash ^ hash >> 32;
}

static int
compare_users(const void *a, const void *b)
{
	const struct row *left = a, *right = b;

	if (left->hash != right->hash)
		return left->hash < right->hash ? -1 : 1;
	return strcmp(left->entry.name, right->entry.name);
}

static struct row *
find_user_row(const struct vpasswd_file *file, const char *name)
{
	struct row wanted = { .hash = hash_bytes(name, strlen(name)),
		.entry.name = name };
	struct row *const *node = tfind(&wanted, &file->by_name, compare_users);

	return node == NULL ? NULL : *node;
}

static void
row_free(struct row **row)
{
	if (*row == NULL)
		return;
	free((*row)->line);
	free((*row)->pieces);
	free(*row);
	*row = NULL;
}

/* NULL with the reason. */
static struct row *
row_new(const char *line, size_t length, struct error *err)
{
	struct row *row = xcalloc(1, sizeof(*row));
	int result;

	row->line = xstrndup(line, length);
	row->pieces = xstrndup(line, length);
	if (memchr(line, '\0', length) != NULL)
		result = error_set(err, "there is a NUL byte in it");
	else
		result = vpasswd_parse_line(
		    row->pieces, length, &row->entry, err);
	if (result == -1)
		row_free(&row);
	else
		row->hash = hash_bytes(
		    row->entry.name, strlen(row->entry.name));
	return row;
}

/* Takes the row, whose name the file does not have. */
static void
append_row(struct vpasswd_file *file, struct row *row)
{
	file->rows = mem_room(file->rows, file->count, sizeof(*file->rows));
	file->rows[file->count++] = row;
	while (tsearch(row, &file->by_name, compare_users) == NULL)
		free(xmalloc(64)); /* waits for memory, or ends it all */
}

static int
load_row(struct vpasswd_file *file, const char *line, size_t length,
    struct error *err)
{
	struct row *row = row_new(line, length, err);

	if (row == NULL)
		return -1;
	if (find_user_row(file, row->entry.name) == NULL) {
		append_row(file, row);
		return 0;
	}
	error_set(err, "user '%s' is there twice", row->entry.name);
	row_free(&row);
	return -1;
}

static int
load_rows(struct vpasswd_file *file, const struct buf *text, struct error *err)
{
	const char *at = text->data;
	const char *end = text->data + text->length;

	for (unsigned number = 1; at < end; number++) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		size_t length = (size_t)((newline == NULL ? end : newline) -
		    at);

		if (length > 0 && load_row(file, at, length, err) == -1)
			return error_context(
			    err, "%s:%u", file->text_path, number);
		at += length + 1;
	}
	return 0;
}

int
vpasswd_file_load(
    const char *domain_dir, struct vpasswd_file **file_out, struct error *err)
{
	struct vpasswd_file *file = xcalloc(1, sizeof(*file));
	AUTO(buf_release) struct buf text = BUF_INIT;
	int result;

	file->text_path = layout_domain_path(domain_dir, LAYOUT_vpasswd);
	file->cdb_path = layout_domain_path(domain_dir, LAYOUT_vpasswd_cdb);
	result = file_read(file->text_path, TEXT_MAX, &text, err);
	if (result == 1 && load_rows(file, &text, err) == -1)
		result = -1;
	file->fingerprint = hash_bytes(text.data, text.length);
	if (result == -1)
		vpasswd_file_free(&file);
	*file_out = file;
	return result;
}

static void
keep_row(void *row)
{
	(void)row; /* the array frees it */
}

void
vpasswd_file_free(struct vpasswd_file **file)
{
	if (*file == NULL)
		return;
	tdestroy((*file)->by_name, keep_row);
	for (size_t i = 0; i < (*file)->count; i++)
		row_free(&(*file)->rows[i]);
	free((*file)->rows);
	free((*file)->text_path);
	free((*file)->cdb_path);
	free(*file);
	*file = NULL;
}

const struct vpasswd_entry *
vpasswd_file_next(const struct vpasswd_file *file, size_t *at)
{
	return *at == file->count ? NULL : &file->rows[(*at)++]->entry;
}

const struct vpasswd_entry *
vpasswd_file_find(const struct vpasswd_file *file, const char *name)
{
	const struct row *row = find_user_row(file, name);

	return row == NULL ? NULL : &row->entry;
}

int
vpasswd_file_put(struct vpasswd_file *file, const struct vpasswd_entry *entry,
    struct error *err)
{
	AUTO(buf_release) struct buf line = BUF_INIT;
	struct row *row, *old;

	if (vpasswd_format(entry, &line, err) == -1)
		return -1;
	row = row_new(line.data, line.length - 1, err);
	if (row == NULL)
		return -1;
	old = find_user_row(file, row->entry.name);
	if (old == NULL)
		append_row(file, row);
	else {
		struct row former = *old;

		*old = *row; /* at the same place, of the same name */
		*row = former;
		row_free(&row);
	}
	return 0;
}

bool
vpasswd_file_remove(struct vpasswd_file *file, const char *name)
{
	struct row *row = find_user_row(file, name);
	size_t at = 0;

	if (row == NULL)
		return false;
	tdelete(row, &file->by_name, compare_users);
	while (file->rows[at] != row)
		at++;
	file->count--;
	memmove(&file->rows[at], &file->rows[at + 1],
	    (file->count - at) * sizeof(*file->rows));
	row_free(&row);
	return true;
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
		const struct row *row = file->rows[i];
		const char *value = strchr(row->line, ':') + 1;

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
	AUTO(cdbmap_writer_abort)
	struct cdbmap_writer *writer = cdbmap_writer_new(file->cdb_path, err);

	if (writer == NULL)
		return -1;
	cdbmap_writer_set_mode(writer, layout_rows[LAYOUT_vpasswd_cdb].mode);
	if (add_rows(file, writer, err) == -1)
		return -1;
	return cdbmap_writer_commit(&writer, err);
}

int
vpasswd_file_save(struct vpasswd_file *file, struct error *err)
{
	AUTO(buf_release) struct buf text = BUF_INIT;

	for (size_t i = 0; i < file->count; i++) {
		buf_adds(&text, file->rows[i]->line);
		buf_addc(&text, '\n');
	}
	file->fingerprint = hash_bytes(text.data, text.length);
	if (file_replace(file->text_path, text.data, text.length,
		layout_rows[LAYOUT_vpasswd].mode, err) == -1)
		return -1;
	return vpasswd_file_compile(file, err);
}

bool
vpasswd_file_is_compiled(const struct vpasswd_file *file)
{
	AUTO(cdbmap_free) struct cdbmap *map = NULL;
	AUTO(buf_release) struct buf found = BUF_INIT;
	char wanted[FINGERPRINT_SIZE];

	print_fingerprint(file, wanted);
	return cdbmap_open(file->cdb_path, &map, NULL) == 1 &&
	    cdbmap_get(map, "", 0, &found, NULL) == 1 &&
	    found.length == strlen(wanted) && strcmp(found.data, wanted) == 0;
}
