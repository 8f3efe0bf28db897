/* SPDX-License-Identifier: ISC */
/* vipmap: the domain of who logs in at an address of ours. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "adminsrv/cli.h"
#include "adminsrv/database.h"
#include "adminsrv/lock.h"
#include "control/node_setting.h"
#include "adminsrv/notify.h"
#include "adminsrv/users.h"
#include "base/file.h"
#include "base/mem.h"
#include "control/global_vars.h"
#include "control/layout.h"

static const char usage[] = "usage: vipmap [-v] -i address domain\n"
			    "       vipmap -d address [domain]\n"
			    "       vipmap [-p]\n";

/* "192.0.2.1 a.test" is of that address. */
static bool
is_of_address(const char *line, const char *address)
{
	size_t length = strlen(address);

	return strncasecmp(line, address, length) == 0 &&
	    strchr(" \t", line[length]) != NULL && line[length] != '\0';
}

static const char *
domain_of_line(const char *line)
{
	line += strcspn(line, " \t");
	return line + strspn(line, " \t");
}

static enum admin_result
print_map(const struct home *home, struct error *err)
{
	struct strlist lines = { NULL, 0 };
	int result = node_setting_lines(
	    home->control, SETTING_vipmap, &lines, err);

	for (size_t i = 0; result == 0 && i < lines.count; i++)
		printf("%.*s %s\n", (int)strcspn(lines.items[i], " \t"),
		    lines.items[i], domain_of_line(lines.items[i]));
	strlist_release(&lines);
	return admin_result_of(result);
}

/* The file control/vipmap with one line more or less; domain NULL: less. */
static enum admin_result
edit_map(const struct home *home, const char *address, const char *domain,
    const char *only_domain, struct error *err)
{
	OWN_TEXT path = xasprintf("%s/vipmap", home->control);
	struct strlist lines = { NULL, 0 };
	AUTO(buf_release) struct buf text = BUF_INIT;
	bool was_there = false;
	int result = node_setting_lines(
	    home->control, SETTING_vipmap, &lines, err);

	buf_init(&text);
	for (size_t i = 0; i < lines.count; i++) {
		const char *line = lines.items[i];

		if (is_of_address(line, address) &&
		    (domain != NULL || only_domain == NULL ||
			strcasecmp(domain_of_line(line), only_domain) == 0))
			was_there = true;
		else
			buf_addf(&text, "%s\n", line);
	}
	strlist_release(&lines);
	if (result == -1)
		return ADMIN_FAILED;
	if (domain == NULL && !was_there)
		return admin_refuse(
		    err, "the address '%s' has no such domain", address);
	if (domain != NULL)
		buf_addf(&text, "%s %s\n", address, domain);
	return admin_result_of(file_replace(path, text.data, text.length,
	    layout_rows[LAYOUT_setting].mode, err));
}

/* The table that other software and other nodes look at. */
static enum admin_result
edit_table(const struct home *home, const char *address, const char *domain,
    struct error *err)
{
	int is_pgsql = database_is_store(home->control, err);
	AUTO(pg_free) struct pg *pg = NULL;
	enum admin_result result;

	if (is_pgsql != 1)
		return admin_result_of(is_pgsql);
	result = database_open(home->control, true, &pg, err);
	if (result != ADMIN_OK)
		return result;
	return database_result(domain == NULL
		? database_run(pg, NULL, err,
		      "DELETE FROM mq.ip_domains WHERE ip = $1", address, NULL)
		: database_run(pg, NULL, err,
		      "INSERT INTO mq.ip_domains (ip, domain) VALUES ($1, $2) "
		      "ON CONFLICT (ip) DO UPDATE SET domain = excluded.domain",
		      address, domain, NULL));
}

static enum admin_result
change_map(const struct home *home, const char *address, const char *domain,
    const char *only_domain, struct error *err)
{
	OWN_TEXT lock_path = layout_path(home, LAYOUT_users_lock);
	AUTO(file_close) int lock = lock_take(lock_path, err);
	enum admin_result result = lock == -1
	    ? ADMIN_FAILED
	    : edit_map(home, address, domain, only_domain, err);

	if (result == ADMIN_OK)
		result = edit_table(home, address, domain, err);
	if (result == ADMIN_OK)
		result = admin_result_of(notify_daemons(home->run, err));
	return result;
}

/* Its one spelling, as sockets' addresses are written. */
static bool
read_address(const char *text, char address_out[INET6_ADDRSTRLEN])
{
	unsigned char bytes[16];
	int family = strchr(text, ':') != NULL ? AF_INET6 : AF_INET;

	return inet_pton(family, text, bytes) == 1 &&
	    inet_ntop(family, bytes, address_out, INET6_ADDRSTRLEN) != NULL;
}

static enum admin_result
check_domain(const struct home *home, const char *domain, struct error *err)
{
	AUTO(store_domain_release)
	struct store_domain found = { .name = NULL };

	return users_find_domain(home->root, domain, &found, err);
}

int
main(int argc, char **argv)
{
	char address[INET6_ADDRSTRLEN], domain[NAMES_DOMAIN_SIZE] = "";
	AUTO(home_free) struct home *home = NULL;
	enum admin_result result = ADMIN_OK;
	struct error err;
	int option, action = 'p', count;

	cli_start("vipmap", argv, usage);
	while ((option = getopt(argc, argv, "dipv")) != -1) {
		if (option == '?')
			cli_usage(usage);
		if (option == 'v')
			cli_be_verbose();
		else
			action = option;
	}
	count = argc - optind;
	if (action == 'p'       ? count != 0
		: action == 'i' ? count != 2
				: count < 1 || count > 2)
		cli_usage(usage);
	home = global_vars_home();
	if (action == 'p')
		return cli_end(print_map(home, &err), &err);
	if (!read_address(argv[optind], address))
		return cli_end(admin_refuse(&err, "'%s' is not an IP address",
				   argv[optind]),
		    &err);
	if (count == 2 && names_domain(argv[optind + 1], domain, &err) == -1)
		return cli_end(ADMIN_REFUSED, &err);
	if (action == 'i')
		result = check_domain(home, domain, &err);
	if (result == ADMIN_OK)
		result = change_map(home, address,
		    action == 'i' ? domain : NULL, count == 2 ? domain : NULL,
		    &err);
	return cli_end_change(
	    home, "vipmap", result, &err, address, domain, NULL);
}
