/* SPDX-License-Identifier: ISC */
/* valias: shows and changes aliases. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "adminsrv/cli.h"
#include "adminsrv/limits.h"
#include "adminsrv/records.h"
#include "base/mem.h"

static const char usage[] = "usage: valias [-v] [-s] alias@domain | domain\n"
			    "       valias -S line domain\n"
			    "       valias -i line [-u old-line] alias@domain\n"
			    "       valias -d line alias@domain\n"
			    "       valias -D alias@domain\n";

struct request {
	const char *insert, *delete, *old, *track;
	bool removes_all;
};

static int
show_alias(struct users *users, const char *name, const char *domain,
    const char *track, struct error *err)
{
	struct strlist lines = { NULL, 0 };
	int found = records_find_alias(users, name, &lines, err);

	for (size_t i = 0; i < lines.count; i++)
		if (track == NULL || strcmp(lines.items[i], track) == 0 ||
		    (*lines.items[i] == '&' &&
			strcmp(lines.items[i] + 1, track) == 0))
			printf("%s@%s -> %s\n", name, domain, lines.items[i]);
	strlist_release(&lines);
	return found;
}

static enum admin_result
show_aliases(struct users *users, const char *domain, const char *track,
    struct error *err)
{
	struct strlist names = { NULL, 0 };
	int result = records_alias_names(users, &names, err);

	for (size_t i = 0; result != -1 && i < names.count; i++)
		result = show_alias(users, names.items[i], domain, track, err);
	strlist_release(&names);
	return admin_result_of(result);
}

/* Without one line of them; false: it is not there. */
static bool
drop_line(struct strlist *lines, const char *line)
{
	struct strlist kept = { NULL, 0 };
	bool is_found = false;

	for (size_t i = 0; i < lines->count; i++)
		if (!is_found && strcmp(lines->items[i], line) == 0)
			is_found = true;
		else
			strlist_add(&kept, lines->items[i]);
	strlist_release(lines);
	*lines = kept;
	return is_found;
}

static enum admin_result
edit_lines(const struct request *request, const char *name,
    struct strlist *lines, struct error *err)
{
	const char *gone = request->delete != NULL ? request->delete
						   : request->old;

	if (request->removes_all)
		strlist_release(lines);
	else if (gone != NULL && !drop_line(lines, gone))
		return admin_refuse(
		    err, "the alias '%s' has no line '%.200s'", name, gone);
	if (request->insert == NULL)
		return ADMIN_OK;
	for (size_t i = 0; i < lines->count; i++)
		if (strcmp(lines->items[i], request->insert) == 0)
			return admin_refuse(err,
			    "the alias '%s' has the line '%.200s' already",
			    name, request->insert);
	strlist_add(lines, request->insert);
	return ADMIN_OK;
}

static enum admin_result
change_alias(struct users *users, const struct request *request,
    const char *name, struct error *err)
{
	struct strlist lines = { NULL, 0 };
	int found = records_find_alias(users, name, &lines, err);
	enum admin_result result = admin_result_of(found);

	if (found == 0 && request->insert == NULL)
		result = admin_refuse(err, "no alias '%s'", name);
	if (result == ADMIN_OK)
		result = edit_lines(request, name, &lines, err);
	if (result == ADMIN_OK && request->insert != NULL)
		result = limits_check_alias(users, name, &lines, err);
	if (result == ADMIN_OK)
		result = records_put_alias(users, name, &lines, err);
	strlist_release(&lines);
	return result;
}

static enum admin_result
show(struct users *users, const struct request *request, const char *name,
    struct error *err)
{
	const char *domain = users_domain(users);
	int found;

	if (name == NULL)
		return show_aliases(users, domain, request->track, err);
	found = show_alias(users, name, domain, NULL, err);
	return found == 0 ? admin_refuse(err, "no alias '%s'", name)
			  : admin_result_of(found);
}

int
main(int argc, char **argv)
{
	struct request request = { .insert = NULL };
	struct names_address address = { .local = "" };
	AUTO(users_close) struct users *users = NULL;
	AUTO(home_free) struct home *home = NULL;
	enum admin_result result;
	struct error err;
	bool is_change, is_address;
	int option;

	cli_start("valias", argv, usage);
	while ((option = getopt(argc, argv, "d:Di:sS:u:v")) != -1) {
		if (option == 'd')
			request.delete = optarg;
		else if (option == 'D')
			request.removes_all = true;
		else if (option == 'i')
			request.insert = optarg;
		else if (option == 'u')
			request.old = optarg;
		else if (option == 'S')
			request.track = optarg;
		else if (option == 'v')
			cli_be_verbose();
		else if (option != 's')
			cli_usage(usage);
	}
	is_change = request.insert != NULL || request.delete != NULL ||
	    request.removes_all;
	if (argc - optind != 1 ||
	    (request.old != NULL && request.insert == NULL) ||
	    (request.insert != NULL) + (request.delete != NULL) +
		    request.removes_all + (request.track != NULL) >
		1)
		cli_usage(usage);
	is_address = strpbrk(argv[optind], "@%") != NULL &&
	    *argv[optind] != '@';
	if (is_change && !is_address)
		cli_usage(usage);
	result = is_address
	    ? cli_open_user(argv[optind], &address, &home, &users, &err)
	    : cli_open_domain(
		  argv[optind], address.domain, &home, &users, &err);
	if (result == ADMIN_OK)
		result = is_change
		    ? change_alias(users, &request, address.local, &err)
		    : show(users, &request, is_address ? address.local : NULL,
			  &err);
	users_close(&users);
	return is_change
	    ? cli_end_change(home, "valias", result, &err, argv[optind], NULL)
	    : cli_end(result, &err);
}
