/* SPDX-License-Identifier: ISC */
/* vdeloldusers: removes users who have not been there for long, and old mail.
 */
#include <dirent.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "adminsrv/cli.h"
#include "adminsrv/domain_list.h"
#include "adminsrv/greet.h"
#include "adminsrv/last_login.h"
#include "base/mem.h"
#include "base/scan.h"
#include "control/global_vars.h"
#include "control/node_setting.h"

enum { AGE_DAYS = 60, AGE_DAYS_MAX = 100000, DAY_S = 86400 };

static const char usage[] =
    "usage: vdeloldusers [-d domain]... [-a days] [-r | -i | -c | -p]\n"
    "                    [-u days] [-t days] [-m folder]... [-s gecos]...\n"
    "                    [-v] [--yes]\n";

static const struct option long_options[] = {
	{ "yes", no_argument, NULL, 'y' },
	{ NULL, 0, NULL, 0 },
};

struct request {
	const struct home *home;
	struct strlist domains, folders, skipped;
	int64_t now_s;
	int action;                         /* r i c p */
	int64_t age;                        /* days; 0: nobody is old */
	int64_t unread_age, trash_age;      /* days; -1: not */
	bool is_verbose, is_sure, is_told;
	struct strlist old; /* names in this domain */
	struct strlist back; /* who were inactive for being away */
	uint64_t mails;
};

/* Old and not to be skipped?  The postmaster never goes.  1; 0; -1. */
static int
is_old(struct request *request, struct users *users,
    const struct vpasswd_entry *entry, int64_t *days_out, struct error *err)
{
	int64_t at_s;

	if (strcmp(entry->name, "postmaster") == 0 ||
	    strlist_has(&request->skipped, entry->gecos))
		return 0;
	if (last_login(request->home, users, entry, &at_s, err) == -1)
		return -1;
	*days_out = (request->now_s - at_s) / DAY_S;
	/* Whom nothing is known of is nobody to be removed. */
	return at_s > 0 && request->age > 0 && *days_out >= request->age;
}

/* Removes regular files of a folder that are older.  0 or -1. */
static int
purge_folder(
    struct request *request, const char *path, int64_t days, struct error *err)
{
	DIR *folder = opendir(path);
	const struct dirent *entry;
	int result = 0;

	if (folder == NULL)
		return 0; /* this user has none */
	while (result == 0 && (entry = readdir(folder)) != NULL) {
		struct stat st;

		if (fstatat(dirfd(folder), entry->d_name, &st,
			AT_SYMLINK_NOFOLLOW) == -1 ||
		    !S_ISREG(st.st_mode) ||
		    request->now_s - st.st_mtime < days * DAY_S)
			continue;
		request->mails++;
		if (request->action != 'r' && request->is_told &&
		    unlinkat(dirfd(folder), entry->d_name, 0) == -1)
			result = error_sys(
			    err, "cannot remove '%s/%s'", path, entry->d_name);
	}
	closedir(folder);
	return result;
}

static int
purge_parts(struct request *request, const char *maildir, int64_t days,
    bool only_new, struct error *err)
{
	OWN_TEXT new = xasprintf("%s/new", maildir);
	OWN_TEXT cur = xasprintf("%s/cur", maildir);

	return purge_folder(request, new, days, err) == -1 ||
		(!only_new && purge_folder(request, cur, days, err) == -1)
	    ? -1
	    : 0;
}

/* Mail that nobody has read, and folders such as .Trash. */
static int
purge_mail(struct request *request, const struct vpasswd_entry *entry,
    struct error *err)
{
	OWN_TEXT maildir = xasprintf("%s/Maildir", entry->dir);
	OWN_TEXT size = xasprintf("%s/maildirsize", maildir);
	uint64_t before = request->mails;

	if (request->unread_age >= 0 &&
	    purge_parts(request, maildir, request->unread_age, true, err) == -1)
		return -1;
	for (size_t i = 0;
	     request->trash_age >= 0 && i < request->folders.count; i++) {
		OWN_TEXT folder = xasprintf(
		    "%s/%s", maildir, request->folders.items[i]);

		if (purge_parts(
			request, folder, request->trash_age, false, err) == -1)
			return -1;
	}
	if (request->mails > before && request->is_told)
		unlink(size);
	return 0;
}

/* Goes through a domain: who is old; mail is purged or, untold, counted. */
static enum admin_result
look_at_users(struct request *request, struct users *users, struct error *err)
{
	const struct vpasswd_entry *entry;
	int found, old;

	users_rewind(users);
	while ((found = users_next(users, &entry, err)) == 1) {
		int64_t days;

		if (purge_mail(request, entry, err) == -1)
			return ADMIN_FAILED;
		old = request->is_told
		    ? 0
		    : is_old(request, users, entry, &days, err);
		if (old == -1)
			return ADMIN_FAILED;
		if (request->action == 'i' && !request->is_told && old == 0 &&
		    (entry->uid_flags & VPASSWD_AWAY) != 0)
			strlist_add(&request->back, entry->name);
		if (old == 0 ||
		    (request->action == 'i' &&
			(entry->uid_flags & VPASSWD_INACTIVE) != 0))
			continue;
		strlist_add(&request->old, entry->name);
		printf("%s@%s: %" PRId64 " days%s\n", entry->name,
		    users_domain(users), days,
		    (entry->uid_flags & VPASSWD_INACTIVE) != 0 ? ", inactive"
							       : "");
	}
	return admin_result_of(found);
}

/* Until a login, which vmoduser's word alone makes it not. */
static enum admin_result
make_inactive(struct users *users, const char *name, struct error *err)
{
	const struct vpasswd_entry *old;
	struct vpasswd_entry entry;
	enum admin_result result = users_find(users, name, &old, err);

	if (result != ADMIN_OK || (old->uid_flags & VPASSWD_INACTIVE) != 0)
		return result;
	entry = *old;
	entry.uid_flags |= VPASSWD_INACTIVE | VPASSWD_AWAY;
	return users_change(users, &entry, err);
}

/* Those who were away and are not any more. */
static enum admin_result
make_active(struct request *request, struct users *users, struct error *err)
{
	enum admin_result result = ADMIN_OK;

	for (size_t i = 0; result == ADMIN_OK && i < request->back.count; i++) {
		const char *name = request->back.items[i];
		const struct vpasswd_entry *old;
		struct vpasswd_entry entry;

		result = users_find(users, name, &old, err);
		if (result != ADMIN_OK)
			break;
		entry = *old;
		entry.uid_flags &=
		    ~(unsigned)(VPASSWD_INACTIVE | VPASSWD_AWAY);
		result = users_change(users, &entry, err);
		if (result == ADMIN_OK)
			printf("%s@%s: active again\n", name,
			    users_domain(users));
	}
	return result;
}

/* All messages of a user, new and read, in every folder. */
static enum admin_result
empty_mail(struct request *request, struct users *users, const char *name,
    struct error *err)
{
	const struct vpasswd_entry *entry;
	enum admin_result result = users_find(users, name, &entry, err);
	OWN_TEXT maildir = NULL;
	OWN_TEXT size = NULL;
	DIR *folder;
	const struct dirent *part;

	if (result != ADMIN_OK)
		return result;
	maildir = xasprintf("%s/Maildir", entry->dir);
	size = xasprintf("%s/maildirsize", maildir);
	if (purge_parts(request, maildir, 0, false, err) == -1)
		return ADMIN_FAILED;
	folder = opendir(maildir);
	while (folder != NULL && (part = readdir(folder)) != NULL) {
		OWN_TEXT path = xasprintf("%s/%s", maildir, part->d_name);

		if (*part->d_name == '.' && strcmp(part->d_name, "..") != 0 &&
		    purge_parts(request, path, 0, false, err) == -1)
			result = ADMIN_FAILED;
	}
	if (folder != NULL)
		closedir(folder);
	unlink(size);
	return result;
}

static enum admin_result
act_on_old(struct request *request, struct users *users, struct error *err)
{
	enum admin_result result = ADMIN_OK;

	for (size_t i = 0; result == ADMIN_OK && i < request->old.count; i++) {
		const char *name = request->old.items[i];

		result = request->action == 'p' ? users_remove(users, name, err)
		    : request->action == 'i'
		    ? make_inactive(users, name, err)
		    : empty_mail(request, users, name, err);
		if (result == ADMIN_OK && request->is_verbose)
			printf("%s@%s done\n", name, users_domain(users));
	}
	return result;
}

static bool
is_wanted(const struct request *request, const char *domain)
{
	const char *what = request->action == 'p' ? "go, with all their mail"
	    : request->action == 'i'              ? "get no mail any more"
						  : "lose all their mail";

	return cli_confirm(request->is_sure,
	    "Of '%s' %zu users %s, and %" PRIu64 " old messages go.", domain,
	    request->old.count, what, request->mails);
}

static enum admin_result
change_domain(
    struct request *request, const struct users_at *at, struct error *err)
{
	AUTO(users_close) struct users *users = NULL;
	enum admin_result result = users_open(at, false, &users, err);

	strlist_release(&request->old);
	strlist_release(&request->back);
	request->mails = 0;
	request->is_told = false;
	if (result == ADMIN_OK)
		result = look_at_users(request, users, err);
	if (result == ADMIN_OK)
		result = make_active(request, users, err);
	if (result != ADMIN_OK || request->action == 'r' ||
	    (request->old.count == 0 && request->mails == 0))
		return result;
	if (!is_wanted(request, at->domain))
		return admin_refuse(err,
		    "nothing of '%s' was removed: say yes, or --yes",
		    at->domain);
	request->is_told = true;
	result = act_on_old(request, users, err);
	if (result == ADMIN_OK &&
	    (request->unread_age >= 0 || request->trash_age >= 0))
		result = look_at_users(request, users, err);
	return result;
}

static enum admin_result
do_domain(const struct users_at *at, void *context, struct error *err)
{
	struct request *request = context;
	enum admin_result result = change_domain(request, at, err);

	if (result != ADMIN_FAILED)
		greet_users(request->home, at->domain, GREET_BACK,
		    (const char *const *)request->back.items,
		    request->back.count);
	return result;
}

static int64_t
read_days(int option, const char *text)
{
	if (strcmp(text, "-1") == 0)
		return -1;
	return cli_number((char)option, text, 0, AGE_DAYS_MAX);
}

static enum admin_result
do_domains(struct request *request, struct error *err)
{
	enum admin_result result = ADMIN_OK;

	if (request->domains.count == 0)
		return domain_list_each(request->home, do_domain, request, err);
	for (size_t i = 0; result == ADMIN_OK && i < request->domains.count;
	     i++)
		result = domain_list_one(request->home,
		    request->domains.items[i], do_domain, request, err);
	return result;
}

/*
 * How many days it takes: -a, else of -i the setting, which may be 0, and of
 * the others ACCT_INACT_EXPIRY or the usual.  0 or -1.
 */
static int
complete_age(struct request *request, struct error *err)
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	const char *expiry = getenv("ACCT_INACT_EXPIRY");

	if (request->age != -1)
		return 0;
	if (request->action != 'i') {
		request->age = expiry == NULL || *expiry == '\0'
		    ? AGE_DAYS
		    : cli_number('a', expiry, 1, AGE_DAYS_MAX);
		return 0;
	}
	if (node_setting_text(request->home->control, SETTING_inactivedays,
		&text, err) == -1)
		return -1;
	request->age = cli_number('a', text.data, 0, AGE_DAYS_MAX);
	return 0;
}

/* Options as the reference has them; what deletes has to be asked for. */
static void
read_options(int argc, char **argv, struct request *request)
{
	int option;

	while ((option = getopt_long(argc, argv, "a:cd:im:prs:t:u:v",
		    long_options, NULL)) != -1) {
		if (option == 'a')
			request->age = cli_number('a', optarg, 1, AGE_DAYS_MAX);
		else if (option == 'd')
			strlist_add(&request->domains, optarg);
		else if (option == 'm')
			strlist_add(&request->folders, optarg);
		else if (option == 's')
			strlist_add(&request->skipped, optarg);
		else if (option == 't')
			request->trash_age = read_days(option, optarg);
		else if (option == 'u')
			request->unread_age = read_days(option, optarg);
		else if (option == 'v')
			request->is_verbose = true;
		else if (option == 'y')
			request->is_sure = true;
		else if (option == '?')
			cli_usage(usage);
		else
			request->action = option;
	}
	if (argc != optind)
		cli_usage(usage);
	for (size_t i = 0; i < request->folders.count; i++)
		if (*request->folders.items[i] != '.' ||
		    strchr(request->folders.items[i], '/') != NULL)
			cli_usage(usage);
	if (request->folders.count == 0)
		strlist_add(&request->folders, ".Trash");
}

int
main(int argc, char **argv)
{
	AUTO(home_free) struct home *home = NULL;
	struct request request = {
		.action = 0, .age = -1, .unread_age = -1, .trash_age = -1
	};
	enum admin_result result;
	struct error err;

	cli_start("vdeloldusers", argv, usage);
	home = global_vars_home(); /* which may have the variable */
	read_options(argc, argv, &request);
	request.home = home;
	request.now_s = time(NULL);
	/* Mail alone: no user is looked for. */
	if (request.action == 0 &&
	    (request.unread_age >= 0 || request.trash_age >= 0)) {
		request.action = 'm';
		request.age = INT64_MAX;
	} else if (request.action == 0)
		request.action = 'r';
	result = complete_age(&request, &err) == -1 ? ADMIN_FAILED
						    : do_domains(&request, &err);
	strlist_release(&request.domains);
	strlist_release(&request.folders);
	strlist_release(&request.skipped);
	strlist_release(&request.old);
	strlist_release(&request.back);
	return request.action == 'r'
	    ? cli_end(result, &err)
	    : cli_end_change(home, "vdeloldusers", result, &err, NULL);
}
