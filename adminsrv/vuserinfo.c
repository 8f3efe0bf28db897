/* SPDX-License-Identifier: ISC */
/* vuserinfo: shows a user, or all users of a domain. */
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "adminsrv/cli.h"
#include "adminsrv/names.h"
#include "adminsrv/owner.h"
#include "adminsrv/user_info.h"
#include "adminsrv/users.h"
#include "control/global_vars.h"
#include "control/home.h"

static const char usage[] =
    "usage: vuserinfo [-acdgnpqu] [--json] user@domain\n"
    "       vuserinfo [-acdgnpqu] [--json] -D domain\n";

static const struct option long_options[] = {
	{ "json", no_argument, NULL, 'j' },
	{ NULL, 0, NULL, 0 },
};

/* One run: what to show, and what is gathered. */
struct output {
	unsigned fields;
	json_t *json; /* an array; NULL: people read it */
	bool is_list;
};

static unsigned
field_of(int option)
{
	switch (option) {
	case 'a':
		return USER_INFO_ALL;
	case 'c':
		return USER_INFO_GECOS;
	case 'd':
		return USER_INFO_DIR;
	case 'g':
		return USER_INFO_GID;
	case 'n':
		return USER_INFO_NAME;
	case 'p':
		return USER_INFO_HASH;
	case 'q':
		return USER_INFO_QUOTA;
	case 'u':
		return USER_INFO_UID;
	}
	return 0;
}

static int
show(struct output *output, const struct vpasswd_entry *entry,
    const char *domain, struct error *err)
{
	json_t *json;

	if (output->json == NULL) {
		int result = user_info_print(
		    entry, domain, output->fields, err);

		/* Users are blocks, unless each is a line. */
		if (output->is_list && output->fields != USER_INFO_NAME)
			putchar('\n');
		return result;
	}
	json = user_info_json(entry, domain, err);
	if (json == NULL)
		return -1;
	json_array_append_new(output->json, json);
	return 0;
}

static enum admin_result
show_users(struct output *output, const struct store_domain *domain,
    const char *name, struct error *err)
{
	enum admin_result result = owner_enter(domain->uid, domain->gid, err);
	const struct vpasswd_entry *entry;
	struct vpasswd_file *file;
	size_t at = 0;
	int found;

	if (result != ADMIN_OK)
		return result;
	/* Without the lock: the file is replaced in one step. */
	found = vpasswd_file_load(domain->dir, &file, err);
	if (found == 0)
		error_set(err, "'%s/vpasswd' is missing: is its disk mounted?",
		    domain->dir);
	result = found == 1 ? ADMIN_OK : ADMIN_FAILED;
	if (result == ADMIN_OK && name != NULL &&
	    vpasswd_file_find(file, name) == NULL) {
		error_set(err, "no user '%s' in '%s'", name, domain->dir);
		result = ADMIN_REFUSED;
	} else if (result == ADMIN_OK && name != NULL) {
		if (show(output, vpasswd_file_find(file, name), domain->name,
			err) == -1)
			result = ADMIN_FAILED;
	}
	while (result == ADMIN_OK && name == NULL &&
	    (entry = vpasswd_file_next(file, &at)) != NULL) {
		if (show(output, entry, domain->name, err) == -1)
			result = ADMIN_FAILED;
	}
	vpasswd_file_free(&file);
	owner_leave();
	return result;
}

/* One user is one object, a domain an array of them. */
static void
print_json(const struct output *output)
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
	struct store_domain domain;
	enum admin_result result;
	struct home *home;
	struct error err;
	int option;

	cli_start("vuserinfo", argv, usage);
	while ((option = getopt_long(
		    argc, argv, "acdD:gnpqu", long_options, NULL)) != -1) {
		if (option == 'j' && output.json == NULL)
			output.json = json_array();
		else if (option == 'D')
			domain_argument = optarg;
		else if (option != 'j' && field_of(option) == 0)
			cli_usage(usage);
		output.fields |= field_of(option);
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
	result = users_find_domain(home->root, address.domain, &domain, &err);
	if (result == ADMIN_OK) {
		result = show_users(&output, &domain,
		    output.is_list ? NULL : address.local, &err);
		store_domain_release(&domain);
	}
	if (result == ADMIN_OK && output.json != NULL)
		print_json(&output);
	json_decref(output.json);
	home_free(&home);
	return cli_end(result, &err);
}
