/* SPDX-License-Identifier: ISC */
/* vfstab: the filesystems that users' folders are spread over. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "adminsrv/cli.h"
#include "adminsrv/filesystems.h"
#include "adminsrv/homes.h"
#include "base/mem.h"
#include "control/global_vars.h"
#include "mailbox/quota.h"

static const char usage[] =
    "usage: vfstab [-v] [-s] [-m host]\n"
    "       vfstab -i | -l [-n users] [-q bytes] [-m host] filesystem\n"
    "       vfstab -u [-o 0|1] [-n users] [-q bytes] [-m host] filesystem\n"
    "       vfstab -o 0|1 [-m host] filesystem\n"
    "       vfstab -d [-m host] filesystem\n"
    "       vfstab -b\n";

struct request {
	int action; /* the option's letter */
	const char *host;
	const char *status, *users, *bytes;
};

static enum admin_result
show_filesystems(
    const struct home *home, const struct request *request, struct error *err)
{
	AUTO(filesystems_release)
	struct filesystems list = { .items = NULL };
	enum admin_result result = filesystems_load(home, &list, err);

	if (result == ADMIN_OK)
		printf("%-20s %-18s %-7s %10s %10s %13s %13s %s\n",
		    "File System", "Host", "Status", "Max Users", "Cur Users",
		    "Max Size", "Cur Size", "Load");
	for (size_t i = 0; i < list.count; i++) {
		const struct filesystem *item = &list.items[i];

		if (request->host != NULL &&
		    strcmp(item->host, request->host) != 0)
			continue;
		printf("%-20s %-18s %-7s %10" PRIu64 " %10" PRIu64 " %10" PRIu64
		       " Kb %10" PRIu64 " Kb %6.4f\n",
		    item->path, item->host,
		    item->is_online ? "ONLINE" : "OFFLINE", item->max_users,
		    item->cur_users, item->max_bytes / 1024,
		    item->cur_bytes / 1024, filesystem_load(item));
	}
	return result;
}

/* A size as quotas are written. */
static int
read_size(const char *text, uint64_t *bytes_out, struct error *err)
{
	struct quota quota;

	if (quota_read(text, &quota, err) == -1)
		return -1;
	if (quota.count > 0)
		return error_set(err, "'%s' is not a size: write 500G", text);
	*bytes_out = quota.bytes;
	return 0;
}

static int
fill_filesystem(
    const struct request *request, struct filesystem *item, struct error *err)
{
	if (request->users != NULL)
		item->max_users = cli_number(
		    'n', request->users, 0, 2000000000);
	if (request->status != NULL)
		item->is_online = cli_number('o', request->status, 0, 1) == 1;
	return request->bytes == NULL
	    ? 0
	    : read_size(request->bytes, &item->max_bytes, err);
}

/* Another host's filesystems are its own matter. */
static enum admin_result
check_place(
    const struct home *home, const char *path, bool is_ours, struct error *err)
{
	OWN_TEXT any = xasprintf("%s/any", home->domains);

	if (strchr(path, ' ') != NULL)
		return admin_refuse(err, "'%s' has a blank", path);
	if (is_ours && homes_check(home->control, any, path, err) == -1)
		return ADMIN_REFUSED;
	return ADMIN_OK;
}

static enum admin_result
change_filesystem(const struct home *home, const struct request *request,
    const char *path, struct error *err)
{
	OWN_TEXT own_host = filesystems_host(home);
	OWN_TEXT plain = xstrdup(path);
	OWN_TEXT host = xstrdup(
	    request->host == NULL ? own_host : request->host);
	AUTO(filesystems_release)
	struct filesystems list = { .items = NULL };
	struct filesystem item = {
		.path = plain, .host = host, .is_online = true
	};
	bool is_new = request->action == 'i' || request->action == 'l';
	const struct filesystem *old;
	enum admin_result result = filesystems_load(home, &list, err);

	while (strlen(plain) > 1 && plain[strlen(plain) - 1] == '/')
		plain[strlen(plain) - 1] = '\0';
	if (result == ADMIN_OK && is_new)
		result = check_place(
		    home, plain, strcmp(host, own_host) == 0, err);
	if (result != ADMIN_OK)
		return result;
	old = filesystems_find(&list, plain, host);
	if (is_new && old != NULL)
		return admin_refuse(
		    err, "'%s' of '%s' is there already", plain, host);
	if (!is_new && old == NULL)
		return admin_refuse(
		    err, "no filesystem '%s' of '%s'", plain, host);
	if (request->action == 'd')
		return filesystems_remove(home, plain, host, err);
	if (old != NULL) {
		item = *old;
		item.path = plain;
		item.host = host;
	}
	if (fill_filesystem(request, &item, err) == -1)
		return ADMIN_REFUSED;
	return filesystems_put(home, &item, err);
}

static enum admin_result
balance(const struct home *home, struct error *err)
{
	AUTO(buf_release) struct buf path = BUF_INIT;
	enum admin_result result = filesystems_count(home, err);

	if (result == ADMIN_OK)
		result = filesystems_choose(home, &path, err);
	if (result == ADMIN_OK)
		printf("Filesystem Selected %s\n", path.data);
	return result;
}

int
main(int argc, char **argv)
{
	struct request request = { .action = 's' };
	AUTO(home_free) struct home *home = NULL;
	enum admin_result result;
	struct error err;
	bool has_action = false;
	int option, wanted;

	cli_start("vfstab", argv, usage);
	while ((option = getopt(argc, argv, "bdilm:n:o:q:suv")) != -1) {
		if (option == 'm')
			request.host = optarg;
		else if (option == 'n')
			request.users = optarg;
		else if (option == 'q')
			request.bytes = optarg;
		else if (option == 'o')
			request.status = optarg;
		else if (option == 'v')
			cli_be_verbose();
		else if (option == '?' || has_action)
			cli_usage(usage);
		else {
			request.action = option;
			has_action = true;
		}
	}
	if (!has_action && request.status != NULL)
		request.action = 'u';
	wanted = strchr("bs", request.action) == NULL;
	if (argc - optind != wanted)
		cli_usage(usage);
	home = global_vars_home();
	result = request.action == 's' ? show_filesystems(home, &request, &err)
	    : request.action == 'b'
	    ? balance(home, &err)
	    : change_filesystem(home, &request, argv[optind], &err);
	return wanted
	    ? cli_end_change(home, "vfstab", result, &err, argv[optind], NULL)
	    : cli_end(result, &err);
}
