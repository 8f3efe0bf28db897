/* SPDX-License-Identifier: ISC */
/* What a domain has beside its users. */
#include "adminsrv/records.h"

#include <ctype.h>
#include <string.h>

#include "adminsrv/records_backend.h"
#include "adminsrv/users_backend.h"

enum { ALIAS_NAME_MAX = 64, ALIAS_LINE_MAX = 1023 };

static const struct records_backend *
records_of(const struct users *users)
{
	return users->backend->records;
}

/* ".qmail-default" is how users' mail is delivered, and no alias. */
static bool
is_alias_name(const char *name)
{
	if (*name == '\0' || strlen(name) > ALIAS_NAME_MAX ||
	    strcmp(name, "default") == 0)
		return false;
	for (const char *c = name; *c != '\0'; c++)
		if (*c == '/' || *c == ':' || !isgraph((unsigned char)*c) ||
		    isupper((unsigned char)*c))
			return false;
	return true;
}

static bool
has_control(const char *text)
{
	for (; *text != '\0'; text++)
		if (iscntrl((unsigned char)*text))
			return true;
	return false;
}

static enum admin_result
check_alias_line(const char *line, struct error *err)
{
	if (*line == '\0' || *line == '#' ||
	    strchr(" \t", line[strlen(line) - 1]) != NULL ||
	    strlen(line) > ALIAS_LINE_MAX || has_control(line))
		return admin_refuse(err,
		    "'%.100s' is no line of an alias: write &user@host, "
		    "|program or /folder/Maildir/",
		    line);
	return ADMIN_OK;
}

int
records_find_alias(struct users *users, const char *name, struct strlist *lines,
    struct error *err)
{
	return is_alias_name(name)
	    ? records_of(users)->find_alias(users, name, lines, err)
	    : 0;
}

int
records_alias_names(
    struct users *users, struct strlist *names, struct error *err)
{
	if (records_of(users)->alias_names(users, names, err) == -1)
		return -1;
	strlist_sort(names);
	return 0;
}

enum admin_result
records_put_alias(struct users *users, const char *name,
    const struct strlist *lines, struct error *err)
{
	if (!is_alias_name(name))
		return admin_refuse(err,
		    "'%.80s' cannot be an alias: use 1 to %d characters "
		    "without blanks, '/' and ':', and not 'default'",
		    name, ALIAS_NAME_MAX);
	for (size_t i = 0; i < lines->count; i++)
		if (check_alias_line(lines->items[i], err) != ADMIN_OK)
			return ADMIN_REFUSED;
	return records_of(users)->put_alias(users, name, lines, err);
}

/* Of a domain, or of a user that there is. */
static enum admin_result
check_user(struct users *users, const char *name, struct error *err)
{
	const struct vpasswd_entry *entry;

	return name == NULL ? ADMIN_OK : users_find(users, name, &entry, err);
}

int
records_find_limits(struct users *users, const char *name,
    struct store_limits *limits_out, struct error *err)
{
	memset(limits_out, 0, sizeof(*limits_out));
	return records_of(users)->find_limits(users, name, limits_out, err);
}

enum admin_result
records_put_limits(struct users *users, const char *name,
    const struct store_limits *limits, struct error *err)
{
	enum admin_result result = check_user(users, name, err);

	return result == ADMIN_OK
	    ? records_of(users)->put_limits(users, name, limits, err)
	    : result;
}

int
records_owner_names(
    struct users *users, struct strlist *names, struct error *err)
{
	return records_of(users)->owner_names(users, names, err);
}

int
records_find_filters(struct users *users, const char *name,
    struct store_filters *filters_out, struct error *err)
{
	memset(filters_out, 0, sizeof(*filters_out));
	return records_of(users)->find_filters(users, name, filters_out, err);
}

enum admin_result
records_put_filters(struct users *users, const char *name,
    const struct store_filter *filters, size_t count, struct error *err)
{
	enum admin_result result = check_user(users, name, err);

	for (size_t i = 0; result == ADMIN_OK && i < count; i++)
		if (has_control(filters[i].name) ||
		    has_control(filters[i].keyword) ||
		    has_control(filters[i].destination) ||
		    has_control(filters[i].bounce_action))
			result = admin_refuse(err,
			    "filter %d has a control character",
			    filters[i].number);
	return result == ADMIN_OK
	    ? records_of(users)->put_filters(users, name, filters, count, err)
	    : result;
}
