/* SPDX-License-Identifier: ISC */
/* clearopensmtp: removes addresses that may not relay any more. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "adminsrv/cli.h"
#include "adminsrv/database.h"
#include "base/mem.h"
#include "base/scan.h"
#include "control/global_vars.h"
#include "control/layout.h"
#include "lookupd/logins.h"

enum { CLEAR_MINUTES = 60, CLEAR_MINUTES_MAX = 527040 };

static const char usage[] = "usage: clearopensmtp [-sv]\n";

static enum admin_result
clear_table(const struct home *home, uint64_t minutes, uint64_t *count_out,
    struct error *err)
{
	AUTO(pg_free) struct pg *pg = NULL;
	AUTO(pg_result_free) struct pg_result *result = NULL;
	OWN_TEXT age = xasprintf("%" PRIu64 " minutes", minutes);
	enum admin_result opened = database_open(home->control, true, &pg, err);
	enum pg_status status;

	if (opened != ADMIN_OK)
		return opened;
	status = database_run(pg, &result, err,
	    "DELETE FROM mq.relay WHERE at < now() - $1::interval", age, NULL);
	*count_out = status == PG_OK ? pg_changed(result) : 0;
	return database_result(status);
}

static enum admin_result
clear_relays(const struct home *home, uint64_t minutes, uint64_t *count_out,
    struct error *err)
{
	OWN_TEXT logins = layout_path(home, LAYOUT_logins);
	int is_pgsql = database_is_store(home->control, err);

	if (is_pgsql == -1)
		return ADMIN_FAILED;
	return is_pgsql
	    ? clear_table(home, minutes, count_out, err)
	    : admin_result_of(logins_clear_relays(logins,
		  (int64_t)time(NULL) - (int64_t)minutes * 60, count_out, err));
}

int
main(int argc, char **argv)
{
	AUTO(home_free) struct home *home = NULL;
	enum admin_result result;
	const char *text;
	uint64_t minutes = CLEAR_MINUTES, count = 0;
	bool is_verbose = false;
	struct error err;
	int option;

	cli_start("clearopensmtp", argv, usage);
	while ((option = getopt(argc, argv, "sv")) != -1)
		if (option == 'v')
			is_verbose = true;
		else if (option != 's')
			cli_usage(usage);
	if (argc != optind)
		cli_usage(usage);
	home = global_vars_home(); /* which may have the variable */
	text = getenv("RELAY_CLEAR_MINUTES");
	if (text != NULL && !scan_u64(text, CLEAR_MINUTES_MAX, &minutes))
		return cli_end(
		    admin_refuse(&err,
			"RELAY_CLEAR_MINUTES '%s' is not a number of minutes",
			text),
		    &err);
	result = clear_relays(home, minutes, &count, &err);
	if (result == ADMIN_OK && is_verbose)
		printf("%" PRIu64 " removed\n", count);
	return cli_end(result, &err);
}
