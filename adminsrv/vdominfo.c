/* SPDX-License-Identifier: ISC */
/* vdominfo: shows virtual domains. */
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "adminsrv/cli.h"
#include "adminsrv/domain_cluster.h"
#include "adminsrv/domain_list.h"
#include "adminsrv/homes.h"
#include "adminsrv/node_lines.h"
#include "adminsrv/records.h"
#include "base/mem.h"
#include "control/global_vars.h"

static const char usage[] = "usage: vdominfo [-abdglntu] [--json] [domain]\n";

static const struct option long_options[] = {
	{ "json", no_argument, NULL, 'j' },
	{ NULL, 0, NULL, 0 },
};

/* In the order of the options "nugdbtl". */
enum {
	SHOW_NAME = 0x01,
	SHOW_UID = 0x02,
	SHOW_GID = 0x04,
	SHOW_DIR = 0x08,
	SHOW_BASE = 0x10,
	SHOW_USERS = 0x20,
	SHOW_ALIASES = 0x40,
	SHOW_ALL = 0x7f
};

struct output {
	const struct home *home;
	const char *asked; /* the name of the command line, or NULL */
	unsigned fields;
	json_t *json; /* an array; NULL: people read it */
};

/* All that is shown of a domain. */
struct domain_info {
	const struct users_at *at;
	struct buf base;
	uint64_t users; /* with the postmaster */
	bool has_limits, is_clustered;
	struct strlist stores; /* of a clustered one: "NAME NODE USERS" */
	struct strlist aliases;
};

static enum admin_result
read_counts(struct domain_info *info, struct error *err)
{
	AUTO(users_close) struct users *users = NULL;
	enum admin_result result = users_open_to_read(info->at, &users, err);
	struct store_limits limits;
	int found;

	if (result != ADMIN_OK)
		return result;
	if (users_count(users, &info->users, err) == -1)
		return ADMIN_FAILED;
	info->users++;
	info->is_clustered = users_is_clustered(users);
	if (info->is_clustered && users_list_stores(users, &info->stores, err) == -1)
		return ADMIN_FAILED;
	found = records_find_limits(users, NULL, &limits, err);
	info->has_limits = found == 1;
	return admin_result_of(found);
}

static void
print_domain(const struct output *output, const struct domain_info *info)
{
	const struct users_at *at = info->at;
	bool is_alias = output->asked != NULL &&
	    strcmp(output->asked, at->domain) != 0;
	unsigned fields = output->fields;

	printf("---- Domain %-25s -------------------------------\n",
	    is_alias ? output->asked : at->domain);
	if ((fields & SHOW_NAME) != 0 && is_alias)
		printf("    domain: %s aliased to %s\n", output->asked,
		    at->domain);
	else if ((fields & SHOW_NAME) != 0)
		printf("    domain: %s\n", at->domain);
	if ((fields & SHOW_UID) != 0)
		printf("       uid: %lu\n", (unsigned long)at->uid);
	if ((fields & SHOW_GID) != 0)
		printf("       gid: %lu\n", (unsigned long)at->gid);
	if ((fields & SHOW_DIR) != 0)
		printf("Domain Dir: %s\n", at->dir);
	if (is_alias)
		return;
	if ((fields & SHOW_BASE) != 0)
		printf("  Base Dir: %s\n",
		    info->base.length > 0 ? info->base.data : at->dir);
	if ((fields & SHOW_USERS) != 0)
		printf("     Users: %" PRIu64 "\n   vlimits: %s\n", info->users,
		    info->has_limits ? "enabled" : "disabled");
	if ((fields & SHOW_USERS) != 0 && info->is_clustered) {
		puts("   Cluster: yes\n    Stores: (store node users)");
		for (size_t i = 0; i < info->stores.count; i++)
			printf("            %s\n", info->stores.items[i]);
	}
	if ((fields & SHOW_ALIASES) != 0 && info->aliases.count > 0) {
		puts("AliasDomains:");
		for (size_t i = 0; i < info->aliases.count; i++)
			puts(info->aliases.items[i]);
	}
}

static void
add_json(const struct output *output, const struct domain_info *info)
{
	json_t *aliases = json_array(), *stores = json_array();

	for (size_t i = 0; i < info->stores.count; i++) {
		char store[65], node[65];
		long long users;

		if (sscanf(info->stores.items[i], "%64s %64s %lld", store, node,
			&users) == 3)
			json_array_append_new(stores,
			    json_pack("{s:s, s:s, s:I}", "store", store, "node",
				node, "users", (json_int_t)users));
	}
	for (size_t i = 0; i < info->aliases.count; i++)
		json_array_append_new(
		    aliases, json_string(info->aliases.items[i]));
	json_array_append_new(output->json,
	    json_pack("{s:s, s:I, s:I, s:s, s:s, s:I, s:b, s:o, s:b, s:o}", "domain",
		info->at->domain, "uid", (json_int_t)info->at->uid, "gid",
		(json_int_t)info->at->gid, "dir", info->at->dir, "base_dir",
		info->base.length > 0 ? info->base.data : info->at->dir,
		"users", (json_int_t)info->users, "has_limits",
		info->has_limits, "aliases", aliases, "is_clustered",
		info->is_clustered, "stores", stores));
}

static enum admin_result
show_domain(const struct users_at *at, void *context, struct error *err)
{
	struct output *output = context;
	struct domain_info info = { .at = at };
	enum admin_result result;

	buf_init(&info.base);
	result = admin_result_of(
	    homes_base(at->control_dir, at->dir, NULL, &info.base, err));
	if (result == ADMIN_OK)
		result = read_counts(&info, err);
	if (result == ADMIN_OK)
		result = admin_result_of(node_lines_aliases(
		    output->home, at->domain, &info.aliases, err));
	if (result == ADMIN_OK && info.is_clustered)
		result = admin_result_of(domain_cluster_aliases(
		    output->home, at->domain, &info.aliases, err));
	if (result == ADMIN_OK && output->json != NULL)
		add_json(output, &info);
	else if (result == ADMIN_OK)
		print_domain(output, &info);
	strlist_release(&info.stores);
	strlist_release(&info.aliases);
	buf_release(&info.base);
	return result;
}

int
main(int argc, char **argv)
{
	static const char letters[] = "nugdbtl";
	struct output output = { .asked = NULL };
	char domain[NAMES_DOMAIN_SIZE];
	AUTO(home_free) struct home *home = NULL;
	enum admin_result result;
	struct error err;
	int option;

	cli_start("vdominfo", argv, usage);
	while ((option = getopt_long(
		    argc, argv, "abdglntu", long_options, NULL)) != -1) {
		const char *at = strchr(letters, option);

		if (option == '?')
			cli_usage(usage);
		else if (option == 'j')
			output.json = json_array();
		else
			output.fields |= option == 'a'
			    ? SHOW_ALL
			    : (unsigned)SHOW_NAME << (at - letters);
	}
	if (argc - optind > 1)
		cli_usage(usage);
	if (output.fields == 0)
		output.fields = SHOW_ALL;
	if (argc > optind) {
		if (names_domain(argv[optind], domain, &err) == -1) {
			json_decref(output.json);
			return cli_end(ADMIN_REFUSED, &err);
		}
		output.asked = domain;
	}
	output.home = home = global_vars_home();
	result = output.asked == NULL
	    ? domain_list_each(home, show_domain, &output, &err)
	    : domain_list_one(home, domain, show_domain, &output, &err);
	if (result == ADMIN_OK && output.json != NULL) {
		json_dumpf(output.json, stdout, JSON_INDENT(2));
		putchar('\n');
	}
	json_decref(output.json);
	return cli_end(result, &err);
}
