/* SPDX-License-Identifier: ISC */
/* Users from the files of other systems. */
#include "adminsrv/import.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "adminsrv/quota_text.h"
#include "adminsrv/users.h"
#include "base/mem.h"
#include "base/scan.h"
#include "base/strlist.h"

enum {
	BATCH_USERS = 5000,
	LINE_BYTES = 16 * 1024,
	FIELDS_MAX = 40,
	/* Of vpopmail's flags these mean what ours do. */
	VPOPMAIL_FLAGS = 0xff,
	/* IndiMail's that are kept though no program of ours looks at them. */
	INDIMAIL_FLAGS = 0x3fff
};

struct reading {
	enum import_format format;
	const char *domain;
	bool is_inactive;
	char separator;       /* of IMPORT_INDIMAIL: ',' or tab */
	struct strlist names; /* of its columns */
};

static void
wipe_text(char **text)
{
	if (*text != NULL)
		explicit_bzero(*text, strlen(*text));
	free(*text);
	*text = NULL;
}

void
import_release(struct import *import)
{
	for (size_t i = 0; i < import->count; i++) {
		struct import_user *user = &import->users[i];

		free(user->hash);
		free(user->scram);
		wipe_text(&user->secret);
		free(user->gecos);
		free(user->quota);
	}
	free(import->users);
	*import = (struct import){ .users = NULL };
}

/* Splits in place at ':'; the number of fields. */
static unsigned
split_colons(char *line, char *fields[FIELDS_MAX])
{
	unsigned count = 0;

	for (char *rest = line; rest != NULL && count < FIELDS_MAX;)
		fields[count++] = strsep(&rest, ":");
	return count;
}

/* Takes the escape of a table's text away: mysql --batch, COPY. */
static char
unescape(char c)
{
	return c == 't' ? '\t' : c == 'n' ? '\n' : c == 'r' ? '\r' : c;
}

/* One field of a table, in place; where the next begins, or NULL. */
static char *
next_field(char *at, char separator, char **field_out)
{
	bool is_quoted = separator == ',' && *at == '"';
	char *to;

	if (is_quoted)
		at++;
	*field_out = to = at;
	for (;; at++) {
		if (is_quoted && *at == '"' && at[1] == '"')
			at++;
		else if (is_quoted && *at == '"') {
			is_quoted = false;
			continue;
		} else if (*at == '\0' || (!is_quoted && *at == separator))
			break;
		else if (separator == '\t' && *at == '\\' && at[1] != '\0' &&
		    at[1] != 'N') { /* \N is NULL, see column() */
			*to++ = unescape(*++at);
			continue;
		}
		*to++ = *at;
	}
	separator = *at;
	*to = '\0';
	return separator == '\0' ? NULL : at + 1;
}

static unsigned
split_table(char *line, char separator, char *fields[FIELDS_MAX])
{
	unsigned count = 0;

	while (line != NULL && count < FIELDS_MAX)
		line = next_field(line, separator, &fields[count++]);
	return count;
}

static int
take_quota(const char *text, struct import_user *user, struct error *err)
{
	struct buf quota;
	int result;

	buf_init(&quota);
	result = quota_text_read(
	    *text == '\0' || strcmp(text, "0") == 0 ? "NOQUOTA" : text, &quota,
	    err);
	user->quota = quota.data; /* the user's now */
	return result;
}

/* What no password has is "*", and not text that a shadow file stands for. */
static void
take_hash(const char *text, struct import_user *user)
{
	OWN_TEXT copy = xstrdup(text);
	const char *scram, *hash;

	vpasswd_split_hash(copy, &scram, &hash);
	if (*hash == '\0' || *hash == '!' || strcmp(hash, "x") == 0)
		hash = VPASSWD_NO_PASSWORD;
	user->hash = xstrdup(hash);
	if (scram != NULL)
		user->scram = xstrdup(scram);
}

static int
take_name(const char *name, const char *domain, struct import_user *user,
    struct error *err)
{
	OWN_TEXT address = NULL;

	if (domain == NULL)
		return error_set(err, "no domain: say which one with --domain");
	address = xasprintf("%s@%s", name, domain);
	return names_address(address, &user->address, err) == -1 ||
		names_check_new_user(user->address.local, err) == -1
	    ? -1
	    : 0;
}

static int
take_flags(
    const char *text, unsigned mask, unsigned *flags_out, struct error *err)
{
	uint64_t flags;

	if (!scan_u64(text, INT32_MAX, &flags))
		return error_set(err, "'%.20s' is no number", text);
	*flags_out = (unsigned)flags & mask;
	return 0;
}

static int
read_passwd(const struct reading *reading, char *line, struct import_user *user,
    struct error *err)
{
	char *fields[FIELDS_MAX];

	if (split_colons(line, fields) != 7)
		return error_set(err,
		    "not of the form name:hash:uid:gid:comment:folder:shell");
	fields[4][strcspn(fields[4], ",")] = '\0';
	take_hash(fields[1], user);
	user->gecos = xstrdup(fields[4]);
	return take_name(fields[0], reading->domain, user, err) == -1
	    ? -1
	    : take_quota("", user, err);
}

static int
read_vpopmail(const struct reading *reading, char *line,
    struct import_user *user, struct error *err)
{
	char *fields[FIELDS_MAX];
	unsigned count = split_colons(line, fields);

	if (count != 7 && count != 8)
		return error_set(err,
		    "not of the form "
		    "name:hash:uid:gid:comment:folder:quota[:password]");
	take_hash(fields[1], user);
	user->gecos = xstrdup(fields[4]);
	if (count == 8 && *fields[7] != '\0')
		user->secret = xstrdup(fields[7]);
	return take_name(fields[0], reading->domain, user, err) == -1 ||
		take_flags(fields[3], VPOPMAIL_FLAGS, &user->flags, err) ==
		    -1 ||
		take_quota(fields[6], user, err) == -1
	    ? -1
	    : 0;
}

/* The field of a column, or NULL. */
static const char *
column(const struct reading *reading, char *const *fields, unsigned count,
    const char *name)
{
	for (unsigned i = 0; i < count && i < reading->names.count; i++)
		if (strcasecmp(reading->names.items[i], name) == 0)
			return strcmp(fields[i], "NULL") == 0 ||
				strcmp(fields[i], "\\N") == 0
			    ? NULL
			    : fields[i];
	return NULL;
}

static int
read_columns(struct reading *reading, char *line, struct error *err)
{
	char *fields[FIELDS_MAX];
	unsigned count;

	reading->separator = strchr(line, '\t') != NULL ? '\t' : ',';
	count = split_table(line, reading->separator, fields);
	for (unsigned i = 0; i < count; i++)
		strlist_add(&reading->names, fields[i]);
	if (!strlist_has_name(&reading->names, "pw_name") ||
	    !strlist_has_name(&reading->names, "pw_passwd"))
		return error_set(err,
		    "the first line does not name the columns pw_name and "
		    "pw_passwd: export with a header");
	return 0;
}

static int
read_indimail(const struct reading *reading, char *line,
    struct import_user *user, struct error *err)
{
	char *fields[FIELDS_MAX];
	unsigned count = split_table(line, reading->separator, fields);
	const char *name = column(reading, fields, count, "pw_name");
	const char *domain = column(reading, fields, count, "pw_domain");
	const char *hash = column(reading, fields, count, "pw_passwd");
	const char *gecos = column(reading, fields, count, "pw_gecos");
	const char *flags = column(reading, fields, count, "pw_gid");
	const char *quota = column(reading, fields, count, "pw_shell");
	const char *scram = column(reading, fields, count, "scram");

	if (count != reading->names.count || name == NULL)
		return error_set(err, "%u fields, and %zu columns", count,
		    reading->names.count);
	take_hash(hash == NULL ? "" : hash, user);
	if (scram != NULL && *scram == '{' && user->scram == NULL) {
		/* Without the hash that may stand behind it. */
		OWN_TEXT copy = xstrdup(scram);
		const char *verifier, *unused;

		vpasswd_split_hash(copy, &verifier, &unused);
		user->scram = verifier == NULL ? NULL : xstrdup(verifier);
	}
	user->gecos = xstrdup(gecos == NULL ? "" : gecos);
	return take_name(name, domain == NULL ? reading->domain : domain, user,
		   err) == -1 ||
		take_flags(flags == NULL ? "0" : flags, INDIMAIL_FLAGS,
		    &user->flags, err) == -1 ||
		take_quota(quota == NULL ? "" : quota, user, err) == -1
	    ? -1
	    : 0;
}

static int
read_user(const struct reading *reading, char *line, struct import_user *user,
    struct error *err)
{
	switch (reading->format) {
	case IMPORT_PASSWD:
		return read_passwd(reading, line, user, err);
	case IMPORT_VPOPMAIL:
		return read_vpopmail(reading, line, user, err);
	case IMPORT_INDIMAIL:
		return read_indimail(reading, line, user, err);
	}
	return -1;
}

/* 1, 0 at the end, -1. */
static int
read_import_line(FILE *file, char text[LINE_BYTES], struct error *err)
{
	size_t length;

	if (fgets(text, LINE_BYTES, file) == NULL)
		return ferror(file) ? error_sys(err, "cannot read the file")
				    : 0;
	length = strlen(text);
	if (length == LINE_BYTES - 1 ||
	    (length == 0 || (text[length - 1] != '\n' && !feof(file))))
		return error_set(
		    err, "longer than %d bytes, or with a NUL", LINE_BYTES - 2);
	text[strcspn(text, "\r\n")] = '\0';
	return 1;
}

int
import_read(FILE *file, enum import_format format, const char *domain,
    bool is_inactive, struct import *import_out, struct error *err)
{
	struct reading reading = {
		.format = format, .domain = domain, .is_inactive = is_inactive
	};
	char text[LINE_BYTES];
	unsigned number = 0;
	int result;

	*import_out = (struct import){ .users = NULL };
	while ((result = read_import_line(file, text, err)) == 1) {
		struct import_user *user;

		number++;
		if (*text == '\0' || (*text == '#' && format == IMPORT_PASSWD))
			continue;
		if (format == IMPORT_INDIMAIL && reading.names.count == 0) {
			result = read_columns(&reading, text, err);
			if (result == -1)
				break;
			continue;
		}
		import_out->users = mem_room(import_out->users,
		    import_out->count, sizeof(*import_out->users));
		user = &import_out->users[import_out->count++];
		*user = (struct import_user){ .line = number,
			.uid_flags = is_inactive ? VPASSWD_INACTIVE : 0 };
		result = read_user(&reading, text, user, err);
		if (result == -1)
			break;
	}
	if (result == -1)
		error_context(err, "line %u", number);
	explicit_bzero(text, sizeof(text));
	strlist_release(&reading.names);
	return result;
}

/* By domain, then by name, then as they were. */
static int
compare_users(const void *left, const void *right)
{
	const struct import_user *a = left, *b = right;
	int order = strcmp(a->address.domain, b->address.domain);

	if (order == 0)
		order = strcmp(a->address.local, b->address.local);
	return order != 0 ? order : (a->line > b->line) - (a->line < b->line);
}

static int
read_names(struct users *users, struct strlist *names, struct error *err)
{
	const struct vpasswd_entry *entry;
	int found;

	users_rewind(users);
	while ((found = users_next(users, &entry, err)) == 1)
		strlist_add(names, entry->name);
	strlist_sort(names);
	return found;
}

static struct users_new
new_of(const struct import_user *user)
{
	return (struct users_new){ .name = user->address.local,
		.hash = user->hash,
		.gecos = user->gecos,
		.quota = user->quota,
		.flags = user->flags,
		.uid_flags = user->uid_flags,
		.scram = user->scram,
		.secret = user->secret };
}

/* One domain's, as many at a time as a killed run may repeat. */
static enum admin_result
add_domain_users(struct users *users, const struct import_user *list,
    size_t count, size_t *added_out, size_t *kept_out, struct error *err)
{
	AUTO(mem_free)
	struct users_new *new = xcalloc(BATCH_USERS, sizeof(*new));
	AUTO(strlist_release) struct strlist there = { .count = 0 };
	enum admin_result result = admin_result_of(
	    read_names(users, &there, err));
	size_t waiting = 0;

	for (size_t i = 0; result == ADMIN_OK && i < count; i++) {
		if (strlist_find(&there, list[i].address.local))
			(*kept_out)++;
		else
			new[waiting++] = new_of(&list[i]);
		if (waiting == BATCH_USERS || (i == count - 1 && waiting > 0)) {
			result = users_add(users, new, waiting, err);
			if (result == ADMIN_OK)
				*added_out += waiting;
			waiting = 0;
		}
	}
	return result;
}

enum admin_result
import_add(struct import *import, const char *home_root,
    struct progress *progress, size_t *added_out, size_t *kept_out,
    struct error *err)
{
	enum admin_result result = ADMIN_OK;
	size_t end;

	*added_out = *kept_out = 0;
	if (import->count > 0)
		qsort(import->users, import->count, sizeof(*import->users),
		    compare_users);
	for (size_t i = 0; result == ADMIN_OK && i < import->count; i = end) {
		const char *domain = import->users[i].address.domain;
		AUTO(users_close) struct users *users = NULL;

		end = i + 1;
		while (end < import->count &&
		    strcmp(import->users[end].address.domain, domain) == 0)
			end++;
		result = users_open_named(home_root, domain, &users, err);
		if (result == ADMIN_OK) {
			users_set_progress(users, progress);
			result = add_domain_users(users, &import->users[i],
			    end - i, added_out, kept_out, err);
		}
		if (result != ADMIN_OK)
			error_context(err, "domain '%s'", domain);
	}
	return result;
}
