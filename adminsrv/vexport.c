/* SPDX-License-Identifier: ISC */
/* vexport: the addresses and users of domains, as texts or validrcptto.cdb. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "adminsrv/cli.h"
#include "adminsrv/domain_list.h"
#include "adminsrv/node_lines.h"
#include "adminsrv/records.h"
#include "base/file.h"
#include "base/mem.h"
#include "control/cdbmap.h"
#include "control/global_vars.h"

static const char usage[] =
    "usage: vexport [--addresses | --vpasswd | --aliases] [domain]...\n"
    "       vexport --validrcptto file.cdb [domain]...\n";

static const struct option long_options[] = {
	{ "addresses", no_argument, NULL, 'a' },
	{ "aliases", no_argument, NULL, 'l' },
	{ "vpasswd", no_argument, NULL, 'p' },
	{ "validrcptto", required_argument, NULL, 'v' },
	{ NULL, 0, NULL, 0 },
};

enum { RULE_BYTES_MAX = 1024 * 1024 };

struct output {
	const struct home *home;
	int what; /* the option's letter */
	struct cdbmap_writer *cdb;
};

/* One address, as text or as a key. */
static int
put_address(struct output *output, const char *local, const char *domain,
    struct error *err)
{
	OWN_TEXT address = xasprintf("%s@%s", local, domain);

	if (output->cdb != NULL)
		return cdbmap_writer_add(
		    output->cdb, address, strlen(address), "", 0, err);
	puts(address);
	return 0;
}

/* The name in the domain and its aliases. */
static int
put_names(struct output *output, const char *local,
    const struct strlist *domains, struct error *err)
{
	for (size_t i = 0; i < domains->count; i++)
		if (put_address(output, local, domains->items[i], err) == -1)
			return -1;
	return 0;
}

/* Is mail for nobody refused?  Else every name of the domain takes mail. */
static int
has_catch_all(const char *dir, struct error *err)
{
	OWN_TEXT path = xasprintf("%s/.qmail-default", dir);
	AUTO(buf_release) struct buf text = BUF_INIT;
	int found = file_read(path, RULE_BYTES_MAX, &text, err);

	return found != 1 ? found
			  : strstr(text.data, "bounce-no-mailbox") == NULL &&
		strstr(text.data, "delete") == NULL;
}

static int
put_user(struct output *output, const struct vpasswd_entry *entry,
    const struct strlist *domains, struct error *err)
{
	AUTO(buf_release) struct buf line = BUF_INIT;

	if (output->what != 'p')
		return put_names(output, entry->name, domains, err);
	if (vpasswd_format(entry, &line, err) == -1)
		return -1;
	fputs(line.data, stdout);
	return 0;
}

static int
put_alias(struct output *output, struct users *users, const char *name,
    const struct strlist *domains, struct error *err)
{
	struct strlist lines = { NULL, 0 };
	int result;

	if (output->what != 'l')
		return put_names(output, name, domains, err);
	result = records_find_alias(users, name, &lines, err);
	for (size_t i = 0; i < lines.count; i++)
		printf("%s@%s %s\n", name, users_domain(users), lines.items[i]);
	strlist_release(&lines);
	return result == -1 ? -1 : 0;
}

static int
put_all(struct output *output, struct users *users,
    const struct strlist *domains, struct error *err)
{
	struct strlist aliases = { NULL, 0 };
	const struct vpasswd_entry *entry;
	int found = 1,
	    catches = output->what == 'v' ? has_catch_all(users_dir(users), err)
					  : 0;

	if (catches == -1)
		return -1;
	if (catches == 1 && put_names(output, "", domains, err) == -1)
		return -1;
	while (output->what != 'l' &&
	    (found = users_next(users, &entry, err)) == 1)
		if (put_user(output, entry, domains, err) == -1)
			return -1;
	if (found == -1 || output->what == 'p')
		return found == -1 ? -1 : 0;
	if (records_alias_names(users, &aliases, err) == -1)
		return -1;
	for (size_t i = 0; found != -1 && i < aliases.count; i++)
		if (put_alias(output, users, aliases.items[i], domains, err) ==
		    -1)
			found = -1;
	strlist_release(&aliases);
	return found == -1 ? -1 : 0;
}

static enum admin_result
export_domain(const struct users_at *at, void *context, struct error *err)
{
	struct output *output = context;
	AUTO(users_close) struct users *users = NULL;
	struct strlist domains = { NULL, 0 };
	enum admin_result result;

	/* Only passwords are the owner's alone; the cdb is ours to write. */
	strlist_add(&domains, at->domain);
	result = admin_result_of(
	    node_lines_aliases(output->home, at->domain, &domains, err));
	if (result == ADMIN_OK)
		result = users_open_to_read(at, &users, err);
	if (result == ADMIN_OK)
		result = admin_result_of(put_all(output, users, &domains, err));
	strlist_release(&domains);
	return result;
}

static enum admin_result
export_domains(struct output *output, char *const domains[], struct error *err)
{
	enum admin_result result = ADMIN_OK;

	if (*domains == NULL)
		return domain_list_each(
		    output->home, export_domain, output, err);
	for (; result == ADMIN_OK && *domains != NULL; domains++)
		result = domain_list_one(
		    output->home, *domains, export_domain, output, err);
	return result;
}

int
main(int argc, char **argv)
{
	AUTO(home_free) struct home *home = NULL;
	struct output output = { .what = 'a' };
	const char *cdb_path = NULL;
	enum admin_result result;
	struct error err;
	int option;

	cli_start("vexport", argv, usage);
	while (
	    (option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		if (option == '?')
			cli_usage(usage);
		output.what = option;
		if (option == 'v')
			cdb_path = optarg;
	}
	output.home = home = global_vars_home();
	if (cdb_path != NULL) {
		output.cdb = cdbmap_writer_new(cdb_path, &err);
		if (output.cdb == NULL)
			return cli_end(ADMIN_FAILED, &err);
	}
	result = export_domains(&output, argv + optind, &err);
	if (output.cdb != NULL && result != ADMIN_OK)
		cdbmap_writer_abort(&output.cdb);
	else if (output.cdb != NULL)
		result = admin_result_of(
		    cdbmap_writer_commit(&output.cdb, &err));
	return cli_end(result, &err);
}
