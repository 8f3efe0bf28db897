/* SPDX-License-Identifier: ISC */
/* Settings that still name a domain which was removed. */
#include "adminsrv/leftover.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "adminsrv/line_file.h"
#include "base/mem.h"
#include "control/settings.h"

/* Do the values of a setting name domains? */
static bool
names_domains(enum setting_id id)
{
	static const char *const units[] = { "host", "domain", "domain:prefix",
		"mailbox" };

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (strcmp(setting_rows[id].unit, units[i]) == 0)
			return true;
	return false;
}

/* DOMAIN or USER@DOMAIN, and what may stand behind a ':' . */
static bool
is_of_domain(const char *line, const char *domain)
{
	size_t length = strcspn(line, ": \t\r");
	const char *at = memchr(line, '@', length);
	const char *name = at == NULL ? line : at + 1;

	length -= (size_t)(name - line);
	return length == strlen(domain) &&
	    strncasecmp(name, domain, length) == 0;
}

/* The node's own name may stay what it is, but its postmaster gets no mail. */
static void
put_remedy(enum setting_id id, const char *path, const char *domain,
    const struct home *home, struct buf *lines)
{
	if (id == SETTING_me)
		buf_addf(lines,
		    "'%s' still is '%s', where no postmaster gets mail now: "
		    "'vaddaliasdomain %s DOMAIN' makes it a name of another "
		    "domain\n",
		    path, domain, domain);
	else
		buf_addf(lines,
		    "'%s' still names '%s': write another domain there or "
		    "remove it, then svc -h %s/*\n",
		    path, domain, home->service);
}

static int
find_in_setting(const struct home *home, enum setting_id id, const char *domain,
    struct buf *lines, struct error *err)
{
	OWN_TEXT path = xasprintf(
	    "%s/%s", home->control, setting_rows[id].name);
	AUTO(line_file_free) struct line_file *file = NULL;
	const char *line;
	size_t at = 0;

	if (line_file_load(path, &file, err) == -1)
		return -1;
	while ((line = line_file_next(file, &at)) != NULL)
		if (is_of_domain(line, domain)) {
			put_remedy(id, path, domain, home, lines);
			break;
		}
	return 0;
}

int
leftover_find(const struct home *home, const char *domain, struct buf *lines,
    struct error *err)
{
	for (int id = 0; id < SETTING_COUNT; id++)
		if (names_domains((enum setting_id)id) &&
		    find_in_setting(
			home, (enum setting_id)id, domain, lines, err) == -1)
			return -1;
	return 0;
}
