/* SPDX-License-Identifier: ISC */
/* What IndiMail's cluster commands share. */
#include "adminsrv/view.h"

#include <stdio.h>
#include <string.h>

#include "adminsrv/database.h"
#include "base/mem.h"
#include "control/global_vars.h"

enum { COLUMNS_MAX = 8 };

enum admin_result
view_open(struct home **home_out, struct pg **pg_out, struct error *err)
{
	*home_out = global_vars_home();
	return database_open((*home_out)->control, true, pg_out, err);
}

static const char *
text_at(const struct pg_result *rows, size_t row, size_t column)
{
	const char *text = pg_text(rows, row, column);

	return text == NULL || *text == '\0' ? "-" : text;
}

enum admin_result
view_print(struct pg *pg, const char *sql, const char *const *params,
    size_t count, const char *const *titles, const char *what,
    struct error *err)
{
	const struct pg_statement statement = { NULL, sql };
	AUTO(pg_result_free) struct pg_result *rows = NULL;
	size_t widths[COLUMNS_MAX], columns = 0;
	enum pg_status status = pg_run(
	    pg, &statement, params, count, DATABASE_MS, &rows, err);

	if (status != PG_OK)
		return database_result(status);
	if (pg_rows(rows) == 0)
		return admin_refuse(err, "there is no %s", what);
	for (; titles[columns] != NULL; columns++) {
		widths[columns] = strlen(titles[columns]);
		for (size_t i = 0; i < pg_rows(rows); i++)
			if (strlen(text_at(rows, i, columns)) > widths[columns])
				widths[columns] = strlen(
				    text_at(rows, i, columns));
	}
	for (size_t i = 0; i <= pg_rows(rows); i++)
		for (size_t c = 0; c < columns; c++)
			printf("%-*s%s", c + 1 < columns ? (int)widths[c] : 0,
			    i == 0 ? titles[c] : text_at(rows, i - 1, c),
			    c + 1 < columns ? "  " : "\n");
	return ADMIN_OK;
}

enum admin_result
view_change(struct pg *pg, const char *sql, const char *const *params,
    size_t count, const char *what, struct error *err)
{
	const struct pg_statement statement = { NULL, sql };
	AUTO(pg_result_free) struct pg_result *result = NULL;
	enum pg_status status = pg_run(
	    pg, &statement, params, count, DATABASE_MS, &result, err);

	if (status == PG_DUPLICATE)
		error_set(err, "there is a %s already", what);
	if (status != PG_OK)
		return database_result(status);
	return pg_changed(result) > 0
	    ? ADMIN_OK
	    : admin_refuse(err, "there is no %s, or it cannot be changed", what);
}
