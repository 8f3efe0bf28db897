/* SPDX-License-Identifier: ISC */
/* A virtual domain's lines in the node's files. */
#include "adminsrv/node_lines.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "adminsrv/line_file.h"
#include "adminsrv/names.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/scan.h"
#include "control/assign.h"
#include "control/cdbmap.h"
#include "control/rcpthosts.h"

enum { MODE = 0644, RCPTHOSTS_MAX = 50, ASSIGN_FIELDS = 5 };

static int
load(const char *folder, const char *name, struct line_file **file_out,
    struct error *err)
{
	char *path = xasprintf("%s/%s", folder, name);
	int result = line_file_load(path, file_out, err);

	free(path);
	return result;
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

/* Does users/cdb say the same as the line? */
static int
is_compiled(const struct home *home, const char *domain,
    const struct node_state *state, bool *is_compiled_out, struct error *err)
{
	char *path = xasprintf("%s/cdb", home->users);
	char *key = xasprintf("%s-", domain);
	struct assign_entry entry;
	struct cdbmap *map;
	int found = cdbmap_open(path, &map, err);

	*is_compiled_out = false;
	if (found == 1) {
		found = assign_find(map, key, &entry, err);
		cdbmap_free(&map);
	}
	if (found == 1) {
		*is_compiled_out = *entry.extension == '\0' &&
		    strcmp(entry.user, state->assign_user) == 0 &&
		    strcmp(entry.home, state->assign_dir) == 0;
		assign_release(&entry);
	}
	free(path);
	free(key);
	/* A damaged cdb is one more thing to make again. */
	return 0;
}

static int
read_assign(const struct home *home, const char *domain,
    struct node_state *state, struct error *err)
{
	struct line_file *file;
	char *fields[ASSIGN_FIELDS];
	char *key = xasprintf("+%s-", domain);
	char *copy = NULL;
	const char *line;
	uint64_t uid, gid;
	int result = load(home->users, "assign", &file, err);

	line = result == 0 ? line_file_find(file, key) : NULL;
	if (line == NULL)
		goto out;
	copy = xstrdup(line);
	if (!split_assign(copy, fields) ||
	    !scan_u64(fields[2], UINT32_MAX - 1, &uid) ||
	    !scan_u64(fields[3], UINT32_MAX - 1, &gid) || *fields[4] != '/') {
		result = error_set(err,
		    "'%s/assign': the line of '%s' is not of the form "
		    "+DOMAIN-:DOMAIN:uid:gid:folder:-::",
		    home->users, domain);
		goto out;
	}
	state->assign_user = xstrdup(fields[1]);
	state->assign_uid = (uid_t)uid;
	state->assign_gid = (gid_t)gid;
	state->assign_dir = xstrdup(fields[4]);
	result = is_compiled(home, domain, state, &state->is_in_cdb, err);
out:
	line_file_free(&file);
	free(copy);
	free(key);
	return result;
}

static int
read_virtual(const struct home *home, const char *domain,
    struct node_state *state, struct error *err)
{
	struct line_file *file;
	const char *line;

	if (load(home->control, "virtualdomains", &file, err) == -1)
		return -1;
	line = line_file_find(file, domain);
	if (line != NULL && strchr(line, ':') != NULL) {
		const char *prefix = strchr(line, ':') + 1;

		state->virtual_to = xstrndup(prefix, strcspn(prefix, " \t\r"));
	}
	line_file_free(&file);
	return 0;
}

static int
read_rcpthosts(const struct home *home, const char *domain,
    struct node_state *state, struct error *err)
{
	char *path = xasprintf("%s/morercpthosts.cdb", home->control);
	struct cdbmap *map = NULL;
	struct line_file *file;
	int result = load(home->control, "rcpthosts", &file, err);

	if (result == 0)
		state->is_in_rcpthosts = line_file_find(file, domain) != NULL;
	/* A damaged cdb is made again, from its text. */
	if (result == 0 && cdbmap_open(path, &map, NULL) == 1) {
		state->is_in_rcpthosts = state->is_in_rcpthosts ||
		    cdbmap_get(map, domain, strlen(domain), NULL, NULL) == 1;
		cdbmap_free(&map);
	}
	line_file_free(&file);
	free(path);
	return result;
}

/* Is domain the content of control/me?  1, 0, -1. */
static int
is_me(const struct home *home, const char *domain, struct error *err)
{
	struct line_file *file;
	size_t at = 0;
	const char *me;
	int result;

	if (load(home->control, "me", &file, err) == -1)
		return -1;
	me = line_file_next(file, &at);
	result = me != NULL && strncasecmp(me, domain, strlen(domain)) == 0 &&
	    strspn(me + strlen(domain), " \t\r") == strlen(me + strlen(domain));
	line_file_free(&file);
	return result;
}

static int
read_locals(const struct home *home, const char *domain,
    struct node_state *state, struct error *err)
{
	struct line_file *file;
	int result = load(home->control, "locals", &file, err);

	if (result == -1)
		return -1;
	if (line_file_exists(file))
		state->is_in_locals = line_file_find(file, domain) != NULL;
	else {
		result = is_me(home, domain, err);
		state->is_in_locals = result == 1;
	}
	line_file_free(&file);
	return result == -1 ? -1 : 0;
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
compile_assign(const struct home *home, struct error *err)
{
	char *text = xasprintf("%s/assign", home->users);
	char *cdb = xasprintf("%s/cdb", home->users);
	int result = assign_compile(text, cdb, err);

	free(text);
	free(cdb);
	return result;
}

int
node_lines_add_assign(const struct home *home, const char *domain,
    const char *real, uid_t uid, gid_t gid, const char *dir, struct error *err)
{
	char *key = xasprintf("+%s-", domain);
	struct line_file *file;
	char *line;
	int result = load(home->users, "assign", &file, err);

	if (result == 0 && line_file_find(file, key) == NULL) {
		line = xasprintf("%s:%s:%lu:%lu:%s:-::", key, real,
		    (unsigned long)uid, (unsigned long)gid, dir);
		line_file_add(file, line);
		free(line);
		result = line_file_save(file, MODE, ".", err);
	}
	line_file_free(&file);
	free(key);
	return result == -1 ? -1 : compile_assign(home, err);
}

int
node_lines_remove_assign(
    const struct home *home, const char *domain, struct error *err)
{
	char *key = xasprintf("+%s-", domain);
	struct line_file *file;
	int result = load(home->users, "assign", &file, err);
	bool exists = result == 0 && line_file_exists(file);

	if (result == 0 && line_file_remove(file, key))
		result = line_file_save(file, MODE, ".", err);
	line_file_free(&file);
	free(key);
	if (result == -1 || !exists)
		return result;
	return compile_assign(home, err);
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
edit(const struct home *home, const char *name, const char *key,
    const char *line, struct error *err)
{
	struct line_file *file;

	if (load(home->control, name, &file, err) == -1)
		return -1;
	set_line(file, key, line);
	if (line_file_save(file, MODE, NULL, err) == -1) {
		line_file_free(&file);
		return -1;
	}
	line_file_free(&file);
	return 0;
}

int
node_lines_add_virtual(
    const struct home *home, const char *domain, struct error *err)
{
	char *line = xasprintf("%s:%s", domain, domain);
	int result = edit(home, "virtualdomains", domain, line, err);

	free(line);
	return result;
}

int
node_lines_remove_virtual(
    const struct home *home, const char *domain, struct error *err)
{
	return edit(home, "virtualdomains", domain, NULL, err);
}

int
node_lines_remove_local(
    const struct home *home, const char *domain, struct error *err)
{
	char *path = xasprintf("%s/locals", home->control);
	struct line_file *file;
	int result = line_file_load(path, &file, err);

	if (result == 0 && line_file_exists(file)) {
		set_line(file, domain, NULL);
		result = line_file_save(file, MODE, NULL, err);
	} else if (result == 0) {
		/* Without the file control/me would be local. */
		result = is_me(home, domain, err);
		if (result == 1)
			result = file_replace(path, "", 0, MODE, err);
	}
	line_file_free(&file);
	free(path);
	return result;
}

static int
edit_more(const struct home *home, const char *key, const char *line,
    struct error *err)
{
	struct line_file *file;
	int result = load(home->control, "morercpthosts", &file, err);

	if (result == 0 && (line != NULL || line_file_exists(file))) {
		set_line(file, key, line);
		result = line_file_save(file, MODE, NULL, err);
		/* In any case: a killed run may have left it behind. */
		if (result == 0)
			result = rcpthosts_compile_more(home->control, err);
	}
	line_file_free(&file);
	return result;
}

int
node_lines_add_rcpthost(
    const struct home *home, const char *domain, struct error *err)
{
	struct line_file *file;
	size_t count;

	if (load(home->control, "rcpthosts", &file, err) == -1)
		return -1;
	count = line_file_count(file);
	line_file_free(&file);
	if (count < RCPTHOSTS_MAX)
		return edit(home, "rcpthosts", domain, domain, err);
	return edit_more(home, domain, domain, err);
}

int
node_lines_remove_rcpthost(
    const struct home *home, const char *domain, struct error *err)
{
	if (edit(home, "rcpthosts", domain, NULL, err) == -1)
		return -1;
	return edit_more(home, domain, NULL, err);
}

char **
node_lines_aliases(const struct home *home, const char *real, struct error *err)
{
	struct line_file *file;
	char **aliases;
	const char *line;
	size_t count = 0;
	size_t at = 0;

	if (load(home->users, "assign", &file, err) == -1)
		return NULL;
	aliases = xcalloc(line_file_count(file) + 1, sizeof(*aliases));
	while ((line = line_file_next(file, &at)) != NULL) {
		char *fields[ASSIGN_FIELDS];
		char *copy = xstrdup(line);
		size_t length;

		if (split_assign(copy, fields) && *fields[0] == '+' &&
		    strcmp(fields[1], real) == 0) {
			length = strlen(fields[0]);
			if (length > 2 && fields[0][length - 1] == '-') {
				fields[0][length - 1] = '\0';
				if (strcasecmp(fields[0] + 1, real) != 0)
					aliases[count++] = xstrdup(
					    fields[0] + 1);
			}
		}
		free(copy);
	}
	line_file_free(&file);
	return aliases;
}

void
node_lines_free_aliases(char **aliases)
{
	for (size_t i = 0; aliases != NULL && aliases[i] != NULL; i++)
		free(aliases[i]);
	free(aliases);
}
