/* SPDX-License-Identifier: ISC */
/* users/assign and users/cdb: see qmail-users(5). */
#include "control/assign.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/scan.h"
#include "base/utf8.h"
#include "control/layout.h"

enum {
	TEXT_MAX_BYTES = 512 * 1024 * 1024,
	VALUE_FIELDS = 6,
	WILDCHARS_SIZE = 256
};

static const char line_form[] = "write =address:user:uid:gid:home:dash:ext:";

static void
add_lower(struct buf *buf, const char *text, size_t length)
{
	buf_add(buf, text, length);
	ascii_lower(buf->data + buf->length - length, text, length);
}

/* The largest number is no user: it means "leave as it is". */
static bool
scan_ids(const char *uid, const char *gid, uint64_t *uid_out, uint64_t *gid_out)
{
	return scan_u64(uid, UINT32_MAX - 1, uid_out) &&
	    scan_u64(gid, UINT32_MAX - 1, gid_out);
}

/*
 * Reads value: user NUL uid NUL gid NUL home NUL dash NUL ext, and the rest of
 * the address that a wildcard left.
 */
static int
read_value(struct assign_entry *entry, const char *rest, struct error *err)
{
	const char *fields[VALUE_FIELDS];
	const char *at, *end;
	uint64_t uid, gid;
	unsigned i;

	buf_add(&entry->storage, rest, strlen(rest));
	at = entry->storage.data;
	end = at + entry->storage.length;
	for (i = 0; i < VALUE_FIELDS; i++) {
		const char *nul = memchr(at, '\0', (size_t)(end - at) + 1);

		fields[i] = at;
		if ((nul == end) != (i == VALUE_FIELDS - 1))
			return error_set(err,
			    "users/cdb: an entry has not %d "
			    "fields; run qmail-newu",
			    VALUE_FIELDS);
		at = nul + 1;
	}
	if (!scan_ids(fields[1], fields[2], &uid, &gid))
		return error_set(err,
		    "users/cdb: the entry of user '%s' has "
		    "a bad uid or gid; run qmail-newu",
		    fields[0]);
	entry->user = fields[0];
	entry->uid = (uid_t)uid;
	entry->gid = (gid_t)gid;
	entry->home = fields[3];
	entry->dash = fields[4];
	entry->extension = fields[5];
	return 1;
}

/* Tries the exact key, then shorter and shorter wildcards. */
static int
find_key(const struct cdbmap *map, const struct buf *key,
    const struct buf *wildchars, struct buf *value, size_t *prefix_out,
    struct error *err)
{
	size_t length = key->length + 1; /* with the '\0': the exact key */
	int found = cdbmap_get(map, key->data, length, value, err);

	*prefix_out = key->length;
	while (found == 0 && --length > 0) {
		*prefix_out = length;
		if (length == 1 ||
		    memchr(wildchars->data, key->data[length - 1],
			wildchars->length) != NULL)
			found = cdbmap_get(map, key->data, length, value, err);
	}
	return found;
}

int
assign_find(const struct cdbmap *map, const char *local,
    struct assign_entry *entry_out, struct error *err)
{
	AUTO(buf_release) struct buf key = BUF_INIT;
	AUTO(buf_release) struct buf wildchars = BUF_INIT;
	size_t prefix;
	int found;

	*entry_out = (struct assign_entry){ .storage = BUF_INIT };
	buf_addc(&key, '!');
	add_lower(&key, local, strlen(local));
	found = cdbmap_get(map, "", 0, &wildchars, err);
	if (found == 0)
		found = error_set(
		    err, "users/cdb has no list of wildcards; run qmail-newu");
	if (found == 1)
		found = find_key(
		    map, &key, &wildchars, &entry_out->storage, &prefix, err);
	if (found == 1)
		found = read_value(entry_out, local + prefix - 1, err);
	if (found != 1)
		assign_release(entry_out);
	return found;
}

void
assign_release(struct assign_entry *entry)
{
	buf_release(&entry->storage);
	*entry = (struct assign_entry){ .storage = BUF_INIT };
}

/* One run over the text of users/assign, to compile it or to visit it. */
struct compiler {
	struct cdbmap_writer *writer;
	const struct assign_visitor *visitor; /* or NULL */
	char wildchars[WILDCHARS_SIZE];
	size_t wildchar_count;
	/* the line at hand */
	struct assign_line line;
	struct buf key, value;
};

/* Cuts value (fields and colons) into VALUE_FIELDS; what follows is cut off. */
static int
split_value(struct compiler *compiler, struct error *err)
{
	struct assign_line *line = &compiler->line;
	char *fields[VALUE_FIELDS], *at = compiler->value.data;
	uint64_t uid, gid;

	for (unsigned i = 0; i < VALUE_FIELDS; i++) {
		char *colon = strchr(at, ':');

		if (colon == NULL)
			return error_set(err, "%u colons, not %d; %s", i + 1,
			    VALUE_FIELDS + 1, line_form);
		fields[i] = at;
		*colon = '\0';
		at = colon + 1;
	}
	compiler->value.length = (size_t)(at - 1 - compiler->value.data);
	if (fields[0][0] == '\0')
		return error_set(err, "no user; %s", line_form);
	if (!scan_ids(fields[1], fields[2], &uid, &gid)) {
		bool is_uid = !scan_u64(fields[1], UINT32_MAX - 1, &uid);

		return error_set(err,
		    "%s '%.40s' is not a number from 0 to 4294967294",
		    is_uid ? "uid" : "gid", fields[is_uid ? 1 : 2]);
	}
	if (fields[3][0] != '/')
		return error_set(err,
		    "home '%.200s' is not an absolute path; begin it with /",
		    fields[3]);
	line->user = fields[0];
	line->uid = (uid_t)uid;
	line->gid = (gid_t)gid;
	line->home = fields[3];
	line->dash = fields[4];
	return 0;
}

static int
parse_assign_line(struct compiler *compiler, const char *text, size_t length,
    struct error *err)
{
	const char *colon = memchr(text, ':', length);
	struct buf *key = &compiler->key, *value = &compiler->value;
	size_t name_length;

	if (memchr(text, '\0', length) != NULL)
		return error_set(err, "a NUL byte; remove it");
	if (length == 0)
		return error_set(err,
		    "an empty line; remove it, or end the file with a line "
		    "of a single dot");
	if (text[0] != '=' && text[0] != '+')
		return error_set(err,
		    "begins with '%c', not '=' (one address), '+' (a wildcard) "
		    "or a single dot (the end); %s",
		    text[0], line_form);
	if (colon == NULL)
		return error_set(err, "no colons; %s", line_form);
	name_length = (size_t)(colon - text) - 1;
	buf_reset(key);
	buf_addc(key, '!');
	add_lower(key, text + 1, name_length);
	compiler->line.is_wildcard = text[0] == '+';
	compiler->line.address = key->data + 1;
	buf_reset(value);
	buf_add(value, colon + 1, length - name_length - 2);
	return split_value(compiler, err);
}

/* Puts the line into the cdb, or tells the visitor of it. */
static int
put_assign_line(struct compiler *compiler, struct error *err)
{
	const struct buf *key = &compiler->key, *value = &compiler->value;
	bool is_wildcard = compiler->line.is_wildcard;
	/* The key of one address ends with a NUL. */
	size_t key_length = key->length + !is_wildcard;
	char last = key->data[key->length - 1];

	if (compiler->visitor != NULL) {
		compiler->visitor->line(
		    &compiler->line, compiler->visitor->context);
		return 0;
	}
	if (is_wildcard && key->length > 1 &&
	    memchr(compiler->wildchars, last, compiler->wildchar_count) == NULL)
		compiler->wildchars[compiler->wildchar_count++] = last;
	return cdbmap_writer_add(compiler->writer, key->data, key_length,
	    value->data, value->length, err);
}

/* A bad line ends a compilation; a visitor is told, and goes on. */
static int
pass_fault(const struct compiler *compiler, struct error *err)
{
	if (compiler->visitor != NULL) {
		compiler->visitor->fault(compiler->line.number, err->text,
		    compiler->visitor->context);
		return 0;
	}
	error_context(err, "users/assign:%u", compiler->line.number);
	errno = EINVAL;
	return -1;
}

static int
compile_lines(
    struct compiler *compiler, const struct buf *text, struct error *err)
{
	const char *at = text->data, *end = text->data + text->length;

	for (compiler->line.number = 1;; compiler->line.number++) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));

		if (*at == '.' && (newline != NULL ? newline : end) - at == 1)
			break;
		if (newline == NULL) {
			error_set(err,
			    "the text ends without a line of a single dot; it "
			    "may be cut short, else add that line");
			return pass_fault(compiler, err);
		}
		if (parse_assign_line(
			compiler, at, (size_t)(newline - at), err) == -1) {
			if (pass_fault(compiler, err) == -1)
				return -1;
		} else if (put_assign_line(compiler, err) == -1)
			return -1;
		at = newline + 1;
	}
	if (compiler->visitor != NULL)
		return 0;
	return cdbmap_writer_add(compiler->writer, "", 0, compiler->wildchars,
	    compiler->wildchar_count, err);
}

static int
compile_text(
    struct compiler *compiler, const struct buf *text, struct error *err)
{
	int result = compile_lines(compiler, text, err);

	buf_release(&compiler->key);
	buf_release(&compiler->value);
	return result;
}

int
assign_walk(const char *text_path, const struct assign_visitor *visitor,
    struct error *err)
{
	struct compiler compiler = { .visitor = visitor };
	AUTO(buf_release) struct buf text = BUF_INIT;
	int result = file_read(text_path, TEXT_MAX_BYTES, &text, err);
	struct error reason;

	if (result == 1)
		compile_text(&compiler, &text, &reason);
	return result;
}

int
assign_compile(const char *text_path, const char *cdb_path, struct error *err)
{
	AUTO(cdbmap_writer_abort) struct cdbmap_writer *writer = NULL;
	AUTO(buf_release) struct buf text = BUF_INIT;
	int found = file_read(text_path, TEXT_MAX_BYTES, &text, err);
	struct compiler compiler = { .visitor = NULL };

	if (found == 0) {
		errno = ENOENT;
		error_set(err,
		    "no file '%s'; if the node is elsewhere set MQMAIL_HOME, "
		    "else write one (qmail-users(5)), of a single dot at least",
		    text_path);
	}
	if (found != 1)
		return -1;
	compiler.writer = writer = cdbmap_writer_new(cdb_path, err);
	if (writer == NULL || compile_text(&compiler, &text, err) == -1)
		return -1;
	return cdbmap_writer_commit(&writer, err);
}

int
assign_compile_users(const struct home *home, struct error *err)
{
	OWN_TEXT text_path = layout_path(home, LAYOUT_assign);
	OWN_TEXT cdb_path = layout_path(home, LAYOUT_assign_cdb);

	return assign_compile(text_path, cdb_path, err);
}
