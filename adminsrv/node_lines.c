/* SPDX-License-Identifier: ISC */
/* A virtual domain's lines in the node's files. */
#include "adminsrv/node_lines.h"

#include <errno.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "adminsrv/line_file.h"
#include "adminsrv/names.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/scan.h"
#include "control/assign.h"
#include "control/cdbmap.h"
#include "control/layout.h"
#include "control/rcpthosts.h"

enum { RCPTHOSTS_MAX = 50, ASSIGN_FIELDS = 5 };

static int
load_lines(const char *folder, const char *name, struct line_file **file_out,
    struct error *err)
{
	OWN_TEXT path = xasprintf("%s/%s", folder, name);

	return line_file_load(path, file_out, err);
}

/* The fields of a line of users/assign; false: not of that form. */
static bool
split_assign(char *line, char *fields[ASSIGN_FIELDS])
{
	for (unsigned i = 0; i < ASSIGN_FIELDS; i++) {
		char *colon = strchr(line, ':');

		if (colon == NULL)
			return false;
		*colon = '\0';
		fields[i] = line;
		line = colon + 1;
	}
	return true;
}

/* Does users/cdb say the same?  A damaged one is one more thing to make again.
 */
static bool
is_in_users_cdb(
    const struct home *home, const char *domain, const struct node_state *state)
{
	OWN_TEXT path = layout_path(home, LAYOUT_assign_cdb);
	OWN_TEXT key = xasprintf("%s-", domain);
	AUTO(cdbmap_free) struct cdbmap *map = NULL;
	struct assign_entry entry;
	bool is_same;

	if (cdbmap_open(path, &map, NULL) != 1 ||
	    assign_find(map, key, &entry, NULL) != 1)
		return false;
	is_same = *entry.extension == '\0' &&
	    strcmp(entry.user, state->assign_user) == 0 &&
	    strcmp(entry.home, state->assign_dir) == 0;
	assign_release(&entry);
	return is_same;
}

static int
read_assign(const struct home *home, const char *domain,
    struct node_state *state, struct error *err)
{
	AUTO(line_file_free) struct line_file *file = NULL;
	OWN_TEXT key = xasprintf("+%s-", domain);
	OWN_TEXT copy = NULL;
	char *fields[ASSIGN_FIELDS];
	const char *line;
	uint64_t uid, gid;

	if (load_lines(home->users, "assign", &file, err) == -1)
		return -1;
	line = line_file_find(file, key);
	if (line == NULL)
		return 0;
	copy = xstrdup(line);
	if (!split_assign(copy, fields) ||
	    !scan_u64(fields[2], UINT32_MAX - 1, &uid) ||
	    !scan_u64(fields[3], UINT32_MAX - 1, &gid) || *fields[4] != '/')
		return error_set(err,
		    "'%s/assign': the line of '%s' is not of the form "
		    "+DOMAIN-:DOMAIN:uid:gid:folder:-::",
		    home->users, domain);
	state->assign_user = xstrdup(fields[1]);
	state->assign_uid = (uid_t)uid;
	state->assign_gid = (gid_t)gid;
	state->assign_dir = xstrdup(fields[4]);
	state->is_in_cdb = is_in_users_cdb(home, domain, state);
	return 0;
}

static int
read_virtual(const struct home *home, const char *domain,
    struct node_state *state, struct error *err)
{
	AUTO(line_file_free) struct line_file *file = NULL;
	const char *line, *colon;

	if (load_lines(home->control, "virtualdomains", &file, err) == -1)
		return -1;
	line = line_file_find(file, domain);
	colon = line == NULL ? NULL : strchr(line, ':');
	if (colon != NULL)
		state->virtual_to = xstrndup(
		    colon + 1, strcspn(colon + 1, " \t\r"));
	return 0;
}

static int
read_rcpthosts(const struct home *home, const char *domain,
    struct node_state *state, struct error *err)
{
	OWN_TEXT path = layout_path(home, LAYOUT_morercpthosts_cdb);
	AUTO(line_file_free) struct line_file *file = NULL;
	AUTO(cdbmap_free) struct cdbmap *map = NULL;

	if (load_lines(home->control, "rcpthosts", &file, err) == -1)
		return -1;
	/* A damaged cdb is made again, from its text. */
	state->is_in_rcpthosts = line_file_find(file, domain) != NULL ||
	    (cdbmap_open(path, &map, NULL) == 1 &&
		cdbmap_get(map, domain, strlen(domain), NULL, NULL) == 1);
	return 0;
}

/* Is domain the content of control/me?  1, 0, -1. */
static int
is_me(const struct home *home, const char *domain, struct error *err)
{
	AUTO(line_file_free) struct line_file *file = NULL;
	size_t length = strlen(domain), at = 0;
	const char *me;

	if (load_lines(home->control, "me", &file, err) == -1)
		return -1;
	me = line_file_next(file, &at);
	return me != NULL && strncasecmp(me, domain, length) == 0 &&
	    me[length + strspn(me + length, " \t\r")] == '\0';
}

static int
read_locals(const struct home *home, const char *domain,
    struct node_state *state, struct error *err)
{
	AUTO(line_file_free) struct line_file *file = NULL;
	int is_local;

	if (load_lines(home->control, "locals", &file, err) == -1)
		return -1;
	is_local = line_file_exists(file) ? line_file_find(file, domain) != NULL
					  : is_me(home, domain, err);
	state->is_in_locals = is_local == 1;
	return is_local == -1 ? -1 : 0;
}

int
node_state_read(const struct home *home, const char *domain,
    struct node_state *state_out, struct error *err)
{
	*state_out = (struct node_state){ .assign_user = NULL };
	if (read_assign(home, domain, state_out, err) == 0 &&
	    read_virtual(home, domain, state_out, err) == 0 &&
	    read_rcpthosts(home, domain, state_out, err) == 0 &&
	    read_locals(home, domain, state_out, err) == 0)
		return 0;
	node_state_release(state_out);
	return -1;
}

void
node_state_release(struct node_state *state)
{
	free(state->assign_user);
	free(state->assign_dir);
	free(state->virtual_to);
	*state = (struct node_state){ .assign_user = NULL };
}

static int
put_assign(const struct home *home, const char *domain, const char *real,
    uid_t uid, gid_t gid, const char *dir, bool replaces, struct error *err)
{
	const char *old;
	AUTO(line_file_free) struct line_file *file = NULL;
	OWN_TEXT key = xasprintf("+%s-", domain);
	OWN_TEXT line = xasprintf("%s:%s:%lu:%lu:%s:-::", key, real,
	    (unsigned long)uid, (unsigned long)gid, dir);

	if (load_lines(home->users, "assign", &file, err) == -1)
		return -1;
	old = line_file_find(file, key);
	if (old != NULL && replaces && strcmp(old, line) != 0) {
		line_file_remove(file, key);
		old = NULL;
	}
	if (old == NULL)
		line_file_add(file, line);
	if (line_file_save(file, layout_rows[LAYOUT_assign].mode, ".", err) ==
	    -1)
		return -1;
	return assign_compile_users(home, err);
}

int
node_lines_add_assign(const struct home *home, const char *domain,
    const char *real, uid_t uid, gid_t gid, const char *dir, struct error *err)
{
	return put_assign(home, domain, real, uid, gid, dir, false, err);
}

int
node_lines_set_assign(const struct home *home, const char *domain,
    const char *real, uid_t uid, gid_t gid, const char *dir, struct error *err)
{
	return put_assign(home, domain, real, uid, gid, dir, true, err);
}

int
node_lines_remove_assign(
    const struct home *home, const char *domain, struct error *err)
{
	AUTO(line_file_free) struct line_file *file = NULL;
	OWN_TEXT key = xasprintf("+%s-", domain);

	if (load_lines(home->users, "assign", &file, err) == -1)
		return -1;
	line_file_remove(file, key);
	if (line_file_save(file, layout_rows[LAYOUT_assign].mode, ".", err) ==
	    -1)
		return -1;
	return line_file_exists(file) ? assign_compile_users(home, err) : 0;
}

/* Makes line, or nothing if it is NULL, the only line with the key. */
static void
set_line(struct line_file *file, const char *key, const char *line)
{
	const char *old = line_file_find(file, key);

	if (old != NULL && line != NULL && strcmp(old, line) == 0)
		return;
	line_file_remove(file, key);
	if (line != NULL)
		line_file_add(file, line);
}

/* The same in a file in control/. */
static int
edit_control(const struct home *home, const char *name, const char *key,
    const char *line, struct error *err)
{
	AUTO(line_file_free) struct line_file *file = NULL;

	if (load_lines(home->control, name, &file, err) == -1)
		return -1;
	set_line(file, key, line);
	return line_file_save(
	    file, layout_rows[LAYOUT_setting].mode, NULL, err);
}

int
node_lines_add_virtual(
    const struct home *home, const char *domain, struct error *err)
{
	OWN_TEXT line = xasprintf("%s:%s", domain, domain);

	return edit_control(home, "virtualdomains", domain, line, err);
}

int
node_lines_remove_virtual(
    const struct home *home, const char *domain, struct error *err)
{
	return edit_control(home, "virtualdomains", domain, NULL, err);
}

int
node_lines_remove_local(
    const struct home *home, const char *domain, struct error *err)
{
	OWN_TEXT path = layout_path(home, LAYOUT_setting, "locals");
	int is_local;

	if (access(path, F_OK) == 0 || errno != ENOENT)
		return edit_control(home, "locals", domain, NULL, err);
	/* Without the file control/me would be local. */
	is_local = is_me(home, domain, err);
	return is_local == 1
	    ? file_replace(path, "", 0, layout_rows[LAYOUT_setting].mode, err)
	    : is_local;
}

static int
edit_more(const struct home *home, const char *key, const char *line,
    struct error *err)
{
	AUTO(line_file_free) struct line_file *file = NULL;

	if (load_lines(home->control, "morercpthosts", &file, err) == -1)
		return -1;
	if (line == NULL && !line_file_exists(file))
		return 0;
	set_line(file, key, line);
	if (line_file_save(
		file, layout_rows[LAYOUT_morercpthosts].mode, NULL, err) == -1)
		return -1;
	/* In any case: a killed run may have left it behind. */
	return rcpthosts_compile_more(home->control, err);
}

int
node_lines_add_rcpthost(
    const struct home *home, const char *domain, struct error *err)
{
	AUTO(line_file_free) struct line_file *file = NULL;

	if (load_lines(home->control, "rcpthosts", &file, err) == -1)
		return -1;
	if (line_file_count(file) < RCPTHOSTS_MAX)
		return edit_control(home, "rcpthosts", domain, domain, err);
	return edit_more(home, domain, domain, err);
}

int
node_lines_remove_rcpthost(
    const struct home *home, const char *domain, struct error *err)
{
	if (edit_control(home, "rcpthosts", domain, NULL, err) == -1)
		return -1;
	return edit_more(home, domain, NULL, err);
}

int
node_lines_aliases(const struct home *home, const char *real,
    struct strlist *aliases, struct error *err)
{
	AUTO(line_file_free) struct line_file *file = NULL;
	const char *line;
	size_t at = 0;

	if (load_lines(home->users, "assign", &file, err) == -1)
		return -1;
	while ((line = line_file_next(file, &at)) != NULL) {
		OWN_TEXT copy = xstrdup(line);
		char *fields[ASSIGN_FIELDS], *name;
		size_t length;

		if (!split_assign(copy, fields) || *fields[0] != '+' ||
		    strcmp(fields[1], real) != 0)
			continue;
		name = fields[0] + 1;
		length = strlen(name);
		if (length < 2 || name[length - 1] != '-')
			continue;
		name[length - 1] = '\0';
		if (strcasecmp(name, real) != 0)
			strlist_add(aliases, name);
	}
	return 0;
}

int
node_lines_domains(
    const struct home *home, struct strlist *domains, struct error *err)
{
	AUTO(line_file_free) struct line_file *file = NULL;
	AUTO(line_file_free) struct line_file *virtual = NULL;
	const char *line;
	size_t at = 0;

	if (load_lines(home->users, "assign", &file, err) == -1 ||
	    load_lines(home->control, "virtualdomains", &virtual, err) == -1)
		return -1;
	while ((line = line_file_next(file, &at)) != NULL) {
		OWN_TEXT copy = xstrdup(line);
		char *fields[ASSIGN_FIELDS];
		size_t length;

		if (!split_assign(copy, fields) || *fields[0] != '+')
			continue;
		length = strlen(fields[1]);
		/* "+a.test-" with the user "a.test"; else it is an alias. */
		if (strncasecmp(fields[0] + 1, fields[1], length) == 0 &&
		    strcmp(fields[0] + 1 + length, "-") == 0 &&
		    line_file_find(virtual, fields[1]) != NULL)
			strlist_add(domains, fields[1]);
	}
	return 0;
}
