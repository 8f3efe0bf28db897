/* SPDX-License-Identifier: ISC */
/* vhostid: shows the nodes' hosts, and keeps legacy servers. */
#include <unistd.h>

#include "adminsrv/cli.h"
#include "adminsrv/view.h"
#include "base/mem.h"

static const char usage[] = "usage: vhostid -s [host]\n"
			    "       vhostid -i ip | -u ip host\n"
			    "       vhostid -d host\n";

static const char *const titles[] = { "Host", "IP address", "Role", NULL };

int
main(int argc, char **argv)
{
	AUTO(home_free) struct home *home = NULL;
	AUTO(pg_free) struct pg *pg = NULL;
	enum admin_result result;
	struct error err;
	const char *ip = NULL;
	int option, act = 0;

	cli_start("vhostid", argv, usage);
	while ((option = getopt(argc, argv, "di:su:")) != -1) {
		if (option == '?' || act != 0)
			cli_usage(usage);
		act = option;
		ip = optarg;
	}
	if (act == 0 || argc - optind > 1 || (act != 's' && argc == optind))
		cli_usage(usage);
	result = view_open(&home, &pg, &err);
	if (result == ADMIN_OK && act == 's')
		return cli_end(
		    view_print(pg,
			"SELECT name, host, role FROM mq.nodes "
			"WHERE $1 = '' OR name = $1 ORDER BY 1",
			(const char *const[]){
			    argc == optind ? "" : argv[optind] },
			1, titles, "such node", &err),
		    &err);
	/* A node of ours comes by 'svctool cluster join'. */
	if (result == ADMIN_OK && act == 'i')
		result = view_change(pg,
		    "INSERT INTO mq.nodes (name, host, role, smtp_port, "
		    "imap_port, pop3_port) VALUES ($1, $2, 'legacy', 25, 143, "
		    "110)",
		    (const char *const[]){ argv[optind], ip }, 2, "such node",
		    &err);
	else if (result == ADMIN_OK && act == 'u')
		result = view_change(pg,
		    "UPDATE mq.nodes SET host = $2 WHERE name = $1",
		    (const char *const[]){ argv[optind], ip }, 2, "such node",
		    &err);
	else if (result == ADMIN_OK)
		result = view_change(pg,
		    "DELETE FROM mq.nodes n WHERE name = $1 "
		    "AND role = 'legacy' AND NOT EXISTS (SELECT "
		    "FROM mq.domains WHERE default_place = n.name)",
		    (const char *const[]){ argv[optind] }, 1,
		    "such legacy server that no domain's mail goes to", &err);
	return cli_end_change(
	    home, "vhostid", result, &err, argv[optind], NULL);
}
