/* SPDX-License-Identifier: ISC */
/* users/assign, the folders that its lines name, and files that are compiled.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "control/assign.h"
#include "control/cdb_records.h"
#include "svctool/check/domain.h"

/* One walk over the text. */
struct walk {
	struct check *check;
	struct check_assigns assigns;
	struct check_crowd crowd;
};

bool
check_is_below(const char *path, const char *folder)
{
	size_t length = strlen(folder);

	return strncmp(path, folder, length) == 0 && path[length] == '/';
}

static size_t
domain_length(const struct assign_line *line, const char *domains)
{
	size_t length = strlen(line->address);

	return line->is_wildcard && length > 1 &&
		line->address[length - 1] == '-' &&
		strcmp(line->dash, "-") == 0 &&
		check_is_below(line->home, domains)
	    ? length - 1
	    : 0;
}

static int
compare_assigns(const void *a, const void *b)
{
	const struct check_assign *one = a, *two = b;
	int order = strcmp(one->address, two->address);

	return order != 0 ? order : one->line < two->line ? -1 : 1;
}

const struct check_assign *
check_assign_find(
    const struct check_assigns *assigns, const char *address, size_t length)
{
	size_t low = 0, high = assigns->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const char *other = assigns->items[middle].address;
		int order = strncmp(address, other, length);

		if (order == 0 && other[length] != '\0')
			order = -1;
		if (order == 0)
			return &assigns->items[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

static void
see_line(const struct assign_line *line, void *context)
{
	struct walk *walk = context;
	struct check_assigns *assigns = &walk->assigns;

	assigns->items = mem_room(
	    assigns->items, assigns->count, sizeof(*assigns->items));
	assigns->items[assigns->count++] = (struct check_assign){
		.line = line->number,
		.is_wildcard = line->is_wildcard,
		.address = xstrdup(line->address),
		.domain_length = domain_length(
		    line, walk->check->node->home->domains),
		.user = xstrdup(line->user),
		.uid = line->uid,
		.gid = line->gid,
		.home = xstrdup(line->home),
		.dash = xstrdup(line->dash),
	};
}

static void
see_assign_fault(unsigned number, const char *reason, void *context)
{
	struct walk *walk = context;

	if (!check_crowd_has_room(&walk->crowd))
		return;
	check_find(walk->check, CHECK_ERROR, walk->assigns.path, number,
	    "%s" REMEDY "correct the line, then qmail-newu", reason);
}

/* Does the line name the domain itself, and no alias of it? */
static bool
is_real(const struct check_assign *assign)
{
	size_t length = assign->domain_length;

	return length > 0 && strlen(assign->user) == length &&
	    memcmp(assign->user, assign->address, length) == 0;
}

/*
 * Virtual users get mail only below domains/, and by no symbolic link: but who
 * comes from vpopmail may have them elsewhere.
 */
static void
check_assigned(struct check *check, const struct check_assigns *assigns,
    const struct check_assign *assign)
{
	const char *domains = check->node->home->domains;
	OWN_TEXT vpasswd = layout_domain_path(assign->home, LAYOUT_vpasswd);
	struct stat st;

	if (assign->domain_length == 0 && assign->is_wildcard &&
	    strcmp(assign->dash, "-") == 0 && access(vpasswd, F_OK) == 0) {
		check_find(check, CHECK_ERROR, assigns->path, assign->line,
		    "the folder '%s' has virtual users, and is not below '%s', "
		    "so their mail waits" REMEDY
		    "move it there and correct the line, then qmail-newu, or "
		    "set DOMAINDIR in '%s'",
		    assign->home, domains, check->node->global_vars);
	} else if (assign->domain_length > 0 && lstat(assign->home, &st) == 0 &&
	    S_ISLNK(st.st_mode)) {
		check_find(check, CHECK_ERROR, assigns->path, assign->line,
		    "'%s' is a symbolic link, which no delivery follows" REMEDY
		    "put the folder itself there, or mount it there",
		    assign->home);
	}
}

static void
check_line_home(struct check *check, const struct check_assigns *assigns,
    const struct check_assign *assign)
{
	struct stat st;
	int failure = stat(assign->home, &st) == -1 ? errno
	    : S_ISDIR(st.st_mode)                   ? 0
						    : ENOTDIR;

	if (failure == 0) {
		check_assigned(check, assigns, assign);
		return;
	}
	check_find(check, CHECK_ERROR, assigns->path, assign->line,
	    "the folder '%s': %s", assign->home, strerror(failure));
	if (assign->domain_length > 0)
		check_remedy(check,
		    "put the folder back (is its disk mounted?), or "
		    "vdeldomain %.*s",
		    (int)assign->domain_length, assign->address);
	else
		check_remedy(check,
		    "put the folder back, or remove the line, then qmail-newu");
}

static void
check_lines(struct check *check, const struct check_assigns *assigns)
{
	for (size_t i = 0; i < assigns->count; i++) {
		const struct check_assign *assign = &assigns->items[i];

		if (i > 0 &&
		    strcmp(assign->address, assigns->items[i - 1].address) ==
			0 &&
		    assign->is_wildcard == assigns->items[i - 1].is_wildcard)
			check_find(check, CHECK_ERROR, assigns->path,
			    assign->line,
			    "'%s' has two lines, this one and line %u: the "
			    "first counts" REMEDY
			    "remove one of them, then qmail-newu",
			    assign->address, assigns->items[i - 1].line);
		check_line_home(check, assigns, assign);
	}
}

static void
release(struct check_assigns *assigns)
{
	for (size_t i = 0; i < assigns->count; i++) {
		free(assigns->items[i].address);
		free(assigns->items[i].user);
		free(assigns->items[i].home);
		free(assigns->items[i].dash);
	}
	free(assigns->items);
}

static void
walk_assign(struct walk *walk)
{
	const struct assign_visitor visitor = { see_line, see_assign_fault,
		walk };
	struct check_assigns *assigns = &walk->assigns;
	struct error err;

	if (assign_walk(assigns->path, &visitor, &err) == -1)
		check_reason(walk->check, CHECK_ERROR, err.text,
		    "run this as its owner or root");
	check_crowd_end(walk->check, &walk->crowd, assigns->path,
	    "correct the lines, then qmail-newu");
	if (assigns->count > 1)
		qsort(assigns->items, assigns->count, sizeof(*assigns->items),
		    compare_assigns);
}

static void
look_at_routes(struct walk *walk)
{
	check_routes(walk->check, &walk->assigns);
}

static void
look_at_lines(struct walk *walk)
{
	check_lines(walk->check, &walk->assigns);
	look_at_routes(walk);
}

/* With the lock of who changes domains: one file changes after the other. */
static void
check_locked(struct check *check, void (*look)(struct walk *walk))
{
	const struct home *home = check->node->home;
	OWN_TEXT path = layout_path(home, LAYOUT_assign);
	OWN_TEXT lock_path = layout_path(home, LAYOUT_users_lock);
	struct walk walk = { .check = check, .assigns = { .path = path } };
	int lock;

	if (check_lock(lock_path, &lock)) {
		walk_assign(&walk);
		look(&walk);
	}
	check_unlock(lock);
	for (size_t i = 0; look == look_at_lines && i < walk.assigns.count; i++)
		if (is_real(&walk.assigns.items[i]))
			check_domain(
			    check, &walk.assigns, &walk.assigns.items[i]);
	release(&walk.assigns);
}

void
check_routing(struct check *check)
{
	check_locked(check, look_at_routes);
}

void
check_domains(struct check *check)
{
	check_locked(check, look_at_lines);
}

static bool
is_older(const struct stat *a, const struct stat *b)
{
	return a->st_mtim.tv_sec < b->st_mtim.tv_sec ||
	    (a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
		a->st_mtim.tv_nsec < b->st_mtim.tv_nsec);
}

/* 0 when the cdb is as new as its source, or not needed; -1 with the reason. */
static int
judge_age(const char *source_path, const char *cdb_path, struct error *err)
{
	struct stat source, cdb;

	if (stat(source_path, &source) == -1)
		return errno == ENOENT
		    ? 0
		    : error_sys(err, "cannot look at '%s'", source_path);
	if (stat(cdb_path, &cdb) == -1)
		return error_set(err, "%s", strerror(errno));
	return is_older(&cdb, &source)
	    ? error_set(err,
		  "it is older than '%s', so the last changes do not count",
		  source_path)
	    : 0;
}

static void
find_uncompiled(struct check *check, enum layout_id cdb, const char *path,
    const struct error *reason)
{
	check_find(check, CHECK_ERROR, path, 0, "%s", reason->text);
	check_remedy(check,
	    cdb == LAYOUT_access_cdb
		? "run 'tcprules tcp.smtp.cdb tcp.smtp.tmp < tcp.smtp' there"
		: "run %s",
	    layout_rows[cdb].maker);
}

/* What else is in the others check_rules() and check_routes() say. */
void
check_compiled(struct check *check)
{
	static const struct {
		enum layout_id source, cdb;
	} rows[] = {
		{ LAYOUT_assign, LAYOUT_assign_cdb },
		{ LAYOUT_morercpthosts, LAYOUT_morercpthosts_cdb },
		{ LAYOUT_access, LAYOUT_access_cdb },
		{ LAYOUT_moresmtproutes, LAYOUT_moresmtproutes_cdb },
		{ LAYOUT_remote_auth, LAYOUT_remote_auth_cdb },
	};
	const struct home *home = check->node->home;
	OWN_TEXT lock_path = layout_path(home, LAYOUT_users_lock);
	int lock;
	/* vadddomain writes a text, and then its cdb. */
	bool is_quiet = check_lock(lock_path, &lock);

	for (size_t i = 0; is_quiet && i < sizeof(rows) / sizeof(rows[0]);
	     i++) {
		OWN_TEXT source = layout_path(home, rows[i].source);
		OWN_TEXT cdb = layout_path(home, rows[i].cdb);
		AUTO(cdb_records_release)
		struct cdb_records records = { .count = 0 };
		struct error err;

		if (judge_age(source, cdb, &err) == -1)
			find_uncompiled(check, rows[i].cdb, cdb, &err);
		if (rows[i].cdb == LAYOUT_assign_cdb &&
		    cdb_records_read(cdb, &records, &err) == -1)
			find_uncompiled(check, rows[i].cdb, cdb, &err);
	}
	check_unlock(lock);
}
