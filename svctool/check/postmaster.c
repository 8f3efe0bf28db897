/* SPDX-License-Identifier: ISC */
/*
 * Does a virtual domain's postmaster get mail?  The SMTP server takes it in any
 * case (RFC 5321 4.5.1), and it waits in the queue when nobody is to have it.
 */
#include <stdlib.h>

#include "adminsrv/vpasswd_file.h"
#include "base/mem.h"
#include "delivery/domain_rules.h"
#include "lookupd/store.h"
#include "svctool/check/domain.h"

/* Does mail for whom is no user go anywhere?  True when that is not known. */
static bool
is_taken(const struct check_assign *domain)
{
	struct domain_rules *rules = domain_rules_new();
	const struct absent_rule *rule;
	struct error err;
	bool result;

	domain_rules_begin(rules);
	result = domain_rules_find(
		     rules, domain->home, "postmaster", &rule, &err) != 1 ||
	    (rule->action != ABSENT_BOUNCE && rule->action != ABSENT_DELETE);
	domain_rules_free(&rules);
	return result;
}

static void
check_entry(struct check *check, const struct check_assign *domain,
    const char *path, const struct vpasswd_entry *entry)
{
	if (entry->uid_flags & VPASSWD_INACTIVE) {
		check_find(check, CHECK_ERROR, path, 0,
		    "'postmaster' is inactive, so mail for postmaster@%s waits",
		    domain->user);
		check_remedy(check, "vmoduser -n postmaster@%s", domain->user);
	}
	if (entry->gid_flags & STORE_BOUNCE_MAIL) {
		check_find(check, CHECK_ERROR, path, 0,
		    "'postmaster' is marked to bounce, so mail for "
		    "postmaster@%s waits",
		    domain->user);
		check_remedy(check, "vmoduser -tb postmaster@%s", domain->user);
	}
}

void
check_postmaster(struct check *check, const struct check_assign *domain,
    const struct vpasswd_file *users)
{
	const struct vpasswd_entry *entry = vpasswd_file_find(
	    users, "postmaster");
	char *path = xasprintf("%s/vpasswd", domain->home);

	if (entry != NULL)
		check_entry(check, domain, path, entry);
	else if (!is_taken(domain)) {
		check_find(check, CHECK_ERROR, path, 0,
		    "there is no 'postmaster', so mail for postmaster@%s waits",
		    domain->user);
		check_remedy(check, "vadduser -n postmaster@%s", domain->user);
	}
	free(path);
}
