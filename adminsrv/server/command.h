/* SPDX-License-Identifier: ISC */
/*
 * The programs that administrators may run from afar, under fixed numbers
 * (adminsrv/server/commands.tbl), which IndiMail's clients know.
 */
#ifndef ADMINSRV_SERVER_COMMAND_H
#define ADMINSRV_SERVER_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/strlist.h"

/* Which of its plain arguments are addresses or domains. */
enum command_names {
	NAMES_NONE,      /* nothing for administrators of domains */
	NAMES_FIRST,     /* the first */
	NAMES_ALL,       /* each */
	NAMES_DELIVERIES /* svctool log --address ADDRESS */
};

struct command {
	const char *name;
	/*
	 * Those of its getopt(3), with the marks of words_walk(): '!' a
	 * password, '@' an address or a domain, '&' the line of an alias.
	 */
	const char *options;
	/* Options that make it a change; "*": it is one without, too. */
	const char *changing;
	/* Those that an administrator of domains may use. */
	const char *limited;
	enum command_names names;
	size_t secret; /* the first plain argument that is a password; 0: none */
};

enum { COMMAND_COUNT = 44, COMMAND_SVCTOOL = 35, COMMAND_NONE = -1 };

/* NULL: there is no such number. */
const struct command *command_at(long index);
/* The number of a program, by its name or path; COMMAND_NONE. */
int command_find(const char *program);

/* Does it change something, so that there must be a row of the audit? */
bool command_is_change(const struct command *command, char *const *argv);

/* The arguments as one line, without passwords, for logs and audit. */
void command_mask(
    const struct command *command, char *const *argv, struct buf *line);

/*
 * May that be run from afar, whoever asks?  Not what names another node, or
 * begins, ends or leaves one.  0, or -1 with the reason.
 */
int command_check(
    const struct command *command, char *const *argv, struct error *err);

/*
 * May an administrator of these domains alone run it?  0, or -1 with the
 * reason.
 */
int command_check_limited(const struct command *command, char *const *argv,
    const struct strlist *domains, struct error *err);

#endif
