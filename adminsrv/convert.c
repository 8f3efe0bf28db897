/* SPDX-License-Identifier: ISC */
/* Users copied from one store to the other. */
#include "adminsrv/convert.h"

#include <stdlib.h>
#include <string.h>

#include "adminsrv/domain_db.h"
#include "adminsrv/node_lines.h"
#include "adminsrv/records.h"
#include "base/mem.h"
#include "control/assign.h"
#include "control/layout.h"

/* Users that go into the database at once; into the files all of a domain do.
 */
enum { BATCH_USERS = 10000 };

static void
take_domain_line(const struct assign_line *line, void *context)
{
	struct strlist *domains = context;
	size_t length = strlen(line->address);

	if (line->is_wildcard && length > 1 &&
	    line->address[length - 1] == '-' && strcmp(line->dash, "-") == 0 &&
	    strchr(line->user, '.') != NULL &&
	    strlen(line->user) == length - 1 &&
	    strncmp(line->user, line->address, length - 1) == 0)
		strlist_add(domains, line->user);
}

/* qmail-newu says so. */
static void
ignore_line_fault(unsigned number, const char *reason, void *context)
{
	(void)number;
	(void)reason;
	(void)context;
}

int
convert_domains(
    const struct home *home, struct strlist *domains_out, struct error *err)
{
	const struct assign_visitor visitor = { take_domain_line,
		ignore_line_fault, domains_out };
	OWN_TEXT path = layout_path(home, LAYOUT_assign);

	if (assign_walk(path, &visitor, err) == -1)
		return -1;
	strlist_sort(domains_out);
	return 0;
}

/* Copies of users, which outlive what they were read from. */
struct batch {
	struct vpasswd_entry *entries;
	char **lines; /* what the entries point into */
	size_t count;
};

static void
batch_clear(struct batch *batch)
{
	for (size_t i = 0; i < batch->count; i++)
		free(batch->lines[i]);
	free(batch->lines);
	free(batch->entries);
	*batch = (struct batch){ .count = 0 };
}

static int
batch_add(
    struct batch *batch, const struct vpasswd_entry *entry, struct error *err)
{
	struct buf line = BUF_INIT;
	size_t at = batch->count;

	if (vpasswd_format(entry, &line, err) == -1) {
		buf_release(&line);
		return error_context(err, "user '%s'", entry->name);
	}
	batch->entries = mem_room(batch->entries, at, sizeof(*batch->entries));
	batch->lines = mem_room(batch->lines, at, sizeof(*batch->lines));
	batch->lines[at] = line.data;
	batch->count++;
	/* Without its newline. */
	return vpasswd_parse_line(
	    line.data, line.length - 1, &batch->entries[at], err);
}

static enum admin_result
copy_users(struct users *from, struct users *to, size_t batch_users,
    struct progress *progress, struct convert_result *result_out,
    struct error *err)
{
	AUTO(batch_clear) struct batch batch = { .count = 0 };
	const struct vpasswd_entry *entry;
	enum admin_result result = ADMIN_OK;
	int found;

	while (result == ADMIN_OK &&
	    (found = users_next(from, &entry, err)) != 0) {
		if (found == -1)
			return ADMIN_FAILED;
		if (batch_add(&batch, entry, err) == -1)
			return ADMIN_REFUSED;
		progress_add(progress, 1);
		result_out->copied++;
		if (batch.count < batch_users)
			continue;
		result = users_put(to, batch.entries, batch.count, err);
		batch_clear(&batch);
	}
	return result == ADMIN_OK
	    ? users_put(to, batch.entries, batch.count, err)
	    : result;
}

/* All users of the store, those that were copied and others. */
static enum admin_result
count_others(
    struct users *to, struct convert_result *result_out, struct error *err)
{
	const struct vpasswd_entry *entry;
	size_t count = 0;
	int found;

	users_rewind(to);
	while ((found = users_next(to, &entry, err)) == 1)
		count++;
	if (found == 0 && count > result_out->copied)
		result_out->others = count - result_out->copied;
	return admin_result_of(found);
}

static enum admin_result
copy_alias(
    struct users *from, struct users *to, const char *name, struct error *err)
{
	AUTO(strlist_release) struct strlist lines = { .count = 0 };
	int found = records_find_alias(from, name, &lines, err);
	enum admin_result result = found == 1
	    ? records_put_alias(to, name, &lines, err)
	    : admin_result_of(found);

	if (result != ADMIN_OK)
		error_context(err, "alias '%s'", name);
	return result;
}

/* name NULL: the domain's. */
static enum admin_result
copy_limits(
    struct users *from, struct users *to, const char *name, struct error *err)
{
	struct store_limits limits, there;
	int found = records_find_limits(from, name, &limits, err);
	int is_there = found == -1
	    ? -1
	    : records_find_limits(to, name, &there, err);

	if (is_there == -1)
		return ADMIN_FAILED;
	if (found == 0 && is_there == 0)
		return ADMIN_OK;
	return records_put_limits(to, name, found == 1 ? &limits : NULL, err);
}

static enum admin_result
copy_filters(
    struct users *from, struct users *to, const char *name, struct error *err)
{
	AUTO(store_filters_release) struct store_filters filters;

	if (records_find_filters(from, name, &filters, err) == -1)
		return ADMIN_FAILED;
	return records_put_filters(
	    to, name, filters.items, filters.count, err);
}

/* What belongs to a user, if he is in both. */
static enum admin_result
copy_records_of(
    struct users *from, struct users *to, const char *name, struct error *err)
{
	const struct vpasswd_entry *entry;
	struct error absent;
	enum admin_result result = users_find(from, name, &entry, &absent);

	if (result == ADMIN_REFUSED)
		return ADMIN_OK;
	if (result == ADMIN_OK)
		result = copy_limits(from, to, name, err);
	else
		*err = absent;
	if (result == ADMIN_OK)
		result = copy_filters(from, to, name, err);
	if (result != ADMIN_OK)
		error_context(err, "user '%s'", name);
	return result;
}

/*
 * What there is beside users.  Whose limits and filters were removed has none
 * in the other store either; aliases that are only there stay, as users do.
 */
static enum admin_result
copy_records(struct users *from, struct users *to, struct error *err)
{
	AUTO(strlist_release) struct strlist aliases = { .count = 0 };
	AUTO(strlist_release) struct strlist owners = { .count = 0 };
	enum admin_result result;

	if (records_alias_names(from, &aliases, err) == -1 ||
	    records_owner_names(from, &owners, err) == -1 ||
	    records_owner_names(to, &owners, err) == -1)
		return ADMIN_FAILED;
	result = copy_limits(from, to, NULL, err);
	for (size_t i = 0; result == ADMIN_OK && i < aliases.count; i++)
		result = copy_alias(from, to, aliases.items[i], err);
	strlist_sort(&owners);
	for (size_t i = 0; result == ADMIN_OK && i < owners.count; i++)
		if (i == 0 ||
		    strcmp(owners.items[i], owners.items[i - 1]) != 0)
			result = copy_records_of(
			    from, to, owners.items[i], err);
	return result;
}

/*
 * The database first: as the domain's owner, whom the first to be opened makes
 * us, we may not read how to reach it.
 */
static enum admin_result
open_both(struct users_at *at, enum users_store to, struct users **from_out,
    struct users **to_out, struct error *err)
{
	enum admin_result result = ADMIN_OK;

	*from_out = *to_out = NULL;
	for (int i = 0; result == ADMIN_OK && i < 2; i++) {
		at->store = i == 0 ? USERS_PGSQL : USERS_CDB;
		result = at->store == to
		    ? users_open(at, true, to_out, err)
		    : users_open_to_read(at, from_out, err);
	}
	return result;
}

static enum admin_result
copy_aliases(const struct home *home, const char *domain, struct error *err)
{
	AUTO(strlist_release) struct strlist aliases = { .count = 0 };
	AUTO(domain_db_free) struct domain_db *db = NULL;
	enum admin_result result = domain_db_connect(home, &db, err);
	bool is_new;

	if (result == ADMIN_OK &&
	    node_lines_aliases(home, domain, &aliases, err) == -1)
		result = ADMIN_FAILED;
	for (size_t i = 0; result == ADMIN_OK && i < aliases.count; i++)
		result = domain_db_add_alias(
		    db, domain, aliases.items[i], &is_new, err);
	return result;
}

enum admin_result
convert_domain(const struct home *home, const char *domain, enum users_store to,
    struct progress *progress, struct convert_result *result_out,
    struct error *err)
{
	AUTO(store_domain_release)
	struct store_domain found = { .name = NULL };
	AUTO(users_close) struct users *source = NULL;
	AUTO(users_close) struct users *target = NULL;
	enum admin_result result = users_find_domain(
	    home->root, domain, &found, err);
	struct users_at at;

	*result_out = (struct convert_result){ .copied = 0 };
	if (result != ADMIN_OK)
		return result;
	at = users_at(home, &found);
	result = open_both(&at, to, &source, &target, err);
	if (result == ADMIN_OK)
		result = copy_users(source, target,
		    to == USERS_PGSQL ? BATCH_USERS : SIZE_MAX, progress,
		    result_out, err);
	if (result == ADMIN_OK)
		result = count_others(target, result_out, err);
	if (result == ADMIN_OK)
		result = copy_records(source, target, err);
	users_close(&source);
	users_close(&target);
	if (result == ADMIN_OK && to == USERS_PGSQL)
		result = copy_aliases(home, found.name, err);
	return result;
}
