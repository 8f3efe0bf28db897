/* SPDX-License-Identifier: ISC */
/* vuserinfo: shows a user, or all users of a domain. */
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "adminsrv/cli.h"
#include "adminsrv/last_login.h"
#include "adminsrv/names.h"
#include "adminsrv/user_info.h"
#include "adminsrv/users.h"
#include "base/mem.h"
#include "control/global_vars.h"
#include "control/json_text.h"

static const char usage[] =
    "usage: vuserinfo [-acdglnpqu] [--json] user@domain\n"
    "       vuserinfo [-acdglnpqu] [--json] -D domain\n";

static const struct option long_options[] = {
	{ "json", no_argument, NULL, 'j' },
	{ NULL, 0, NULL, 0 },
};

/* One run: what to show, and what is gathered. */
struct output {
	const struct home *home;
	unsigned fields;
	json_t *json; /* an array; NULL: people read it */
	bool is_list;
};

/* The fields of an option, or 0. */
static unsigned
fields_of_option(int option)
{
	static const char options[] = "npugcdql"; /* of USER_INFO_NAME, ... */
	const char *at = strchr(options, option);

	return option == 'a' ? USER_INFO_ALL
	    : at == NULL     ? 0
			     : USER_INFO_NAME << (at - options);
}

static void
print_login(const char *service, const char *ip, int64_t at_s, void *context)
{
	unsigned *count = context;
	time_t at = (time_t)at_s;
	struct tm parts;
	char text[32] = "";

	if (localtime_r(&at, &parts) != NULL)
		strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S %z", &parts);
	printf("last %-9s: %s from %s\n", service, text, ip);
	++*count;
}

static int
print_logins(const struct output *output, struct users *users, const char *name,
    struct error *err)
{
	unsigned count = 0;

	if (last_login_each(
		output->home, users, name, print_login, &count, err) == -1) {
		printf("last login    : not known: %s\n", err->text);
		/* A domain's owner may not be let to read it: less is known. */
		return output->fields == USER_INFO_LOGINS ? -1 : 0;
	}
	if (count == 0)
		puts("last login    : never");
	return 0;
}

static void
add_login(const char *service, const char *ip, int64_t at_s, void *context)
{
	json_array_append_new(context,
	    json_pack("{s:o, s:o, s:I}", "service", json_text(service), "ip",
		json_text(ip), "at", (json_int_t)at_s));
}

/* Of a clustered domain: store and node. */
static int
print_place(struct users *users, const char *name, struct error *err)
{
	AUTO(place_release) struct place place = { .name = NULL };
	int found = users_find_place(users, name, &place, err);

	if (found == 1)
		printf("store         : %s\nnode          : %s%s\n", place.name,
		    *place.node == '\0' ? "-" : place.node,
		    place.is_alive ? "" : " (away)");
	return found == -1 ? -1 : 0;
}

static int
add_place(struct users *users, const char *name, json_t *json, struct error *err)
{
	AUTO(place_release) struct place place = { .name = NULL };
	int found = users_find_place(users, name, &place, err);

	if (found == 1) {
		json_object_set_new(json, "store", json_text(place.name));
		json_object_set_new(json, "node", json_text(place.node));
		json_object_set_new(
		    json, "is_here", json_boolean(place.is_here));
	}
	return found == -1 ? -1 : 0;
}

static int
show_user(struct output *output, struct users *users,
    const struct vpasswd_entry *entry, const char *domain, struct error *err)
{
	json_t *json, *logins;

	if (output->json == NULL) {
		int result = user_info_print(
		    entry, domain, output->fields, err);

		if (result == 0 && (output->fields & USER_INFO_DIR) != 0)
			result = print_place(users, entry->name, err);
		if (result == 0 && (output->fields & USER_INFO_LOGINS) != 0)
			result = print_logins(output, users, entry->name, err);

		/* Users are blocks, unless each is a line. */
		if (output->is_list && output->fields != USER_INFO_NAME)
			putchar('\n');
		return result;
	}
	json = user_info_json(entry, domain, err);
	if (json == NULL)
		return -1;
	json_array_append_new(output->json, json);
	if (add_place(users, entry->name, json, err) == -1)
		return -1;
	logins = json_array();
	json_object_set_new(json, "logins", logins);
	if (last_login_each(output->home, users, entry->name, add_login, logins,
		err) == -1)
		json_object_set_new(json, "logins", json_null());
	return 0;
}

static enum admin_result
show_users(struct output *output, struct users *users, const char *domain,
    const char *name, struct error *err)
{
	const struct vpasswd_entry *entry;
	enum admin_result result;
	int found;

	if (name != NULL) {
		result = users_find(users, name, &entry, err);
		return result != ADMIN_OK
		    ? result
		    : admin_result_of(
			  show_user(output, users, entry, domain, err));
	}
	while ((found = users_next(users, &entry, err)) == 1)
		if (show_user(output, users, entry, domain, err) == -1)
			return ADMIN_FAILED;
	return admin_result_of(found);
}

static enum admin_result
show_domain(struct output *output, const struct home *home,
    const struct store_domain *domain, const char *name, struct error *err)
{
	const struct users_at at = users_at(home, domain);
	AUTO(users_close) struct users *users = NULL;
	enum admin_result result = users_open_to_read(&at, &users, err);

	return result != ADMIN_OK
	    ? result
	    : show_users(output, users, domain->name, name, err);
}

/* One user is one object, a domain an array of them. */
static void
print_users_json(const struct output *output)
{
	const json_t *json = output->is_list ? output->json
					     : json_array_get(output->json, 0);

	json_dumpf(json, stdout, JSON_INDENT(2));
	putchar('\n');
}

int
main(int argc, char **argv)
{
	struct output output = { .fields = 0 };
	const char *domain_argument = NULL;
	struct names_address address;
	AUTO(store_domain_release)
	struct store_domain domain = { .name = NULL };
	enum admin_result result;
	AUTO(home_free) struct home *home = NULL;
	struct error err;
	int option;

	cli_start("vuserinfo", argv, usage);
	while ((option = getopt_long(
		    argc, argv, "acdD:glnpqu", long_options, NULL)) != -1) {
		if (option == 'j' && output.json == NULL)
			output.json = json_array();
		else if (option == 'D')
			domain_argument = optarg;
		else if (option != 'j' && fields_of_option(option) == 0)
			cli_usage(usage);
		output.fields |= fields_of_option(option);
	}
	output.is_list = domain_argument != NULL;
	if (argc - optind != (output.is_list ? 0 : 1) ||
	    (output.json != NULL && output.fields != 0))
		cli_usage(usage);
	if (output.fields == 0)
		output.fields = USER_INFO_ALL;
	if ((output.is_list
		    ? names_domain(domain_argument, address.domain, &err)
		    : names_address(argv[optind], &address, &err)) == -1)
		return cli_end(ADMIN_REFUSED, &err);
	home = global_vars_home();
	output.home = home;
	result = users_find_domain(home->root, address.domain, &domain, &err);
	if (result == ADMIN_OK)
		result = show_domain(&output, home, &domain,
		    output.is_list ? NULL : address.local, &err);
	if (result == ADMIN_OK && output.json != NULL)
		print_users_json(&output);
	json_decref(output.json);
	return cli_end(result, &err);
}
