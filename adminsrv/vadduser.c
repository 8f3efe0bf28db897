/* SPDX-License-Identifier: ISC */
/* vadduser: adds users to virtual domains. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "adminsrv/bulk.h"
#include "adminsrv/cli.h"
#include "adminsrv/filesystems.h"
#include "adminsrv/greet.h"
#include "adminsrv/hook.h"
#include "adminsrv/limits.h"
#include "adminsrv/names.h"
#include "adminsrv/quota_text.h"
#include "adminsrv/users.h"
#include "base/mem.h"
#include "control/global_vars.h"

static const char usage[] =
    "usage: vadduser [-bCeinv] [-B base] [-c comment] [-h hash] [-q quota]\n"
    "                [-r length] user@domain [password]\n"
    "       vadduser [-H node | --store store] [--no-wait] ... user@domain\n"
    "       vadduser -i [-bCen] [-B base] [-c comment] [-h hash] [-q quota]\n"
    "                < list\n"
    "       vadduser --file list [-bCen] [-B base] [-c comment] [-h hash]\n"
    "                [-q quota]\n";

static const struct option long_options[] = {
	{ "file", required_argument, NULL, 'f' },
	{ "store", required_argument, NULL, 'S' },
	{ "no-wait", no_argument, NULL, 'w' },
	{ NULL, 0, NULL, 0 },
};

struct options {
	struct cli_password password;
	const char *gecos; /* NULL: the user's name */
	const char *quota; /* NULL: the domain's, or the standard */
	const char *base;  /* path of folders, or NULL */
	bool balances;     /* vfstab chooses it */
	bool is_inactive;
	struct place_wish wish; /* of a clustered domain */
	bool no_wait;
	const char *file; /* of the list; NULL: descriptor 0 */
};

/* HARD_QUOTA, where no limits of the domain say otherwise. */
static const char *
quota_standard(void)
{
	const char *standard = getenv("HARD_QUOTA");

	return standard == NULL || *standard == '\0' ? "NOQUOTA" : standard;
}

static int
use_domain_quota(struct users *users, struct buf *quota, struct error *err)
{
	AUTO(buf_release) struct buf text = BUF_INIT;

	if (limits_default_quota(users, &text, err) == -1)
		return -1;
	if (text.length == 0)
		return 0;
	buf_reset(quota);
	buf_adds(quota, text.data);
	return 0;
}

/* Each kind of domain has its own way to say where a user is. */
static enum admin_result
refuse_other_place(const struct users *users, const struct options *options,
    struct error *err)
{
	bool has_wish = options->wish.store != NULL ||
	    options->wish.host != NULL;

	if (users_is_clustered(users) && options->base != NULL)
		return admin_refuse(err,
		    "'%s' is of the cluster: -H or --store says where a user "
		    "is, not -b or -B",
		    users_domain(users));
	if (!users_is_clustered(users) && has_wish)
		return admin_refuse(err,
		    "'%s' is this node's alone: -H and --store are for domains "
		    "of the cluster",
		    users_domain(users));
	return ADMIN_OK;
}

static enum admin_result
add_single(const struct home *home, const struct options *options,
    const char *argument, struct error *err)
{
	AUTO(users_close) struct users *users = NULL;
	AUTO(password_data_release)
	struct password_data data = { .hash = BUF_INIT };
	AUTO(buf_release) struct buf quota = BUF_INIT;
	struct users_new new = { .gecos = options->gecos };
	struct names_address address;
	AUTO(store_domain_release)
	struct store_domain domain = { .name = NULL };
	enum admin_result result;

	if (names_address(argument, &address, err) == -1 ||
	    names_check_new_user(address.local, err) == -1)
		return ADMIN_REFUSED;
	/* Nobody is asked for a password in vain. */
	result = users_find_domain(home->root, address.domain, &domain, err);
	if (result != ADMIN_OK)
		return result;
	if (quota_text_read(
		options->quota == NULL ? quota_standard() : options->quota,
		&quota, err) == -1)
		return ADMIN_REFUSED;
	result = cli_password_hash(&options->password, argument, &data, err);
	if (result == ADMIN_OK)
		result = users_open_named(
		    home->root, address.domain, &users, err);
	if (result != ADMIN_OK)
		return result;
	if (options->quota == NULL &&
	    use_domain_quota(users, &quota, err) == -1)
		return ADMIN_FAILED;
	if (options->base != NULL)
		users_set_base(users, options->base);
	result = refuse_other_place(users, options, err);
	if (result != ADMIN_OK)
		return result;
	users_set_wish(users, &options->wish, options->no_wait);
	new.name = address.local;
	new.uid_flags = options->is_inactive ? VPASSWD_INACTIVE : 0;
	new.hash = data.hash.data;
	new.scram = password_text(&data.scram);
	new.secret = password_text(&data.secret);
	new.quota = quota.data;
	if (new.gecos == NULL)
		new.gecos = address.local;
	result = users_add(users, &new, 1, err);
	users_close(&users);
	if (result == ADMIN_OK && !options->is_inactive)
		greet_users(home, domain.name, GREET_NEW, &new.name, 1);
	return result;
}

/* The list is sorted by domain now. */
static void
greet_list(const struct home *home, const struct bulk *bulk)
{
	AUTO(mem_free)
	const char **names = xcalloc(bulk->count + 1, sizeof(*names));
	size_t count = 0;

	for (size_t i = 0; i < bulk->count; i++) {
		const char *domain = bulk->users[i].address.domain;

		names[count++] = bulk->users[i].address.local;
		if (i + 1 < bulk->count &&
		    strcmp(bulk->users[i + 1].address.domain, domain) == 0)
			continue;
		greet_users(home, domain, GREET_NEW, names, count);
		count = 0;
	}
}

static enum admin_result
tell_list(const struct home *home, const struct bulk *bulk, struct error *err)
{
	struct strlist added = { NULL, 0 };
	enum admin_result result;

	for (size_t i = 0; i < bulk->count; i++) {
		OWN_TEXT address = xasprintf("%s@%s",
		    bulk->users[i].address.local,
		    bulk->users[i].address.domain);

		strlist_add(&added, address);
	}
	result = hook_run(home, "vadduser", (const char *const *)added.items,
	    added.count, true, err);
	strlist_release(&added);
	return result;
}

static enum admin_result
add_list(
    const struct home *home, const struct options *options, struct error *err)
{
	enum bulk_password kind = options->password.is_none ? BULK_NO_PASSWORD
	    : options->password.is_hashed                   ? BULK_HASHED
	    : options->password.keeps_secret                ? BULK_KEPT
							    : BULK_CLEAR;
	AUTO(bulk_release) struct bulk bulk = { .users = NULL };
	FILE *file = options->file == NULL ? stdin : fopen(options->file, "re");

	enum admin_result result;

	if (file == NULL)
		return admin_fail(err, "cannot open '%s'", options->file);
	if (bulk_read(file, kind,
		options->quota == NULL ? quota_standard() : options->quota,
		&bulk, err) == -1 ||
	    bulk_hash(&bulk, kind, options->password.method, err) == -1)
		return ADMIN_REFUSED;
	bulk.wish = options->wish;
	bulk.no_wait = options->no_wait;
	result = bulk_add(&bulk, home->root, options->gecos, options->base,
	    options->quota == NULL, err);
	if (result == ADMIN_OK && options->balances)
		result = filesystems_add_users(
		    home, options->base, bulk.count, err);
	if (result == ADMIN_OK)
		result = tell_list(home, &bulk, err);
	if (result == ADMIN_OK)
		greet_list(home, &bulk);
	if (result == ADMIN_OK && cli_is_verbose())
		printf("done: %zu users\n", bulk.count);
	return result;
}

int
main(int argc, char **argv)
{
	struct options options = { .quota = NULL };
	AUTO(buf_release) struct buf base = BUF_INIT;
	enum admin_result result = ADMIN_OK;
	AUTO(home_free) struct home *home = NULL;
	struct error err;
	bool is_list;
	int option;

	cli_start("vadduser", argv, usage);
	while ((option = getopt_long(argc, argv, "B:bCc:eH:h:inq:r:v",
		    long_options, NULL)) != -1) {
		if (option == 'B')
			options.base = optarg;
		else if (option == 'b')
			options.balances = true;
		else if (option == 'c')
			options.gecos = optarg;
		else if (option == 'i')
			options.is_inactive = true;
		else if (option == 'H')
			options.wish.host = optarg;
		else if (option == 'S')
			options.wish.store = optarg;
		else if (option == 'w')
			options.no_wait = true;
		else if (option == 'f')
			options.file = optarg;
		else if (option == 'q')
			options.quota = optarg;
		else if (option == 'v')
			cli_be_verbose();
		else if (!cli_password_option(
			     &options.password, option, optarg))
			cli_usage(usage);
	}
	/* Alone -i is vpopmail's list, and with a user IndiMail's state. */
	is_list = options.file != NULL ||
	    (options.is_inactive && argc == optind);
	if (is_list ? argc != optind || options.password.random_length
			    : argc - optind < 1 || argc - optind > 2)
		cli_usage(usage);
	home = global_vars_home();
	if (options.balances) {
		result = filesystems_choose(home, &base, &err);
		options.base = base.data;
	}
	if (result == ADMIN_OK && is_list)
		return cli_end(add_list(home, &options, &err), &err);
	options.password.argument = argv[optind + 1];
	if (result == ADMIN_OK)
		result = add_single(home, &options, argv[optind], &err);
	if (result == ADMIN_OK && options.balances)
		result = filesystems_add_users(home, base.data, 1, &err);
	return cli_end_change(
	    home, "vadduser", result, &err, argv[optind], NULL);
}
