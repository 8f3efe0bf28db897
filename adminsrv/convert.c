/* SPDX-License-Identifier: ISC */
/* Users copied from one store to the other. */
#include "adminsrv/convert.h"

#include <stdlib.h>
#include <string.h>

#include "adminsrv/domain_db.h"
#include "adminsrv/node_lines.h"
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
	users_close(&source);
	users_close(&target);
	if (result == ADMIN_OK && to == USERS_PGSQL)
		result = copy_aliases(home, found.name, err);
	return result;
}
