/* SPDX-License-Identifier: ISC */
/* vcfilter: shows and changes a user's filters. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "adminsrv/cli.h"
#include "adminsrv/records.h"
#include "base/mem.h"
#include "delivery/filter.h"
#include "delivery/vdeliver.h"

enum { FILTERS_MAX = 255, NUMBER_MAX = 32767 };

static const char usage[] =
    "usage: vcfilter [-v] [-s] [-r] user@domain\n"
    "       vcfilter -i [-t name] [-h header] -c comparison [-k keyword]\n"
    "                -f folder -b bounce-action user@domain\n"
    "       vcfilter -u number [-t name] [-h header] [-c comparison]\n"
    "                [-k keyword] [-f folder] [-b bounce-action] user@domain\n"
    "       vcfilter -d number user@domain\n"
    "       vcfilter -l\n";

struct request {
	int action;
	int number;
	bool is_raw;
	const char *name, *header, *comparison, *keyword, *folder, *bounce;
};

/* All numbers that have a name. */
static void
print_names(const char *what, const char *(*name)(int number))
{
	printf("%s\n", what);
	for (int i = 0; name(i) != NULL; i++)
		printf("%4d - %s\n", i, name(i));
}

/* A number of the list, or a name of it; -1: neither. */
static int
find_number(const char *text, const char *(*name)(int number))
{
	char *end;
	long number = strtol(text, &end, 10);

	if (*text != '\0' && *end == '\0')
		return number >= 0 && number <= NUMBER_MAX &&
			name((int)number) != NULL
		    ? (int)number
		    : -1;
	for (int i = 0; name(i) != NULL; i++)
		if (strcasecmp(name(i), text) == 0)
			return i;
	return -1;
}

static void
print_raw(const struct store_filter *filter, const char *address)
{
	printf("%d %s %s %d %d %s %s %s\n", filter->number, address,
	    filter->name, filter->header, filter->comparison,
	    *filter->keyword == '\0' ? "N/A" : filter->keyword,
	    filter->destination, filter->bounce_action);
}

static const char *
name_or(const char *name, const char *standard)
{
	return name == NULL || *name == '\0' ? standard : name;
}

static bool
needs_keyword(int comparison)
{
	return comparison != FILTER_STRANGER && comparison != FILTER_NOT_TO_ME;
}

static void
print_filter(const struct store_filter *filter, const char *address)
{
	const char *header = needs_keyword(filter->comparison)
	    ? name_or(filter_header_name(filter->header), "invalid header")
	    : "N/A";

	printf("%3d %-29s %-20s %-15s %-26s %-15s %-15s %s%s\n", filter->number,
	    address, filter->name, header,
	    name_or(filter_comparison_name(filter->comparison), "invalid"),
	    name_or(filter->keyword, "N/A"),
	    strcmp(filter->destination, "/NoDeliver") == 0
		? "Void"
		: filter->destination,
	    strchr("13", *filter->bounce_action) != NULL ? "Yes" : "No",
	    *filter->bounce_action == '\0' ? "" : filter->bounce_action + 1);
}

static void
show_filters(const struct request *request, const struct store_filters *filters,
    const char *address)
{
	if (!request->is_raw && filters->count > 0)
		printf("%-3s %-29s %-20s %-15s %-26s %-15s %-15s %s\n", "No",
		    "EmailId", "FilterName", "Header", "Comparision", "Keyword",
		    "Folder", "Bounce Delivery");
	for (size_t i = 0; i < filters->count; i++)
		if (request->is_raw)
			print_raw(&filters->items[i], address);
		else
			print_filter(&filters->items[i], address);
}

/* "0", "1", "2&user@host", "3|program". */
static bool
is_bounce_action(const char *text)
{
	if (strchr("01", *text) != NULL && *text != '\0')
		return text[1] == '\0';
	return strchr("23", *text) != NULL && *text != '\0' &&
	    strchr("&|", text[1]) != NULL && text[1] != '\0' && text[2] != '\0';
}

/* As deliveries read it. */
static bool
is_destination(const char *folder)
{
	if (strcasecmp(folder, "/NoDeliver") == 0 ||
	    strncasecmp(folder, "/Vacation", 9) == 0)
		return true;
	if (strncasecmp(folder, "Maildir/", 8) == 0)
		folder += 8;
	folder += *folder == '.';
	return strcasecmp(folder, "Inbox") == 0 ||
	    strcasecmp(folder, "Maildir") == 0 || vdeliver_is_folder(folder);
}

/* Puts what is asked for into the filter, and sees that it makes sense. */
static enum admin_result
fill_filter(const struct request *request, struct store_filter *filter,
    struct error *err)
{
	if (request->name != NULL)
		filter->name = request->name;
	if (request->keyword != NULL)
		filter->keyword = request->keyword;
	if (request->folder != NULL)
		filter->destination = request->folder;
	if (request->bounce != NULL)
		filter->bounce_action = request->bounce;
	if (request->comparison != NULL)
		filter->comparison = find_number(
		    request->comparison, filter_comparison_name);
	if (request->header != NULL && strcmp(request->header, "-1") != 0)
		filter->header = find_number(
		    request->header, filter_header_name);
	if (filter->comparison == -1 || filter->header == -1)
		return admin_refuse(err,
		    "there is no %s '%s': vcfilter -l shows them",
		    filter->comparison == -1 ? "comparison" : "header",
		    filter->comparison == -1 ? request->comparison
					     : request->header);
	if (needs_keyword(filter->comparison) && *filter->keyword == '\0')
		return admin_refuse(
		    err, "this comparison needs a keyword (-k)");
	if (!is_bounce_action(filter->bounce_action))
		return admin_refuse(err,
		    "'%s' is not a bounce action: write 0, 1, 2&user@host, "
		    "2|program, or 3 like 2",
		    filter->bounce_action);
	if (!is_destination(filter->destination))
		return admin_refuse(err,
		    "'%s' is not a folder: write Inbox, the name of a folder "
		    "of the Maildir, or /NoDeliver",
		    filter->destination);
	return ADMIN_OK;
}

static struct store_filter *
find_filter(struct store_filters *filters, int number)
{
	for (size_t i = 0; i < filters->count; i++)
		if (filters->items[i].number == number)
			return &filters->items[i];
	return NULL;
}

/* The list as it shall be.  items has room for one more. */
static enum admin_result
edit_filters(const struct request *request, struct store_filters *filters,
    struct error *err)
{
	struct store_filter *filter = find_filter(filters, request->number);

	if (request->action == 'i') {
		if (filters->count == FILTERS_MAX)
			return admin_refuse(
			    err, "the most are %d filters", FILTERS_MAX);
		filter = &filters->items[filters->count];
		*filter = (struct store_filter){ .number = filters->count == 0
			    ? 1
			    : filters->items[filters->count - 1].number + 1,
			.name = "",
			.keyword = "" };
		filters->count++;
		if (request->comparison == NULL || request->folder == NULL ||
		    request->bounce == NULL)
			return admin_refuse(
			    err, "a filter needs -c, -f and -b");
		filter->destination = filter->bounce_action = "";
		return fill_filter(request, filter, err);
	}
	if (filter == NULL)
		return admin_refuse(err, "no filter %d", request->number);
	if (request->action == 'u')
		return fill_filter(request, filter, err);
	memmove(filter, filter + 1,
	    (size_t)(filters->items + filters->count - filter - 1) *
		sizeof(*filter));
	filters->count--;
	return ADMIN_OK;
}

static enum admin_result
act_on_user(const struct request *request, struct users *users,
    const char *name, const char *address, struct error *err)
{
	struct store_filters filters;
	const struct vpasswd_entry *entry;
	enum admin_result result = users_find(users, name, &entry, err);
	int found;

	if (result != ADMIN_OK)
		return result;
	found = records_find_filters(users, name, &filters, err);
	result = admin_result_of(found);
	if (result == ADMIN_OK && request->action == 's')
		show_filters(request, &filters, address);
	else if (result == ADMIN_OK) {
		filters.items = xrealloc(filters.items,
		    (filters.count + 1) * sizeof(*filters.items));
		result = edit_filters(request, &filters, err);
		if (result == ADMIN_OK)
			result = records_put_filters(
			    users, name, filters.items, filters.count, err);
	}
	store_filters_release(&filters);
	return result;
}

int
main(int argc, char **argv)
{
	struct request request = { .action = 's', .number = -1 };
	struct names_address address;
	AUTO(users_close) struct users *users = NULL;
	AUTO(home_free) struct home *home = NULL;
	enum admin_result result;
	struct error err;
	int option;

	cli_start("vcfilter", argv, usage);
	while ((option = getopt(argc, argv, "b:c:d:f:h:ik:lrst:u:v")) != -1) {
		if (option == 'b')
			request.bounce = optarg;
		else if (option == 'c')
			request.comparison = optarg;
		else if (option == 'f')
			request.folder = optarg;
		else if (option == 'h')
			request.header = optarg;
		else if (option == 'k')
			request.keyword = optarg;
		else if (option == 't')
			request.name = optarg;
		else if (option == 'r')
			request.is_raw = true;
		else if (option == 'v')
			cli_be_verbose();
		else if (option == '?')
			cli_usage(usage);
		else {
			request.action = option;
			if (option == 'd' || option == 'u')
				request.number = (int)cli_number(
				    (char)option, optarg, 0, NUMBER_MAX);
		}
	}
	if (argc - optind != (request.action != 'l'))
		cli_usage(usage);
	if (request.action == 'l') {
		print_names("Comparisons (-c):", filter_comparison_name);
		print_names("Headers (-h):", filter_header_name);
		return 0;
	}
	result = cli_open_user(argv[optind], &address, &home, &users, &err);
	if (result == ADMIN_OK)
		result = act_on_user(
		    &request, users, address.local, argv[optind], &err);
	users_close(&users);
	return request.action == 's' ? cli_end(result, &err)
				     : cli_end_change(home, "vcfilter", result,
					   &err, argv[optind], NULL);
}
