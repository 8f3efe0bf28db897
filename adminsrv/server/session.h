/* SPDX-License-Identifier: ISC */
/* One session of the line protocol (docs/admin-api.md). */
#ifndef ADMINSRV_SERVER_SESSION_H
#define ADMINSRV_SERVER_SESSION_H

#include "adminsrv/server/server.h"
#include "base/stream.h"

enum {
	ADMIN_NAME_MAX = 255,
	ADMIN_PASSWORD_MAX = 511,
	ADMIN_LINE_MAX = 16 * 1024
};

/*
 * What the command line asks for: "NUMBER NAME ARGUMENTS".  words_out is the
 * caller's: the name and the arguments.  The number, or -1 with the words of the
 * protocol.
 */
int admin_parse_command(const char *line, size_t length,
    struct strlist *words_out, struct error *err);

/*
 * From the login to the end.  fd is the stream's socket; TLS has begun, or the
 * stream does without.
 */
void admin_session_run(struct admin_server *server, struct stream *stream,
    int fd, const char *remote_ip);

#endif
