/* SPDX-License-Identifier: ISC */
/* hostcntrl: shows where users are, and sets where others' mail goes. */
#include <string.h>
#include <unistd.h>

#include "adminsrv/cli.h"
#include "adminsrv/view.h"
#include "base/mem.h"

static const char usage[] = "usage: hostcntrl -l\n"
			    "       hostcntrl -s user@domain | *@domain\n"
			    "       hostcntrl -i host | -m host *@domain\n"
			    "       hostcntrl -d host *@domain\n";

static const char list_sql[] =
    "SELECT pw_name, pw_domain, host, to_char(timestamp AT TIME ZONE 'UTC', "
    "'YYYY-MM-DD HH24:MI:SS') FROM public.hostcntrl "
    "WHERE pw_domain IN (SELECT name FROM mq.domains WHERE is_clustered) ";

/* $1 domain, $2 node, by name or host, or store.  A node's name counts first. */
static const char set_sql[] =
    "UPDATE mq.domains d SET default_place = p.name FROM ("
    "SELECT name FROM (SELECT 1 AS rank, name FROM mq.nodes WHERE name = $2 "
    "UNION ALL SELECT 2, name FROM mq.nodes WHERE host = $2 "
    "UNION ALL SELECT 3, name FROM mq.stores WHERE name = $2) AS r "
    "ORDER BY rank, name LIMIT 1) AS p WHERE d.name = $1 AND d.is_clustered";

static const char clear_sql[] =
    "UPDATE mq.domains SET default_place = '' WHERE name = $1 "
    "AND is_clustered AND default_place <> ''";

/* A user's place is where the mail is: changed together, or not at all. */
static enum admin_result
change_place(struct pg *pg, int option, const char *host, const char *address,
    struct error *err)
{
	OWN_TEXT what = xasprintf("clustered domain '%s' or node '%s'",
	    address + strcspn(address, "@"), host);
	char domain[NAMES_DOMAIN_SIZE];
	const char *params[] = { domain, host };

	if (strncmp(address, "*@", 2) != 0)
		return admin_refuse(err,
		    "'%s' is where his mail is: vadduser -H adds a user, "
		    "vmoveuser moves one, vdeluser removes one",
		    address);
	if (names_domain(address + 2, domain, err) == -1)
		return ADMIN_REFUSED;
	return option == 'd'
	    ? view_change(pg, clear_sql, params, 1, what, err)
	    : view_change(pg, set_sql, params, 2, what, err);
}

static enum admin_result
show_places(struct pg *pg, const char *address, struct error *err)
{
	static const char *const titles[] = { "User", "Domain", "Host",
		"Timestamp", NULL };
	OWN_TEXT all = xasprintf("%sORDER BY 2, 1", list_sql);
	OWN_TEXT one = xasprintf(
	    "%sAND pw_name = $1 AND pw_domain = $2", list_sql);
	OWN_TEXT local = NULL;
	char domain[NAMES_DOMAIN_SIZE];
	const char *at;

	if (address == NULL)
		return view_print(
		    pg, all, NULL, 0, titles, "user of a clustered domain", err);
	at = strrchr(address, '@');
	if (at == NULL)
		return admin_refuse(err, "'%s' is no address", address);
	local = xstrndup(address, (size_t)(at - address));
	if (names_domain(at + 1, domain, err) == -1)
		return ADMIN_REFUSED;
	return view_print(pg, one, (const char *const[]){ local, domain }, 2,
	    titles, "such user of a clustered domain", err);
}

int
main(int argc, char **argv)
{
	AUTO(home_free) struct home *home = NULL;
	AUTO(pg_free) struct pg *pg = NULL;
	const char *host = NULL;
	enum admin_result result;
	struct error err;
	int option, act = 0;

	cli_start("hostcntrl", argv, usage);
	while ((option = getopt(argc, argv, "d:i:lm:s")) != -1) {
		if (option == '?' || act != 0)
			cli_usage(usage);
		act = option;
		host = optarg;
	}
	if (act == 0 || argc - optind != (act == 'l' ? 0 : 1))
		cli_usage(usage);
	result = view_open(&home, &pg, &err);
	if (result != ADMIN_OK)
		return cli_end(result, &err);
	if (act == 'l' || act == 's')
		return cli_end(show_places(pg, argv[optind], &err), &err);
	result = change_place(pg, act, host, argv[optind], &err);
	return cli_end_change(
	    home, "hostcntrl", result, &err, argv[optind], NULL);
}
