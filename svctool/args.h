/* SPDX-License-Identifier: ISC */
/* Options of a command: --name VALUE, --name=VALUE, --flag, and words. */
#ifndef SVCTOOL_ARGS_H
#define SVCTOOL_ARGS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/strlist.h"

enum arg_kind {
	ARG_FLAG,   /* value: bool * */
	ARG_TEXT,   /* value: const char **, borrowed from argv */
	ARG_NUMBER, /* value: unsigned * */
	ARG_LIST    /* value: struct strlist *, with commas too; released by the
		       caller */
};

/* A row of a command's table, which ends with a row whose name is NULL. */
struct arg_row {
	const char *name;
	enum arg_kind kind;
	void *value;
};

/*
 * Reads all of argv (which does not hold the program's name).  Words that are
 * no options are moved to the front of argv and counted in *words_out; "--"
 * ends the options; NULL: the command takes none.  0, or -1 with the reason for
 * an unknown option, a missing value or a bad number.
 */
int args_parse(const struct arg_row *rows, int argc, char **argv,
    int *words_out, struct error *err);

#endif
