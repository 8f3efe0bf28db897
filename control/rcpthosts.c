/* SPDX-License-Identifier: ISC */
/* rcpthosts and morercpthosts.cdb. */
#include "control/rcpthosts.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/lines.h"
#include "base/mem.h"
#include "control/cdbmap.h"
#include "control/idn.h"

enum { MORE_MAX_BYTES = 256 * 1024 * 1024 }; /* morercpthosts */

struct rcpthosts {
	bool matches_all;     /* there is no file */
	struct strlist names; /* canonical, sorted */
	char *more_path;
};

struct rcpthosts *
rcpthosts_new(
    const char *control_dir, const struct settings *settings, struct error *err)
{
	const struct strlist *list = settings_list(settings, SETTING_rcpthosts);
	struct rcpthosts *hosts = xcalloc(1, sizeof(*hosts));
	struct cdbmap *more;

	hosts->matches_all = !settings_is_set(settings, SETTING_rcpthosts);
	hosts->more_path = xasprintf("%s/morercpthosts.cdb", control_dir);
	for (size_t i = 0; i < list->count; i++) {
		char name[IDN_DOMAIN_SIZE];

		idn_domain_canonical(list->items[i], name);
		strlist_add(&hosts->names, name);
	}
	strlist_sort(&hosts->names);
	/* A damaged file is told at the start, not at the first stranger. */
	if (cdbmap_open(hosts->more_path, &more, err) == -1)
		rcpthosts_free(&hosts);
	else
		cdbmap_free(&more);
	return hosts;
}

void
rcpthosts_free(struct rcpthosts **hosts_in)
{
	struct rcpthosts *hosts = *hosts_in;

	if (hosts == NULL)
		return;
	strlist_release(&hosts->names);
	free(hosts->more_path);
	free(hosts);
	*hosts_in = NULL;
}

/* The next name to try for a domain: itself, then each ".suffix". */
static const char *
next_name(const char *name)
{
	return strchr(name + (*name == '.'), '.');
}

static int
match_names(const struct rcpthosts *hosts, const char *domain)
{
	for (; domain != NULL; domain = next_name(domain))
		if (strlist_find(&hosts->names, domain))
			return 1;
	return 0;
}

/*
 * Opened each time, so that qmail-newmrh takes effect at once and threads
 * share nothing; only domains that are not in rcpthosts come here.
 */
static int
match_more(const struct rcpthosts *hosts, const char *domain, struct error *err)
{
	AUTO(cdbmap_free) struct cdbmap *more = NULL;
	int found = cdbmap_open(hosts->more_path, &more, err);

	if (found != 1)
		return found;
	found = 0;
	for (; domain != NULL && found == 0; domain = next_name(domain))
		found = cdbmap_get(more, domain, strlen(domain), NULL, err);
	return found;
}

int
rcpthosts_match(
    const struct rcpthosts *hosts, const char *mailbox, struct error *err)
{
	const char *at = strrchr(mailbox, '@');
	char domain[IDN_DOMAIN_SIZE];
	int result;

	if (hosts->matches_all || at == NULL)
		return 1;
	idn_domain_canonical(at + 1, domain);
	result = match_names(hosts, domain);
	if (result == 0)
		result = match_more(hosts, domain, err);
	return result;
}

/* One line of morercpthosts, not blank. */
static int
add_more_domain(
    struct cdbmap_writer *writer, const char *line, struct error *err)
{
	char domain[IDN_DOMAIN_SIZE];

	if (settings_check_value(SETTING_rcpthosts, line, err) == -1) {
		errno = EINVAL;
		return -1;
	}
	idn_domain_canonical(line, domain);
	return cdbmap_writer_add(writer, domain, strlen(domain), "", 0, err);
}

static int
add_more_lines(struct cdbmap_writer *writer, const char *path, struct buf *text,
    struct error *err)
{
	struct lines lines;
	char *line;
	int found;

	lines_open(&lines, text);
	while ((found = lines_next(&lines, &line, err)) == 1)
		if (*line != '\0' && *line != '#' &&
		    add_more_domain(writer, line, err) == -1)
			return error_context(err, "%s:%u", path, lines.number);
	if (found == 0)
		return 0;
	errno = EINVAL;
	return error_context(err, "%s:%u", path, lines.number);
}

int
rcpthosts_compile_more(const char *control_dir, struct error *err)
{
	OWN_TEXT path = xasprintf("%s/morercpthosts", control_dir);
	OWN_TEXT cdb_path = xasprintf("%s.cdb", path);
	AUTO(buf_release) struct buf text = BUF_INIT;
	AUTO(cdbmap_writer_abort) struct cdbmap_writer *writer = NULL;
	int found = file_read(path, MORE_MAX_BYTES, &text, err);

	if (found == 0) {
		errno = ENOENT;
		error_set(err,
		    "no file '%s'; write the domains in it, one a line", path);
	}
	if (found != 1)
		return -1;
	writer = cdbmap_writer_new(cdb_path, err);
	if (writer == NULL || add_more_lines(writer, path, &text, err) == -1)
		return -1;
	return cdbmap_writer_commit(&writer, err);
}
