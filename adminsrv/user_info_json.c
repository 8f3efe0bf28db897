/* SPDX-License-Identifier: ISC */
/* What is known of a user, as JSON. */
#include <jansson.h>
#include <stdlib.h>

#include "adminsrv/user_info.h"
#include "base/mem.h"

/* JSON has only UTF-8; bytes of anything else become '?'. */
static json_t *
text_json(const char *text)
{
	json_t *json = json_string(text);
	char *copy;

	if (json != NULL)
		return json;
	copy = xstrdup(text);
	for (char *at = copy; *at != '\0'; at++) {
		if ((unsigned char)*at > 127)
			*at = '?';
	}
	json = json_string(copy);
	free(copy);
	return json;
}

static json_t *
flags_json(const struct vpasswd_entry *entry)
{
	json_t *array = json_array();

	for (const struct user_info_flag *row = user_info_flags; row->flag != 0;
	     row++) {
		if ((entry->gid_flags & row->flag) != 0)
			json_array_append_new(array, json_string(row->name));
	}
	return array;
}

/* null when there is no Maildir, or no limit of that kind. */
static json_t *
number_json(int64_t number, bool is_known)
{
	return is_known ? json_integer(number) : json_null();
}

struct json_t *
user_info_json(
    const struct vpasswd_entry *entry, const char *domain, struct error *err)
{
	struct quota_usage usage = { .bytes = 0 };
	struct quota quota = { .bytes = 0 };
	int found = user_info_usage(entry, &usage, err);
	json_t *json;

	if (found == -1)
		return NULL;
	if (quota_parse(entry->quota, &quota) == -1) {
		error_set(err, "user '%s': '%s' is no quota", entry->name,
		    entry->quota);
		return NULL;
	}
	json = json_object();
	json_object_set_new(json, "name", text_json(entry->name));
	json_object_set_new(json, "domain", text_json(domain));
	json_object_set_new(json, "passwd", text_json(entry->hash));
	json_object_set_new(json, "is_active",
	    json_boolean((entry->uid_flags & VPASSWD_INACTIVE) == 0));
	json_object_set_new(json, "uid", json_integer(entry->uid_flags));
	json_object_set_new(json, "gid", json_integer(entry->gid_flags));
	json_object_set_new(json, "flags", flags_json(entry));
	json_object_set_new(json, "gecos", text_json(entry->gecos));
	json_object_set_new(json, "dir", text_json(entry->dir));
	json_object_set_new(json, "quota", text_json(entry->quota));
	json_object_set_new(json, "quota_bytes",
	    number_json((int64_t)quota.bytes, quota.bytes > 0));
	json_object_set_new(json, "quota_messages",
	    number_json((int64_t)quota.count, quota.count > 0));
	json_object_set_new(
	    json, "used_bytes", number_json(usage.bytes, found == 1));
	json_object_set_new(
	    json, "used_messages", number_json(usage.count, found == 1));
	return json;
}
