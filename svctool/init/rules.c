/* SPDX-License-Identifier: ISC */
/* control/tcp.smtp, the access rules of the listeners, and their cdb. */
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "svctool/init/init.h"
#include "svctool/run/spawn.h"

/* tcprules(1) compiles; it also says which line is wrong. */
static int
compile(struct maker *maker, const char *source, struct error *err)
{
	char *cdb = xasprintf("%s.cdb", source);
	char *temporary = xasprintf("%s.tmp.%ld", cdb, (long)getpid());
	const char *argv[] = { "tcprules", cdb, temporary, NULL };
	int result = 0;

	if (access(cdb, F_OK) == 0)
		maker->kept++;
	else {
		result = spawn_filter(argv, source, err);
		if (result == 0) {
			make_say("made", "%s", cdb);
			maker->made++;
		} else
			error_context(err, "cannot compile '%s'", source);
	}
	free(temporary);
	free(cdb);
	return result;
}

int
init_rules(
    struct maker *maker, const struct init_options *options, struct error *err)
{
	char *path = layout_path(maker->node->home, LAYOUT_access);
	char *real = node_path(maker->node, "%s", path);
	struct buf text;
	int result;

	buf_init(&text);
	buf_adds(&text,
	    "# Who may connect by SMTP, and with which variables.\n"
	    "# After a change: tcprules tcp.smtp.cdb tcp.smtp.tmp < "
	    "tcp.smtp\n");
	for (size_t i = 0; i < options->relay.count; i++)
		buf_addf(&text, "%s:allow,RELAYCLIENT=\"\"\n",
		    options->relay.items[i]);
	buf_adds(&text, ":allow\n");
	result = make_file(maker, LAYOUT_access, path, text.data, err);
	if (result == 0)
		result = compile(maker, real, err);
	buf_release(&text);
	free(real);
	free(path);
	return result;
}
