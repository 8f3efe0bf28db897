/* SPDX-License-Identifier: ISC */
/* vsmtp: shows and sets the ports at which nodes take each other's mail. */
#include <unistd.h>

#include "adminsrv/cli.h"
#include "adminsrv/view.h"
#include "base/mem.h"

static const char usage[] = "usage: vsmtp -s [domain]\n"
			    "       vsmtp -u port host\n";

int
main(int argc, char **argv)
{
	static const char *const titles[] = { "Host", "Source", "Domain",
		"Port", NULL };
	AUTO(home_free) struct home *home = NULL;
	AUTO(pg_free) struct pg *pg = NULL;
	char domain[NAMES_DOMAIN_SIZE] = "";
	enum admin_result result;
	struct error err;
	const char *port = NULL;
	int option, act = 0;

	cli_start("vsmtp", argv, usage);
	while ((option = getopt(argc, argv, "su:")) != -1) {
		if (option == '?' || act != 0)
			cli_usage(usage);
		act = option;
		port = optarg;
	}
	if (act == 0 || argc - optind > 1 || (act == 'u' && argc == optind))
		cli_usage(usage);
	if (act == 's' && argc > optind &&
	    names_domain(argv[optind], domain, &err) == -1)
		return cli_end(ADMIN_REFUSED, &err);
	if (act == 'u')
		cli_number('u', port, 1, 65535);
	result = view_open(&home, &pg, &err);
	if (result == ADMIN_OK && act == 's')
		return cli_end(
		    view_print(pg,
			"SELECT host, src_host, domain, port "
			"FROM public.smtp_port WHERE $1 = '' OR domain = $1 "
			"ORDER BY 3, 1",
			(const char *const[]){ domain }, 1, titles,
			"such clustered domain", &err),
		    &err);
	if (result == ADMIN_OK)
		result = view_change(pg,
		    "UPDATE mq.nodes SET smtp_port = $2::int WHERE name = $1",
		    (const char *const[]){ argv[optind], port }, 2,
		    "such node", &err);
	return cli_end_change(home, "vsmtp", result, &err, argv[optind], NULL);
}
