/* SPDX-License-Identifier: ISC */
/* users/assign and users/cdb: see qmail-users(5). */
#include "control/assign.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/scan.h"

enum {
	TEXT_MAX_BYTES = 512 * 1024 * 1024,
	VALUE_FIELDS = 6,
	WILDCHARS_SIZE = 256
};

static const char line_form[] = "write =address:user:uid:gid:home:dash:ext:";

/* ASCII only, and the same in every locale, as qmail's keys are. */
static char
to_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static void
add_lower(struct buf *buf, const char *text, size_t length)
{
	size_t i;

	buf_reserve(buf, length);
	for (i = 0; i < length; i++)
		buf_addc(buf, to_lower(text[i]));
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
	/* The largest number is no user: it means "leave as it is". */
	if (!scan_u64(fields[1], UINT32_MAX - 1, &uid) ||
	    !scan_u64(fields[2], UINT32_MAX - 1, &gid))
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
	struct buf key, wildchars;
	size_t prefix;
	int found;

	*entry_out = (struct assign_entry){ .storage = BUF_INIT };
	buf_init(&entry_out->storage);
	buf_init(&key);
	buf_init(&wildchars);
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
	buf_release(&key);
	buf_release(&wildchars);
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
	unsigned line;
	bool is_text_bad;
};

/* Says what is wrong with the line, and that it is the text's fault. */
static int bad_line(struct compiler *compiler, struct error *err,
    const char *format, ...) __attribute__((format(printf, 3, 4)));

static int
bad_line(struct compiler *compiler, struct error *err, const char *format, ...)
{
	char reason[sizeof(err->text)];
	va_list args;

	va_start(args, format);
	vsnprintf(reason, sizeof(reason), format, args);
	va_end(args);
	compiler->is_text_bad = true;
	if (compiler->visitor != NULL)
		return error_set(err, "%s", reason);
	return error_set(err, "users/assign:%u: %s", compiler->line, reason);
}

static void
add_wildchar(struct compiler *compiler, char c)
{
	if (memchr(compiler->wildchars, c, compiler->wildchar_count) == NULL)
		compiler->wildchars[compiler->wildchar_count++] = c;
}

/* Cuts value (fields and colons) into VALUE_FIELDS; what follows is cut off. */
static int
split_value(struct compiler *compiler, struct buf *value, struct error *err)
{
	char *fields[VALUE_FIELDS + 1];
	uint64_t number;
	unsigned count = 0;
	char *at = value->data;

	while (count < VALUE_FIELDS) {
		char *colon = strchr(at, ':');

		fields[count] = at;
		if (colon == NULL)
			return bad_line(compiler, err, "%u colons, not %d; %s",
			    count + 1, VALUE_FIELDS + 1, line_form);
		*colon = '\0';
		at = colon + 1;
		count++;
	}
	value->length = (size_t)(at - 1 - value->data);
	if (fields[0][0] == '\0')
		return bad_line(compiler, err, "no user; %s", line_form);
	if (!scan_u64(fields[1], UINT32_MAX - 1, &number))
		return bad_line(compiler, err,
		    "uid '%.40s' is not a number "
		    "from 0 to 4294967294",
		    fields[1]);
	if (!scan_u64(fields[2], UINT32_MAX - 1, &number))
		return bad_line(compiler, err,
		    "gid '%.40s' is not a number "
		    "from 0 to 4294967294",
		    fields[2]);
	if (fields[3][0] != '/')
		return bad_line(compiler, err,
		    "home '%.200s' is not an "
		    "absolute path; begin it with /",
		    fields[3]);
	return 0;
}

/* Key and value are as compile_line() makes them. */
static void
visit_line(const struct compiler *compiler, bool is_wildcard,
    const struct buf *key, const struct buf *value)
{
	const char *fields[VALUE_FIELDS];
	const char *at = value->data;
	uint64_t uid = 0, gid = 0;

	for (unsigned i = 0; i < VALUE_FIELDS; i++) {
		fields[i] = at;
		at += strlen(at) + 1;
	}
	scan_u64(fields[1], UINT32_MAX - 1, &uid);
	scan_u64(fields[2], UINT32_MAX - 1, &gid);
	compiler->visitor->line(&(struct assign_line){ .number = compiler->line,
				    .is_wildcard = is_wildcard,
				    .address = key->data + 1,
				    .user = fields[0],
				    .uid = (uid_t)uid,
				    .gid = (gid_t)gid,
				    .home = fields[3],
				    .dash = fields[4] },
	    compiler->visitor->context);
}

static int
compile_line(struct compiler *compiler, const char *line, size_t length,
    struct buf *key, struct buf *value, struct error *err)
{
	const char *colon = memchr(line, ':', length);
	size_t name_length;

	if (memchr(line, '\0', length) != NULL)
		return bad_line(compiler, err, "a NUL byte; remove it");
	if (length == 0)
		return bad_line(compiler, err,
		    "an empty line; remove it, or end the file with a line "
		    "of a single dot");
	if (line[0] != '=' && line[0] != '+')
		return bad_line(compiler, err,
		    "begins with '%c', not '=' "
		    "(one address), '+' (a wildcard) or a single dot (the "
		    "end); %s",
		    line[0], line_form);
	if (colon == NULL)
		return bad_line(compiler, err, "no colons; %s", line_form);
	name_length = (size_t)(colon - line) - 1;
	buf_reset(key);
	buf_addc(key, '!');
	add_lower(key, line + 1, name_length);
	if (line[0] == '=')
		buf_addc(key, '\0');
	else if (name_length > 0)
		add_wildchar(compiler, key->data[key->length - 1]);
	buf_reset(value);
	buf_add(value, colon + 1, length - name_length - 2);
	if (split_value(compiler, value, err) == -1)
		return -1;
	if (compiler->visitor != NULL) {
		visit_line(compiler, line[0] == '+', key, value);
		return 0;
	}
	return cdbmap_writer_add(compiler->writer, key->data, key->length,
	    value->data, value->length, err);
}

/* What follows a bad line: nothing, or for a visitor the next one. */
static int
pass_fault(const struct compiler *compiler, const struct error *err)
{
	if (compiler->visitor == NULL)
		return -1;
	compiler->visitor->fault(
	    compiler->line, err->text, compiler->visitor->context);
	return 0;
}

static int
end_text(struct compiler *compiler, struct error *err)
{
	if (compiler->visitor != NULL)
		return 0;
	return cdbmap_writer_add(compiler->writer, "", 0, compiler->wildchars,
	    compiler->wildchar_count, err);
}

static int
compile_text(
    struct compiler *compiler, const struct buf *text, struct error *err)
{
	const char *at = text->data, *end = text->data + text->length;
	struct buf key, value;
	int result = -1;

	buf_init(&key);
	buf_init(&value);
	for (compiler->line = 1;; compiler->line++) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));

		if (*at == '.' && (newline != NULL ? newline : end) - at == 1) {
			result = end_text(compiler, err);
			break;
		}
		if (newline == NULL) {
			bad_line(compiler, err,
			    "the text ends without a line of a single dot; it "
			    "may be cut short, else add that line");
			result = pass_fault(compiler, err);
			break;
		}
		if (compile_line(compiler, at, (size_t)(newline - at), &key,
			&value, err) == -1 &&
		    pass_fault(compiler, err) == -1)
			break;
		at = newline + 1;
	}
	buf_release(&key);
	buf_release(&value);
	return result;
}

int
assign_walk(const char *text_path, const struct assign_visitor *visitor,
    struct error *err)
{
	struct compiler compiler = { .visitor = visitor };
	struct error reason;
	struct buf text;
	int result;

	buf_init(&text);
	result = file_read(text_path, TEXT_MAX_BYTES, &text, err);
	if (result == 1)
		compile_text(&compiler, &text, &reason);
	buf_release(&text);
	return result;
}

int
assign_compile(const char *text_path, const char *cdb_path, struct error *err)
{
	struct compiler compiler = { .writer = NULL };
	struct buf text;
	int result = -1, saved_errno;

	buf_init(&text);
	switch (file_read(text_path, TEXT_MAX_BYTES, &text, err)) {
	case 1:
		break;
	case 0:
		errno = ENOENT;
		error_set(err,
		    "no file '%s'; if the node is elsewhere set "
		    "MQMAIL_HOME, else write one (qmail-users(5)), of a "
		    "single dot at least",
		    text_path);
		goto out;
	default:
		goto out;
	}
	compiler.writer = cdbmap_writer_new(cdb_path, err);
	if (compiler.writer == NULL)
		goto out;
	if (compile_text(&compiler, &text, err) == 0)
		result = cdbmap_writer_commit(&compiler.writer, err);
out:
	saved_errno = compiler.is_text_bad ? EINVAL : errno;
	cdbmap_writer_abort(&compiler.writer);
	buf_release(&text);
	errno = saved_errno;
	return result;
}
