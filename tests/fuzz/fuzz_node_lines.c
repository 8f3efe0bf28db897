/* SPDX-License-Identifier: ISC */
/*
 * users/assign, control/virtualdomains, locals and rcpthosts as operators left
 * them (one behind the other, a 0xff between), edited for a domain: added,
 * read, removed.  Lines of other names must stay as they were.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "adminsrv/line_file.h"
#include "adminsrv/node_lines.h"
#include "base/mem.h"
#include "tests/fuzz/scratch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FILES = 4, SEPARATOR = 0xff };

static const char *const names[FILES] = { "users/assign",
	"control/virtualdomains", "control/locals", "control/rcpthosts" };

static struct home *
get_home(void)
{
	static struct home *home;
	struct error err;
	char *me;

	if (home != NULL)
		return home;
	home = home_at(scratch_dir());
	me = xasprintf("%s/me", home->control);
	if (file_make_dirs(home->control, 0700, &err) == -1 ||
	    file_make_dirs(home->users, 0700, &err) == -1 ||
	    file_replace(me, "me.test\n", 8, 0600, &err) == -1)
		abort();
	free(me);
	return home;
}

/* Each file is there only when the input has something for it. */
static void
write_files(const uint8_t *data, size_t size)
{
	const uint8_t *end = data + size;

	for (int i = 0; i < FILES; i++) {
		char *path = xasprintf("%s/%s", get_home()->root, names[i]);
		const uint8_t *stop = data == NULL
		    ? NULL
		    : memchr(data, SEPARATOR, (size_t)(end - data));
		size_t length = data == NULL
		    ? 0
		    : (size_t)((stop == NULL ? end : stop) - data);

		unlink(path);
		if (length > 0 &&
		    file_replace(
			path, (const char *)data, length, 0600, NULL) == -1)
			abort();
		data = stop == NULL ? NULL : stop + 1;
		free(path);
	}
}

/* The lines of a file that are not of the domain, each ended by a newline. */
static void
other_lines(const char *name, struct buf *text)
{
	char *path = xasprintf("%s/%s", get_home()->root, name);
	struct line_file *file;
	struct error err;
	const char *line;
	size_t at = 0;

	if (line_file_load(path, &file, &err) == 0)
		while ((line = line_file_next(file, &at)) != NULL)
			if (strncasecmp(line, "d.test", 6) != 0 &&
			    strncasecmp(line, "+d.test-", 8) != 0 &&
			    strcmp(line, ".") != 0)
				buf_addf(text, "%s\n", line);
	line_file_free(&file);
	free(path);
}

/* An exact line for the address "d.test-" goes before the domain's. */
static bool
has_exact_line(const struct home *home)
{
	char *path = xasprintf("%s/assign", home->users);
	struct line_file *file;
	struct error err;
	bool has = line_file_load(path, &file, &err) == 0 &&
	    line_file_find(file, "=d.test-") != NULL;

	line_file_free(&file);
	free(path);
	return has;
}

static void
check_added(const struct home *home)
{
	struct node_state state;
	struct error err;

	if (node_state_read(home, "d.test", &state, &err) == -1)
		return; /* another line was bad already */
	assert(state.assign_user != NULL);
	assert(state.is_in_cdb || has_exact_line(home));
	assert(strcmp(state.assign_dir, "/d/d.test") == 0);
	assert(state.assign_uid == 7 && state.assign_gid == 8);
	assert(state.virtual_to != NULL && state.is_in_rcpthosts);
	assert(!state.is_in_locals);
	node_state_release(&state);
}

static void
check_removed(const struct home *home)
{
	struct node_state state;
	struct error err;

	if (node_state_read(home, "d.test", &state, &err) == -1)
		return;
	assert(state.assign_user == NULL && state.virtual_to == NULL);
	assert(!state.is_in_rcpthosts);
	node_state_release(&state);
}

static int
add(const struct home *home)
{
	struct error err = { "" };

	/* An old line of the domain would be kept. */
	if (node_lines_remove_assign(home, "d.test", &err) == 0 &&
	    node_lines_remove_local(home, "d.test", &err) == 0 &&
	    node_lines_add_rcpthost(home, "d.test", &err) == 0 &&
	    node_lines_add_virtual(home, "d.test", &err) == 0 &&
	    node_lines_add_assign(
		home, "d.test", "d.test", 7, 8, "/d/d.test", &err) == 0)
		return 0;
	assert(err.text[0] != '\0');
	return -1;
}

static int
take_away(const struct home *home)
{
	struct error err = { "" };

	if (node_lines_remove_assign(home, "d.test", &err) == 0 &&
	    node_lines_remove_virtual(home, "d.test", &err) == 0 &&
	    node_lines_remove_rcpthost(home, "d.test", &err) == 0)
		return 0;
	assert(err.text[0] != '\0');
	return -1;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct home *home = get_home();
	struct buf before[FILES], after;
	struct error err = { "" };
	struct strlist aliases = { .items = NULL };
	int i;

	write_files(data, size);
	for (i = 0; i < FILES; i++) {
		buf_init(&before[i]);
		other_lines(names[i], &before[i]);
	}
	assert(node_lines_aliases(home, "d.test", &aliases, &err) == 0 ||
	    err.text[0] != '\0');
	strlist_release(&aliases);
	if (add(home) == 0) {
		check_added(home);
		if (take_away(home) == 0)
			check_removed(home);
	}
	for (i = 0; i < FILES; i++) {
		buf_init(&after);
		other_lines(names[i], &after);
		assert(after.length == before[i].length &&
		    memcmp(after.data, before[i].data, after.length) == 0);
		buf_release(&after);
		buf_release(&before[i]);
	}
	return 0;
}
