/* SPDX-License-Identifier: ISC */
/* vpriv: what administrators may run. */
#include <stdio.h>
#include <string.h>

#include "adminsrv/cli.h"
#include "adminsrv/database.h"
#include "adminsrv/server/command.h"
#include "base/mem.h"
#include "control/global_vars.h"

static const char usage[] =
    "usage: vpriv -i user program arguments|*\n"
    "       vpriv -u user program arguments|*\n"
    "       vpriv -d user [program]\n"
    "       vpriv -s [user [program]]\n";

/* A program is stored by its name, however it is called. */
static enum admin_result
program_name(const char *program, const char **name_out, struct error *err)
{
	int number = command_find(program);

	if (number == COMMAND_NONE)
		return admin_refuse(err,
		    "'%s' is no command of adminsrv: they are listed in "
		    "adminsrv(8)",
		    program);
	*name_out = command_at(number)->name;
	return ADMIN_OK;
}

static enum admin_result
put_right(struct pg *pg, int what, const char *program, char *const *words,
    struct error *err)
{
	AUTO(pg_result_free) struct pg_result *result = NULL;
	enum pg_status status = database_run(pg, &result, err,
	    what == 'i'
		? "INSERT INTO mq.admin_rights (admin, program, pattern) "
		  "SELECT name, $2, $3 FROM mq.admins WHERE name = $1"
		: "UPDATE mq.admin_rights SET pattern = $3, changed = now() "
		  "WHERE admin = $1 AND program = $2",
	    words[0], program, words[2], NULL);

	if (status == PG_DUPLICATE)
		return admin_refuse(err,
		    "'%s' has a right for '%s' already: -u changes it",
		    words[0], program);
	if (status == PG_OK && pg_changed(result) == 0)
		return admin_refuse(err,
		    what == 'i'
			? "there is no administrator '%s': mgmtpass -a makes one"
			: "'%s' has no such right: -i adds it",
		    words[0]);
	return database_result(status);
}

/* program "": all. */
static enum admin_result
drop_rights(struct pg *pg, const char *program, char *const *words,
    struct error *err)
{
	AUTO(pg_result_free) struct pg_result *result = NULL;
	enum pg_status status = database_run(pg, &result, err,
	    "DELETE FROM mq.admin_rights WHERE admin = $1 AND "
	    "($2 = '' OR program = $2)",
	    words[0], program, NULL);

	return status == PG_OK && pg_changed(result) == 0
	    ? admin_refuse(err, "'%s' has no such right", words[0])
	    : database_result(status);
}

/* admin, program "": all. */
static enum admin_result
show_rights(struct pg *pg, const char *program, const char *admin,
    struct error *err)
{
	AUTO(pg_result_free) struct pg_result *rows = NULL;
	enum pg_status status = database_run(pg, &rows, err,
	    "SELECT admin, program, pattern FROM mq.admin_rights WHERE "
	    "($1 = '' OR admin = $1) AND ($2 = '' OR program = $2) "
	    "ORDER BY 1, 2",
	    admin, program, NULL);

	for (size_t i = 0; status == PG_OK && i < pg_rows(rows); i++)
		printf("%-20s %-20s %s\n", pg_text(rows, i, 0),
		    pg_text(rows, i, 1), pg_text(rows, i, 2));
	return database_result(status);
}

int
main(int argc, char **argv)
{
	AUTO(home_free) struct home *home = NULL;
	AUTO(pg_free) struct pg *pg = NULL;
	const char *program = "";
	enum admin_result result;
	struct error err;
	int option, what = 0, count;

	cli_start("vpriv", argv, usage);
	/* Behind the words an argument may look like an option. */
	while ((option = getopt(argc, argv, "+dius")) != -1) {
		if (option == '?' || what != 0)
			cli_usage(usage);
		what = option;
	}
	argv += optind;
	count = argc - optind;
	if (what == 0 || ((what == 'i' || what == 'u') && count != 3) ||
	    (what == 'd' && count != 1 && count != 2) || count > 3 ||
	    (what == 's' && count > 2))
		cli_usage(usage);
	home = global_vars_home();
	result = database_open(home->control, what != 's', &pg, &err);
	if (result == ADMIN_OK && count > 1)
		result = program_name(argv[1], &program, &err);
	if (result != ADMIN_OK)
		return cli_end(result, &err);
	if (what == 'd')
		result = drop_rights(pg, program, argv, &err);
	else if (what == 's')
		result = show_rights(
		    pg, program, count > 0 ? argv[0] : "", &err);
	else
		result = put_right(pg, what, program, argv, &err);
	return cli_end(result, &err);
}
