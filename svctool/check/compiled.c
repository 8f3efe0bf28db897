/* SPDX-License-Identifier: ISC */
/*
 * Compiled files: is a cdb whole, is what is in it of the right form, and is it
 * as new as the text that it was made from?
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/scan.h"
#include "svctool/check/cdb.h"
#include "svctool/check/check.h"

enum { ASSIGN_FIELDS = 6 };

/* One pair of files. */
struct pair {
	struct check *check;
	const char *source, *cdb, *remedy;
	bool is_content_bad;
};

static void
find(const struct pair *pair, const char *text)
{
	check_find(pair->check, CHECK_ERROR, pair->cdb, 0, "%s", text);
	check_remedy(pair->check, "run %s", pair->remedy);
}

static bool
is_older(const struct stat *a, const struct stat *b)
{
	return a->st_mtim.tv_sec < b->st_mtim.tv_sec ||
	    (a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
		a->st_mtim.tv_nsec < b->st_mtim.tv_nsec);
}

static void
check_age(const struct pair *pair)
{
	struct stat source, cdb;

	if (stat(pair->source, &source) == -1) {
		if (errno != ENOENT) {
			check_find(pair->check, CHECK_ERROR, pair->source, 0,
			    "%s", strerror(errno));
			check_remedy(
			    pair->check, "run this as its owner or root");
		}
	} else if (stat(pair->cdb, &cdb) == -1)
		find(pair, strerror(errno));
	else if (is_older(&cdb, &source)) {
		char *text = xasprintf("it is older than '%s', so the last "
				       "changes do not count",
		    pair->source);

		find(pair, text);
		free(text);
	}
}

/* user NUL uid NUL gid NUL home NUL dash NUL extension (qmail-users(5)) */
static void
see_assign(const struct check_cdb_record *record, void *context)
{
	struct pair *pair = context;
	char *copy;
	const char *fields[ASSIGN_FIELDS], *at, *end;
	unsigned count = 0;
	uint64_t number;

	if (record->key_length == 0) /* the list of wildcards */
		return;
	copy = xcalloc(record->value_length + 1, 1);
	memcpy(copy, record->value, record->value_length);
	end = copy + record->value_length;
	for (at = copy; at <= end && count < ASSIGN_FIELDS;
	     at += strlen(at) + 1)
		fields[count++] = at;
	if (*record->key != '!' || at <= end || count < ASSIGN_FIELDS ||
	    !scan_u64(fields[1], UINT32_MAX - 1, &number) ||
	    !scan_u64(fields[2], UINT32_MAX - 1, &number) || *fields[3] != '/')
		pair->is_content_bad = true;
	free(copy);
}

static void
see_host(const struct check_cdb_record *record, void *context)
{
	struct pair *pair = context;
	char *name = xstrndup(record->key, record->key_length);

	if (strlen(name) != record->key_length ||
	    settings_check_value(SETTING_rcpthosts, name, NULL) == -1)
		pair->is_content_bad = true;
	free(name);
}

static void
check_pair(struct pair *pair, check_cdb_visit *visit)
{
	struct error err;

	check_age(pair);
	if (visit == NULL)
		return; /* check_rules() looks into it */
	if (check_cdb_file(pair->cdb, visit, pair, &err) == -1)
		find(pair, err.text);
	else if (pair->is_content_bad)
		find(pair,
		    "it has entries that are not of the right form: it "
		    "was made of something else");
}

void
check_compiled(struct check *check)
{
	const struct home *home = check->node->home;
	const struct {
		const char *folder, *source, *cdb, *remedy;
		check_cdb_visit *visit;
	} rows[] = {
		{ home->users, "assign", "cdb", "qmail-newu", see_assign },
		{ home->control, "morercpthosts", "morercpthosts.cdb",
		    "qmail-newmrh", see_host },
		{ home->control, "tcp.smtp", "tcp.smtp.cdb",
		    "'tcprules tcp.smtp.cdb tcp.smtp.tmp < tcp.smtp' there",
		    NULL },
	};
	char *lock_path = xasprintf("%s/.lock", home->users);
	int lock;
	/* vadddomain writes a text, and then its cdb. */
	bool is_quiet = check_lock(lock_path, &lock);

	for (size_t i = 0; is_quiet && i < sizeof(rows) / sizeof(rows[0]);
	     i++) {
		char *source = xasprintf(
		    "%s/%s", rows[i].folder, rows[i].source);
		char *cdb = xasprintf("%s/%s", rows[i].folder, rows[i].cdb);
		struct pair pair = { check, source, cdb, rows[i].remedy,
			false };

		check_pair(&pair, rows[i].visit);
		free(cdb);
		free(source);
	}
	check_unlock(lock);
	free(lock_path);
}
