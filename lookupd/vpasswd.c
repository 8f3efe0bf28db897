/* SPDX-License-Identifier: ISC */
/* One user's line of a vpasswd file. */
#include "lookupd/vpasswd.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/scan.h"
#include "lookupd/store_backend.h"

enum {
	FIELDS_MIN = 6,
	FIELDS_MAX = 7,
	HASH_MAX = 511,
	SECRET_MAX = 511,
	TEXT_MAX = 1023
};

/* The parts of a SCRAM verifier that a ',' ends. */
enum { SCRAM_PARTS = 4 };

/* No control character, no ':'. */
static bool
is_field(const char *text, size_t max)
{
	size_t length = strnlen(text, max + 1);

	if (length > max)
		return false;
	for (size_t i = 0; i < length; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c < 32 || c == 127 || c == ':')
			return false;
	}
	return true;
}

static bool
is_user_name(const char *name)
{
	if (*name == '\0' || *name == '.' || !is_field(name, STORE_LOCAL_MAX))
		return false;
	for (; *name != '\0'; name++) {
		if (*name == '/' || *name == ' ' ||
		    (*name >= 'A' && *name <= 'Z'))
			return false;
	}
	return true;
}

/* Deliveries go below this folder: it must mean one place only. */
static bool
is_user_dir(const char *dir)
{
	if (*dir != '/' || !is_field(dir, TEXT_MAX))
		return false;
	for (const char *at = dir; at != NULL; at = strchr(at + 1, '/')) {
		if (strncmp(at, "/./", 3) == 0 || strcmp(at, "/.") == 0 ||
		    strncmp(at, "/../", 4) == 0 || strcmp(at, "/..") == 0)
			return false;
	}
	return true;
}

/* "{MECHANISM}" and parts of printable ASCII, SCRAM_PARTS with their commas. */
static bool
is_scram(const char *text)
{
	unsigned commas = 0;

	if (*text != '{' || strchr(text, '}') == NULL ||
	    !is_field(text, HASH_MAX))
		return false;
	for (; *text != '\0'; text++) {
		if (*text == ',')
			commas++;
		if (*text == ' ' || (unsigned char)*text >= 128)
			return false;
	}
	return commas == SCRAM_PARTS - 1;
}

bool
vpasswd_may_log_in(unsigned uid_flags)
{
	return (uid_flags & VPASSWD_INACTIVE) == 0 ||
	    (uid_flags & VPASSWD_AWAY) != 0;
}

void
vpasswd_split_hash(char *text, const char **scram_out, const char **hash_out)
{
	char *at = text;

	*scram_out = NULL;
	*hash_out = text;
	if (*text != '{')
		return;
	for (unsigned part = 0; at != NULL && part < SCRAM_PARTS; part++)
		at = strchr(part == 0 ? at : at + 1, ',');
	if (at != NULL) {
		*at = '\0';
		*hash_out = at + 1;
	} else if (is_scram(text))
		*hash_out = VPASSWD_NO_PASSWORD;
	else
		return;
	*scram_out = text;
}

/* What is wrong with an entry, or NULL. */
static const char *
find_bad_field(const struct vpasswd_entry *entry)
{
	if (!is_user_name(entry->name))
		return "the name is not one in lower case of 1 to 64 bytes "
		       "without blanks, '/' and ':'";
	if (!is_field(entry->hash, HASH_MAX))
		return "the password hash has a ':' or a control character, "
		       "or is too long";
	if (!is_field(entry->gecos, TEXT_MAX))
		return "the comment has a ':' or a control character, or is "
		       "too long";
	if (!is_user_dir(entry->dir))
		return "the folder is not an absolute path without '.' and "
		       "'..'";
	if (!is_field(entry->quota, TEXT_MAX) || *entry->quota == '\0')
		return "the quota is empty or has a ':' or a control "
		       "character, or is too long";
	if (entry->scram != NULL && !is_scram(entry->scram))
		return "the SCRAM verifier is not "
		       "{MECHANISM}ITERATIONS,SALT,KEY,KEY";
	if (entry->secret != NULL && !is_field(entry->secret, SECRET_MAX))
		return "the clear password has a ':' or a control character, "
		       "or is too long";
	return NULL;
}

static bool
scan_flags(const char *text, unsigned *flags_out)
{
	uint64_t value;

	if (!scan_u64(text, INT_MAX, &value))
		return false;
	*flags_out = (unsigned)value;
	return true;
}

int
vpasswd_parse_value(const char *name, char *value, size_t length,
    struct vpasswd_entry *entry_out, struct error *err)
{
	char *fields[FIELDS_MAX];
	unsigned count = 0;
	const char *fault;

	if (memchr(value, '\0', length) != NULL)
		return error_set(err, "there is a NUL byte in it");
	value[length] = '\0';
	for (char *rest = value; rest != NULL;) {
		if (count == FIELDS_MAX)
			return error_set(
			    err, "more than %d fields", FIELDS_MAX + 1);
		fields[count++] = strsep(&rest, ":");
	}
	if (count < FIELDS_MIN)
		return error_set(err,
		    "%u fields, not name:hash:uid:gid:comment:folder:quota",
		    count + 1);
	*entry_out = (struct vpasswd_entry){
		.name = name,
		.gecos = fields[3],
		.dir = fields[4],
		.quota = *fields[5] == '\0' ? "NOQUOTA" : fields[5],
	};
	vpasswd_split_hash(fields[0], &entry_out->scram, &entry_out->hash);
	if (count == FIELDS_MAX && *fields[6] != '\0')
		entry_out->secret = fields[6];
	if (!scan_flags(fields[1], &entry_out->uid_flags) ||
	    !scan_flags(fields[2], &entry_out->gid_flags))
		return error_set(err, "uid or gid is not a number");
	fault = find_bad_field(entry_out);
	if (fault != NULL)
		return error_set(err, "%s", fault);
	return 0;
}

int
vpasswd_parse_line(char *line, size_t length, struct vpasswd_entry *entry_out,
    struct error *err)
{
	char *colon = memchr(line, ':', length);

	if (colon == NULL)
		return error_set(err, "there is no ':' in it");
	if (memchr(line, '\0', (size_t)(colon - line)) != NULL)
		return error_set(err, "there is a NUL byte in it");
	*colon = '\0';
	return vpasswd_parse_value(line, colon + 1,
	    length - (size_t)(colon + 1 - line), entry_out, err);
}

int
vpasswd_format(
    const struct vpasswd_entry *entry, struct buf *line, struct error *err)
{
	const char *fault = find_bad_field(entry);

	if (fault != NULL)
		return error_set(err, "%s", fault);
	buf_addf(line, "%s:%s%s%s:%u:%u:%s:%s:%s%s%s\n", entry->name,
	    entry->scram == NULL ? "" : entry->scram,
	    entry->scram == NULL ? "" : ",", entry->hash, entry->uid_flags,
	    entry->gid_flags, entry->gecos, entry->dir, entry->quota,
	    entry->secret == NULL ? "" : ":",
	    entry->secret == NULL ? "" : entry->secret);
	return 0;
}
