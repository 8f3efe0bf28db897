/* SPDX-License-Identifier: ISC */
/* Is a compiled file as new as the text that it was made from? */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "svctool/check.h"

static bool
is_older(const struct stat *a, const struct stat *b)
{
	return a->st_mtim.tv_sec < b->st_mtim.tv_sec ||
	    (a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
		a->st_mtim.tv_nsec < b->st_mtim.tv_nsec);
}

static void
check_pair(struct check *check, const char *source, const char *cdb,
    const char *remedy)
{
	struct stat source_stat, cdb_stat;

	if (stat(source, &source_stat) == -1) {
		if (errno != ENOENT)
			check_find(check, CHECK_ERROR, "%s: %s", source,
			    strerror(errno));
		return;
	}
	if (stat(cdb, &cdb_stat) == -1)
		check_find(check, CHECK_ERROR, "%s: %s: run %s", cdb,
		    strerror(errno), remedy);
	else if (is_older(&cdb_stat, &source_stat))
		check_find(check, CHECK_ERROR,
		    "%s: it is older than '%s', so the last changes do not "
		    "count: run %s",
		    cdb, source, remedy);
}

void
check_compiled(struct check *check)
{
	const struct home *home = check->node->home;
	const struct {
		const char *folder, *source, *cdb, *remedy;
	} rows[] = {
		{ home->users, "assign", "cdb", "qmail-newu" },
		{ home->control, "morercpthosts", "morercpthosts.cdb",
		    "qmail-newmrh" },
		{ home->control, "tcp.smtp", "tcp.smtp.cdb",
		    "'tcprules tcp.smtp.cdb tcp.smtp.tmp < tcp.smtp' there" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *source = xasprintf(
		    "%s/%s", rows[i].folder, rows[i].source);
		char *cdb = xasprintf("%s/%s", rows[i].folder, rows[i].cdb);

		check_pair(check, source, cdb, rows[i].remedy);
		free(cdb);
		free(source);
	}
}
