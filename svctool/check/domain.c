/* SPDX-License-Identifier: ISC */
/* One virtual domain's folder: its rules, its users, their folders. */
#include "svctool/check/domain.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adminsrv/users.h"
#include "adminsrv/vpasswd_file.h"
#include "base/mem.h"
#include "control/cdb_records.h"
#include "delivery/domain_rules.h"
#include "lookupd/store.h"

/* One domain. */
struct folder {
	struct check *check;
	const struct check_assign *domain;
	const char *path;
	struct check_crowd crowd; /* of what is wrong with users' folders */
	char *parent;             /* of the last user's folder */
	bool is_reached;          /* what is in it can be got at */
	bool has_rows;            /* the users are in the database */
};

/* Is there a user of qmail-smtpd's own, who reads by the domain's group? */
static bool
has_reader(const struct folder *folder)
{
	uid_t uid;

	return geteuid() == 0 &&
	    check_owner_uid(folder->check, folder->path, LAYOUT_SMTPD, &uid) &&
	    uid != 0 && uid != folder->domain->uid;
}

/* Whose what is in the domain is, and what follows if it is not. */
static struct check_whose
whose(const struct folder *folder, const char *effect)
{
	return (struct check_whose){ .uid = folder->domain->uid,
		.gid = folder->domain->gid,
		.has_gid = true,
		.name = "",
		.effect = effect };
}

/* There are password hashes in it. */
static void
check_secret(const struct folder *folder, enum layout_id id, const char *path)
{
	const struct check_assign *domain = folder->domain;
	struct check_whose owner = whose(folder, "");
	struct stat st;

	/* Another's, or none, was found already. */
	if (stat(path, &st) == -1 || !S_ISREG(st.st_mode))
		return;
	check_state(folder->check, id, path, &st, &owner);
	if (id == LAYOUT_vpasswd_cdb && st.st_uid == domain->uid &&
	    has_reader(folder) &&
	    (st.st_gid != domain->gid || (st.st_mode & 0040) == 0))
		check_find(folder->check, CHECK_ERROR, path, 0,
		    "its mode is %03o and its group %lu, so qmail-smtpd cannot "
		    "look up users" REMEDY "chgrp %lu '%s' && chmod %03o '%s'",
		    st.st_mode & 07777, (unsigned long)st.st_gid,
		    (unsigned long)domain->gid, path,
		    (unsigned)layout_rows[id].mode, path);
}

static void
find_cdb(const struct folder *folder, const char *path, const char *text)
{
	check_find(folder->check, CHECK_ERROR, path, 0,
	    "%s" REMEDY "vmkpasswd %s", text, folder->domain->user);
}

/* With the domain's lock. */
static void
check_cdb(const struct folder *folder, const struct vpasswd_file *users)
{
	OWN_TEXT cdb = layout_domain_path(folder->path, LAYOUT_vpasswd_cdb);
	AUTO(cdb_records_release) struct cdb_records records = { .count = 0 };
	struct error err;
	int found = cdb_records_read(cdb, &records, &err);

	if (found == 0)
		find_cdb(
		    folder, cdb, "it is missing, so mail for the domain waits");
	else if (found == -1)
		find_cdb(folder, cdb, err.text);
	else if (users != NULL && !vpasswd_file_is_compiled(users))
		find_cdb(folder, cdb,
		    "it was not made from 'vpasswd' as that is now, so the "
		    "last changes do not count");
	check_secret(folder, LAYOUT_vpasswd_cdb, cdb);
}

/* Does mail for whom is no user go anywhere?  True when that is not known. */
static bool
is_taken(const struct check_assign *domain)
{
	AUTO(domain_rules_free) struct domain_rules *rules = domain_rules_new();
	const struct absent_rule *rule;
	struct error err;

	domain_rules_begin(rules);
	return domain_rules_find(
		   rules, domain->home, "postmaster", &rule, &err) != 1 ||
	    (rule->action != ABSENT_BOUNCE && rule->action != ABSENT_DELETE);
}

/*
 * Does the postmaster get mail?  The SMTP server takes it in any case (RFC 5321
 * 4.5.1), and it waits in the queue when nobody is to have it.
 */
static void
check_postmaster(const struct folder *folder, const char *path,
    const struct vpasswd_entry *entry)
{
	const char *domain = folder->domain->user, *fault, *remedy;

	if (entry == NULL && is_taken(folder->domain))
		return;
	if (entry == NULL) {
		fault = "there is no 'postmaster'";
		remedy = "vadduser -n";
	} else if (entry->uid_flags & VPASSWD_INACTIVE) {
		fault = "'postmaster' is inactive";
		remedy = "vmoduser -n";
	} else if (entry->gid_flags & STORE_BOUNCE_MAIL) {
		fault = "'postmaster' is marked to bounce";
		remedy = "vmoduser -tb";
	} else
		return;
	check_find(folder->check, CHECK_ERROR, path, 0,
	    "%s, so mail for postmaster@%s waits" REMEDY "%s postmaster@%s",
	    fault, domain, remedy, domain);
}

/*
 * A folder of a user's.  1; 0 when it is not there; -1 when what is below need
 * not be looked at, since the remedy mends that too.
 */
static int
check_user_folder(struct folder *folder, enum layout_id id, const char *path)
{
	struct check_whose owner = whose(
	    folder, ", so mail for the user waits");
	struct stat st;

	if (lstat(path, &st) == -1)
		return 0;
	owner.crowd = &folder->crowd;
	check_state(folder->check, id, path, &st, &owner);
	return S_ISDIR(st.st_mode) && st.st_uid == owner.uid ? 1 : -1;
}

/*
 * The folders between the domain's and the user's, which a hundred users share.
 * True when what is in them can be got at.
 */
static bool
check_parents(struct folder *folder, const char *dir)
{
	size_t length = (size_t)(strrchr(dir, '/') - dir);

	if (folder->parent != NULL && strlen(folder->parent) == length &&
	    strncmp(folder->parent, dir, length) == 0)
		return folder->is_reached;
	free(folder->parent);
	folder->parent = xstrndup(dir, length);
	folder->is_reached = true;
	for (size_t at = strlen(folder->path) + 1;
	     folder->is_reached && at <= length; at++) {
		OWN_TEXT path = NULL;

		if (dir[at] != '/')
			continue;
		path = xstrndup(dir, at);
		folder->is_reached = check_user_folder(
					 folder, LAYOUT_user, path) != -1;
	}
	return folder->is_reached;
}

/* Where folders may be that are not below domains/. */
static bool
is_in_home_root(const struct check *check, const char *dir)
{
	const struct strlist *roots = check->settings == NULL
	    ? NULL
	    : settings_list(check->settings, SETTING_homeroots);
	bool is_in = false;

	for (size_t i = 0; roots != NULL && i < roots->count; i++)
		is_in |= check_is_below(dir, roots->items[i]);
	return is_in;
}

/* qmail-vdeliver goes nowhere else, and follows no links. */
static bool
is_reachable(struct folder *folder, const struct vpasswd_entry *entry)
{
	const char *domains = folder->check->node->home->domains;
	const char *name = folder->domain->user;

	if (check_is_below(entry->dir, folder->path))
		return check_parents(folder, entry->dir);
	if (check_is_below(entry->dir, domains) ||
	    is_in_home_root(folder->check, entry->dir))
		return true;
	if (!check_crowd_has_room(&folder->crowd))
		return false;
	check_find(folder->check, CHECK_ERROR, entry->dir, 0,
	    "the folder of '%s@%s' is not below '%s', so mail for the "
	    "user waits",
	    entry->name, name, domains);
	if (folder->has_rows)
		check_remedy(folder->check,
		    "move it below that, then correct dir of the user in "
		    "mq.users");
	else
		check_remedy(folder->check,
		    "move it below that, correct '%s/vpasswd', then vmkpasswd "
		    "%s",
		    folder->path, name);
	return false;
}

static void
find_missing(struct folder *folder, const struct vpasswd_entry *entry)
{
	const struct check_assign *domain = folder->domain;
	int failure = errno;

	if (!check_crowd_has_room(&folder->crowd))
		return;
	check_find(folder->check, CHECK_ERROR, entry->dir, 0,
	    "the folder of '%s@%s': %s, so mail for the user waits" REMEDY
	    "put it back, or 'mkdir -m %03o %s && chown %lu:%lu %s' for an "
	    "empty one",
	    entry->name, domain->user, strerror(failure),
	    (unsigned)layout_rows[LAYOUT_user].mode, entry->dir,
	    (unsigned long)domain->uid, (unsigned long)domain->gid, entry->dir);
}

static void
check_one_user(struct folder *folder, const struct vpasswd_entry *entry)
{
	static const char *const parts[] = { "tmp", "new", "cur" };
	OWN_TEXT maildir = xasprintf("%s/Maildir", entry->dir);
	int found = is_reachable(folder, entry)
	    ? check_user_folder(folder, LAYOUT_user, entry->dir)
	    : -1;

	if (found == 0)
		find_missing(folder, entry);
	if (found == 1)
		found = check_user_folder(folder, LAYOUT_maildir, maildir);
	/* Those that are missing a delivery makes. */
	for (size_t i = 0; found == 1 && i < sizeof(parts) / sizeof(parts[0]);
	     i++) {
		OWN_TEXT path = xasprintf("%s/%s", maildir, parts[i]);

		check_user_folder(folder, LAYOUT_maildir_part, path);
	}
}

static void
end_users(struct folder *folder)
{
	free(folder->parent);
	check_crowd_end(folder->check, &folder->crowd, folder->path,
	    "mend those above, then check again");
}

static void
check_users(struct folder *folder, const struct vpasswd_file *users)
{
	const struct vpasswd_entry *entry;
	size_t at = 0;

	while ((entry = vpasswd_file_next(users, &at)) != NULL)
		check_one_user(folder, entry);
	end_users(folder);
}

/* The users that the database has. */
static enum admin_result
check_rows(struct folder *folder, struct users *users, struct error *err)
{
	const struct vpasswd_entry *entry;
	enum admin_result result = users_find(users, "postmaster", &entry, err);
	int found;

	if (result == ADMIN_FAILED)
		return result;
	check_postmaster(
	    folder, folder->path, result == ADMIN_OK ? entry : NULL);
	while ((found = users_next(users, &entry, err)) == 1)
		check_one_user(folder, entry);
	end_users(folder);
	return found == -1 ? ADMIN_FAILED : ADMIN_OK;
}

static void
check_domain_rows(struct folder *folder)
{
	const struct home *home = folder->check->node->home;
	OWN_TEXT setting = layout_path(home, LAYOUT_pgsql);
	const struct users_at at = { .control_dir = home->control,
		.domain = folder->domain->user,
		.dir = folder->path,
		.store = USERS_PGSQL,
		.as_we_are = true };
	OWN_TEXT service = node_path(
	    folder->check->node, "%s/pgsql", home->service);
	AUTO(users_close) struct users *users = NULL;
	struct error err;
	enum admin_result result;

	if (folder->check->has_no_database)
		return;
	folder->has_rows = true;
	result = users_open_to_read(&at, &users, &err);
	if (result == ADMIN_OK)
		result = check_rows(folder, users, &err);
	folder->check->has_no_database = result == ADMIN_FAILED &&
	    users == NULL;
	/* The node's own is down with the node. */
	if (result != ADMIN_OK)
		check_find(folder->check,
		    access(service, F_OK) == 0 ? CHECK_WARNING : CHECK_ERROR,
		    setting, 0, "%s" REMEDY "svctool db check", err.text);
}

static void
check_domain_files(struct folder *folder)
{
	struct check *check = folder->check;
	OWN_TEXT text = layout_domain_path(folder->path, LAYOUT_vpasswd);
	OWN_TEXT lock_path = layout_domain_path(
	    folder->path, LAYOUT_vpasswd_lock);
	AUTO(vpasswd_file_free) struct vpasswd_file *users = NULL;
	struct error err;
	int lock, found;

	/* Who changes it just now makes it right, or says why not. */
	if (!check_lock(lock_path, &lock))
		goto out;
	found = vpasswd_file_load(folder->path, &users, &err);
	if (found == -1)
		check_reason(check, CHECK_ERROR, err.text,
		    "correct that, then vmkpasswd of the domain");
	else if (found == 0 && access(folder->path, F_OK) == -1)
		goto out; /* the domain was removed just now */
	else if (found == 0)
		check_find(check, CHECK_ERROR, text, 0,
		    "it is missing: is its disk mounted?" REMEDY
		    "put it back, or vadddomain %s for a new one",
		    folder->domain->user);
	check_cdb(folder, found == 1 ? users : NULL);
	check_secret(folder, LAYOUT_vpasswd, text);
	/* Still with the lock: vdeluser moves a folder before the line goes. */
	if (found == 1) {
		check_postmaster(
		    folder, text, vpasswd_file_find(users, "postmaster"));
		check_users(folder, users);
	}
out:
	check_unlock(lock);
}

/* What the delivery makes of it. */
static void
check_default_line(const struct folder *folder, const char *path)
{
	struct dotqmail_fault fault;
	struct error err;
	int result = domain_rules_judge(folder->path, &fault, &err);
	const char *remedy;

	/* A sticky folder is one whose files are being edited. */
	if (result == -1)
		check_reason(folder->check, CHECK_WARNING, err.text, NULL);
	if (result != 0 || *fault.reason.text == '\0')
		return;
	remedy = check_cut_remedy(fault.reason.text);
	check_find(folder->check, CHECK_ERROR, path, fault.line,
	    "%s, so mail for addresses that are no users waits" REMEDY "%s",
	    fault.reason.text, remedy);
}

static void
check_domain_default(const struct folder *folder)
{
	OWN_TEXT path = layout_domain_path(folder->path, LAYOUT_domain_default);
	struct check_whose owner = whose(folder, "");
	struct stat st;

	if (stat(path, &st) == -1) {
		check_find(folder->check, CHECK_ERROR, path, 0,
		    "%s: without it mail for addresses that are no "
		    "users waits" REMEDY
		    "echo \"| vdelivermail '' bounce-no-mailbox\" > '%s'",
		    strerror(errno), path);
	} else {
		owner.uid = st.st_uid; /* anybody's */
		if (check_state(folder->check, LAYOUT_domain_default, path, &st,
			&owner))
			check_default_line(folder, path);
	}
}

/* Workers write as vmail, and qmail-smtpd has to come through. */
static void
check_domain_folder(
    const struct folder *folder, const char *assign_path, const struct stat *st)
{
	const struct check_assign *domain = folder->domain;
	struct check_whose owner = whose(folder, "");
	struct check *check = folder->check;
	uid_t uid;

	if (check_owner_uid(check, folder->path, LAYOUT_VIRTUAL, &uid) &&
	    domain->uid != uid)
		check_find(check, CHECK_ERROR, assign_path, domain->line,
		    "the domain '%s' has uid %lu, but mail is written by uid "
		    "%lu" REMEDY
		    "chown -R %lu '%s' and write that uid, then qmail-newu",
		    domain->user, (unsigned long)domain->uid,
		    (unsigned long)uid, (unsigned long)uid, folder->path);
	if (check_state(check, LAYOUT_domain, folder->path, st, &owner) &&
	    has_reader(folder) && (st->st_mode & 0011) == 0)
		check_find(check, CHECK_ERROR, folder->path, 0,
		    "its mode is %03o, so qmail-smtpd cannot look up users" REMEDY
		    "chmod %03o '%s'",
		    st->st_mode & 07777,
		    (unsigned)layout_rows[LAYOUT_domain].mode, folder->path);
}

void
check_domain(struct check *check, const struct check_assigns *assigns,
    const struct check_assign *domain)
{
	struct folder folder = { check, domain, domain->home, { .count = 0 },
		NULL, false, false };
	struct stat st;

	/* A missing one is the line's fault, and found there. */
	if (stat(domain->home, &st) == -1 || !S_ISDIR(st.st_mode))
		return;
	check_domain_folder(&folder, assigns->path, &st);
	check_domain_default(&folder);
	if (strcmp(settings_text(check->settings, SETTING_userstore),
		"pgsql") == 0)
		check_domain_rows(&folder);
	else
		check_domain_files(&folder);
}
