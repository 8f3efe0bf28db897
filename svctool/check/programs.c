/* SPDX-License-Identifier: ISC */
/* Are the programs there that the run files of services name? */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "svctool/check/check.h"

enum { RUN_MAX_BYTES = 65536 };

/* What a run file names is begun by it; what that one starts lies beside it. */
static const struct {
	const char *named;
	const char *needed[4];
} programs[] = {
	{ "qmail-start", { "qmail-start", "qmail-send", "qmail-vdeliver" } },
	{ "qmail-smtpd", { "qmail-smtpd" } },
};

static void
check_program(struct check *check, const char *folder, const char *name,
    struct arg_list *known)
{
	char *path = xasprintf("%s/%s", folder, name);
	bool is_known = arg_list_has(known, path);

	if (!is_known && access(path, X_OK) == -1) {
		check_find(check, CHECK_ERROR, path, 0,
		    "the program that services run is missing, or cannot be "
		    "run");
		check_remedy(check,
		    "install mqmail there again ('make install'), or put its "
		    "present folder into the run files of '%s'",
		    check->node->home->service);
	}
	if (!is_known)
		arg_list_add(known, path, strlen(path));
	free(path);
}

/* The folder of the program, as the run file quotes it; NULL: not named. */
static char *
named_folder(const char *text, const char *program)
{
	char *end_mark = xasprintf("/%s'", program);
	const char *end = strstr(text, end_mark);
	const char *begin = end;

	free(end_mark);
	if (end == NULL)
		return NULL;
	while (begin > text && begin[-1] != '\'' && begin[-1] != '\n')
		begin--;
	return *begin == '/' || begin == end
	    ? xasprintf("%.*s", (int)(end - begin), begin)
	    : NULL;
}

void
check_programs(struct check *check, const char *service, struct arg_list *known)
{
	char *path = xasprintf(
	    "%s/%s/run", check->node->home->service, service);
	struct buf text;

	buf_init(&text);
	if (file_read(path, RUN_MAX_BYTES, &text, NULL) != 1)
		buf_reset(&text);
	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
		char *folder = named_folder(text.data, programs[i].named);

		for (size_t j = 0;
		     folder != NULL && programs[i].needed[j] != NULL; j++)
			check_program(
			    check, folder, programs[i].needed[j], known);
		free(folder);
	}
	buf_release(&text);
	free(path);
}
