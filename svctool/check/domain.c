/* SPDX-License-Identifier: ISC */
/* One virtual domain's folder. */
#include "svctool/check/domain.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adminsrv/vpasswd_file.h"
#include "base/mem.h"
#include "delivery/domain_rules.h"
#include "svctool/check/cdb.h"

/* One domain. */
struct folder {
	struct check *check;
	const struct check_assign *domain;
	const char *path;
};

static char *
below(const struct folder *folder, const char *name)
{
	return xasprintf("%s/%s", folder->path, name);
}

/* Is there a user of qmail-smtpd's own, who reads by the domain's group? */
static bool
has_reader(const struct folder *folder)
{
	uid_t uid;

	return geteuid() == 0 &&
	    check_owner_uid(folder->check, folder->path, LAYOUT_SMTPD, &uid) &&
	    uid != 0 && uid != folder->domain->uid;
}

/* There are password hashes in it. */
static void
check_secret(const struct folder *folder, const char *path, bool is_for_group)
{
	const struct check_assign *domain = folder->domain;
	struct stat st;

	if (stat(path, &st) == -1)
		return; /* that was found already */
	if ((st.st_mode & 0027) != 0) {
		check_find(folder->check, CHECK_ERROR, path, 0,
		    "its mode is %03o, which lets others read password hashes "
		    "or change them",
		    st.st_mode & 07777);
		check_remedy(folder->check, "chmod %03o '%s'",
		    st.st_mode & 07777 & ~0027, path);
	}
	if (st.st_uid != domain->uid) {
		check_find(folder->check, CHECK_ERROR, path, 0,
		    "it belongs to uid %lu, and should to uid %lu",
		    (unsigned long)st.st_uid, (unsigned long)domain->uid);
		check_remedy(folder->check, "chown %lu:%lu '%s'",
		    (unsigned long)domain->uid, (unsigned long)domain->gid,
		    path);
	} else if (is_for_group && has_reader(folder) &&
	    (st.st_gid != domain->gid || (st.st_mode & 0040) == 0)) {
		check_find(folder->check, CHECK_ERROR, path, 0,
		    "its mode is %03o and its group %lu, so qmail-smtpd cannot "
		    "look up users",
		    st.st_mode & 07777, (unsigned long)st.st_gid);
		check_remedy(folder->check, "chgrp %lu '%s' && chmod 640 '%s'",
		    (unsigned long)domain->gid, path, path);
	}
}

static void
find_cdb(const struct folder *folder, const char *path, const char *text)
{
	check_find(folder->check, CHECK_ERROR, path, 0, "%s", text);
	check_remedy(folder->check, "vmkpasswd %s", folder->domain->user);
}

/* With the domain's lock. */
static void
check_users(const struct folder *folder, const struct vpasswd_file *users)
{
	char *cdb = below(folder, "vpasswd.cdb");
	struct error err;
	int found = check_cdb_file(cdb, NULL, NULL, &err);

	if (found == 0)
		find_cdb(folder, cdb,
		    "it is missing, so mail for the domain "
		    "waits");
	else if (found == -1)
		find_cdb(folder, cdb, err.text);
	else if (users != NULL && !vpasswd_file_is_compiled(users))
		find_cdb(folder, cdb,
		    "it was not made from 'vpasswd' as that is now, so the "
		    "last changes do not count");
	check_secret(folder, cdb, true);
	free(cdb);
}

static void
check_files(const struct folder *folder)
{
	struct check *check = folder->check;
	char *text = below(folder, "vpasswd");
	struct vpasswd_file *users = NULL;
	char *lock_path = below(folder, ".vpasswd.lock");
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
	else if (found == 0) {
		check_find(check, CHECK_ERROR, text, 0,
		    "it is missing: is its disk mounted?");
		check_remedy(check,
		    "put it back, or vadddomain %s for a new "
		    "one",
		    folder->domain->user);
	}
	check_users(folder, found == 1 ? users : NULL);
	check_secret(folder, text, false);
	/* Still with the lock: vdeluser moves a folder before the line goes. */
	if (found == 1) {
		check_postmaster(check, folder->domain, users);
		check_domain_users(check, folder->domain, users);
	}
out:
	check_unlock(lock);
	vpasswd_file_free(&users);
	free(lock_path);
	free(text);
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
	    "%s, so mail for all users of the domain waits", fault.reason.text);
	check_remedy(folder->check, "%s", remedy);
}

static void
check_default(const struct folder *folder)
{
	char *path = below(folder, ".qmail-default");
	struct stat st;

	if (stat(path, &st) == -1) {
		check_find(folder->check, CHECK_ERROR, path, 0,
		    "%s: without it mail for the domain's users is not "
		    "delivered",
		    strerror(errno));
		check_remedy(folder->check,
		    "echo \"| vdelivermail '' bounce-no-mailbox\" > '%s'",
		    path);
	} else if ((st.st_mode & 0022) != 0) {
		check_find(folder->check, CHECK_ERROR, path, 0,
		    "its mode is %03o, which lets others change it",
		    st.st_mode & 07777);
		check_remedy(folder->check, "chmod %03o '%s'",
		    st.st_mode & 07777 & ~0022, path);
	} else
		check_default_line(folder, path);
	free(path);
}

/* Workers write as vmail, and qmail-smtpd has to come through. */
static void
check_folder(
    const struct folder *folder, const char *assign_path, const struct stat *st)
{
	const struct check_assign *domain = folder->domain;
	struct check *check = folder->check;
	uid_t uid;

	if (check_owner_uid(check, folder->path, LAYOUT_VIRTUAL, &uid) &&
	    domain->uid != uid) {
		check_find(check, CHECK_ERROR, assign_path, domain->line,
		    "the domain '%s' has uid %lu, but mail is written by uid "
		    "%lu",
		    domain->user, (unsigned long)domain->uid,
		    (unsigned long)uid);
		check_remedy(check,
		    "chown -R %lu '%s' and write that uid, then qmail-newu",
		    (unsigned long)uid, folder->path);
	}
	if (st->st_uid != domain->uid) {
		check_find(check, CHECK_ERROR, folder->path, 0,
		    "it belongs to uid %lu, and users/assign says %lu",
		    (unsigned long)st->st_uid, (unsigned long)domain->uid);
		check_remedy(check, "chown %lu:%lu '%s'",
		    (unsigned long)domain->uid, (unsigned long)domain->gid,
		    folder->path);
	}
	if ((st->st_mode & 0022) != 0 || (st->st_mode & 0700) != 0700) {
		check_find(check, CHECK_ERROR, folder->path, 0,
		    "its mode is %03o: %s", st->st_mode & 07777,
		    (st->st_mode & 0022) != 0 ? "others may change it"
					      : "its owner may not write it");
		check_remedy(check, "chmod 751 '%s'", folder->path);
	} else if (has_reader(folder) && (st->st_mode & 0011) == 0) {
		check_find(check, CHECK_ERROR, folder->path, 0,
		    "its mode is %03o, so qmail-smtpd cannot look up users",
		    st->st_mode & 07777);
		check_remedy(check, "chmod 751 '%s'", folder->path);
	}
}

void
check_domain(struct check *check, const struct check_assigns *assigns,
    const struct check_assign *domain)
{
	const struct folder folder = { check, domain, domain->home };
	struct stat st;

	/* A missing one is the line's fault, and found there. */
	if (stat(domain->home, &st) == -1 || !S_ISDIR(st.st_mode))
		return;
	check_folder(&folder, assigns->path, &st);
	check_default(&folder);
	check_files(&folder);
}
