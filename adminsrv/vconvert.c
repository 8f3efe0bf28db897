/* SPDX-License-Identifier: ISC */
/* vconvert: copies users from one store to the other, or from elsewhere. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "adminsrv/cli.h"
#include "adminsrv/convert.h"
#include "adminsrv/import.h"
#include "adminsrv/names.h"
#include "base/log.h"
#include "base/mem.h"
#include "control/global_vars.h"

static const char usage[] =
    "usage: vconvert --to cdb|pgsql [domain ...]\n"
    "       vconvert --from passwd|vpopmail|indimail --file FILE\n"
    "                [--domain domain] [--inactive]\n";

static const struct option long_options[] = {
	{ "to", required_argument, NULL, 't' },
	{ "from", required_argument, NULL, 'f' },
	{ "file", required_argument, NULL, 'F' },
	{ "domain", required_argument, NULL, 'd' },
	{ "inactive", no_argument, NULL, 'i' },
	{ NULL, 0, NULL, 0 },
};

struct options {
	const char *to, *from, *file, *domain;
	bool is_inactive;
};

static void
say_domain(const char *domain, const struct convert_result *done)
{
	printf("%s: %zu users\n", domain, done->copied);
	if (done->others > 0)
		log_line("warning: '%s' has %zu users there that are not here; "
			 "they stay",
		    domain, done->others);
	fflush(stdout);
}

static enum admin_result
copy_domains(const struct home *home, enum users_store to,
    const struct strlist *domains, struct error *err)
{
	enum admin_result result = ADMIN_OK;
	struct progress progress;

	progress_begin(&progress, "copying users", 0);
	for (size_t i = 0; result == ADMIN_OK && i < domains->count; i++) {
		struct convert_result done;

		result = convert_domain(
		    home, domains->items[i], to, &progress, &done, err);
		progress_end(&progress);
		if (result == ADMIN_OK)
			say_domain(domains->items[i], &done);
		else
			error_context(err, "domain '%s'", domains->items[i]);
	}
	return result;
}

static enum admin_result
copy_store(
    const struct home *home, const char *to, char **words, struct error *err)
{
	AUTO(strlist_release) struct strlist domains = { .count = 0 };
	enum users_store store = strcmp(to, "cdb") == 0 ? USERS_CDB
	    : strcmp(to, "pgsql") == 0                  ? USERS_PGSQL
							: USERS_BY_SETTING;
	char name[NAMES_DOMAIN_SIZE];

	if (store == USERS_BY_SETTING)
		return admin_refuse(
		    err, "no user store '%s': write cdb or pgsql", to);
	if (*words == NULL && convert_domains(home, &domains, err) == -1)
		return ADMIN_FAILED;
	for (; *words != NULL; words++) {
		if (names_domain(*words, name, err) == -1)
			return ADMIN_REFUSED;
		strlist_add(&domains, name);
	}
	return copy_domains(home, store, &domains, err);
}

static enum admin_result
import_file(
    const struct home *home, const struct options *options, struct error *err)
{
	static const char *const formats[] = { [IMPORT_PASSWD] = "passwd",
		[IMPORT_VPOPMAIL] = "vpopmail",
		[IMPORT_INDIMAIL] = "indimail" };
	AUTO(import_release) struct import import = { .users = NULL };
	struct progress progress;
	enum admin_result result;
	size_t format = 0, added, kept;
	FILE *file;

	while (format < 3 && strcmp(formats[format], options->from) != 0)
		format++;
	if (format == 3)
		return admin_refuse(err,
		    "no format '%s': write passwd, vpopmail or indimail",
		    options->from);
	file = fopen(options->file, "re");
	if (file == NULL)
		return admin_fail(err, "cannot open '%s'", options->file);
	if (import_read(file, (enum import_format)format, options->domain,
		options->is_inactive, &import, err) == -1) {
		fclose(file);
		error_context(err, "'%s'", options->file);
		return ADMIN_REFUSED;
	}
	fclose(file);
	progress_begin(&progress, "adding users", import.count);
	result = import_add(&import, home->root, &progress, &added, &kept, err);
	progress_end(&progress);
	printf("%zu users added, %zu were there already\n", added, kept);
	return result;
}

int
main(int argc, char **argv)
{
	struct options options = { .to = NULL };
	AUTO(home_free) struct home *home = NULL;
	struct error err;
	int option;

	cli_start("vconvert", argv, usage);
	while (
	    (option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		if (option == 't')
			options.to = optarg;
		else if (option == 'f')
			options.from = optarg;
		else if (option == 'F')
			options.file = optarg;
		else if (option == 'd')
			options.domain = optarg;
		else if (option == 'i')
			options.is_inactive = true;
		else
			cli_usage(usage);
	}
	if ((options.to != NULL) == (options.from != NULL) ||
	    (options.from != NULL) != (options.file != NULL) ||
	    (options.to != NULL &&
		(options.domain != NULL || options.is_inactive)) ||
	    (options.from != NULL && optind != argc))
		cli_usage(usage);
	home = global_vars_home();
	return cli_end(options.to != NULL
		? copy_store(home, options.to, argv + optind, &err)
		: import_file(home, &options, &err),
	    &err);
}
