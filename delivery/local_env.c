/* SPDX-License-Identifier: ISC */
/* The environment of programs in .qmail files (qmail-command(8)). */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/uuid.h"
#include "delivery/local_private.h"
#include "delivery/trace.h"

/* EXT2: what is behind the first dash of EXT, and so on. */
static void
set_extensions(struct vars *vars, const char *extension)
{
	static const char *const names[] = { "EXT", "EXT2", "EXT3", "EXT4" };
	const char *part = extension;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *dash;

		vars_set(vars, names[i], part);
		dash = strchr(part, '-');
		part = dash != NULL ? dash + 1 : part + strlen(part);
	}
}

/* HOST2: what is in front of the last dot of HOST, and so on. */
static void
set_hosts(struct vars *vars, const char *host)
{
	static const char *const names[] = { "HOST", "HOST2", "HOST3",
		"HOST4" };
	OWN_TEXT part = xstrdup(host);

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char *dot;

		vars_set(vars, names[i], part);
		dot = strrchr(part, '.');
		if (dot != NULL)
			*dot = '\0';
	}
}

/* As in an mbox: no blanks in the sender. */
static void
put_from_line(struct buf *line, const char *sender)
{
	time_t now = time(NULL);
	char date[64];
	struct tm tm;

	buf_adds(line, "From ");
	for (const char *c = *sender == '\0' ? "MAILER-DAEMON" : sender;
	     *c != '\0'; c++)
		buf_addc(line, strchr(" \t\n\r", *c) != NULL ? '-' : *c);
	gmtime_r(&now, &tm);
	strftime(date, sizeof(date), " %a %b %d %H:%M:%S %Y\n", &tm);
	buf_adds(line, date);
}

static void
set_lines(const struct local_delivery *delivery, struct vars *vars)
{
	AUTO(buf_release) struct buf line = BUF_INIT;

	trace_put_delivered_to(&line, delivery->recipient);
	vars_set(vars, "DTLINE", line.data);
	buf_reset(&line);
	trace_put_return_path(&line, delivery->sender);
	vars_set(vars, "RPLINE", line.data);
	buf_reset(&line);
	put_from_line(&line, delivery->sender);
	vars_set(vars, "UFLINE", line.data);
}

void
local_set_variables(const struct local_delivery *delivery, struct vars *vars)
{
	const char *path = getenv("PATH");
	char uuid[UUID_TEXT_SIZE];

	if (path == NULL || *path == '\0')
		path = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin";
	if (delivery->program_dir != NULL) {
		OWN_TEXT with_ours = xasprintf(
		    "%s:%s", delivery->program_dir, path);

		vars_set(vars, "PATH", with_ours);
	} else
		vars_set(vars, "PATH", path);
	vars_set(vars, "USER", delivery->user);
	vars_set(vars, "HOME", delivery->home);
	vars_set(vars, "LOCAL", delivery->local);
	vars_set(vars, "SENDER", delivery->sender);
	vars_set(vars, "NEWSENDER", delivery->forward_sender);
	vars_set(vars, "RECIPIENT", delivery->recipient);
	vars_set(vars, "DEFAULT", delivery->default_part);
	set_extensions(vars, delivery->extension);
	set_hosts(vars, delivery->host);
	set_lines(delivery, vars);
	uuid_format(&delivery->uuid, uuid);
	vars_set(
	    vars, "MQMAIL_UUID", uuid_is_none(&delivery->uuid) ? NULL : uuid);
}
