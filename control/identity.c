/* SPDX-License-Identifier: ISC */
/* The system users that a node's processes run as. */
#include "control/identity.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/process.h"

static const char *const role_users[IDENTITY_COUNT] = {
	[IDENTITY_SMTPD] = "qmaild",
	[IDENTITY_QUEUE] = "qmailq",
	[IDENTITY_VIRTUAL] = "vmail",
	[IDENTITY_LOG] = "qmaill",
	[IDENTITY_REMOTE] = "qmailr",
	[IDENTITY_RESOLVER] = "mqresolve",
	[IDENTITY_LOOKUP] = "mqlookup",
	[IDENTITY_CLUSTER] = "mqcluster",
	[IDENTITY_ADMIN] = "mqadmin",
	[IDENTITY_PROXY] = "mqproxy",
};

const char *
identity_name(enum identity_role role)
{
	const char *name = getenv("MQMAIL_USER");

	return name != NULL && *name != '\0' ? name : role_users[role];
}

int
identity_find(
    enum identity_role role, struct identity *identity_out, struct error *err)
{
	const struct passwd *pw;

	identity_out->name = identity_name(role);
	identity_out->uid = geteuid();
	identity_out->gid = getegid();
	if (identity_out->uid != 0)
		return 1;
	errno = 0;
	pw = getpwnam(identity_out->name);
	if (pw == NULL && (errno == 0 || errno == ENOENT || errno == ESRCH)) {
		error_set(err,
		    "no system user '%s': make it with 'svctool init "
		    "--create-users'",
		    identity_out->name);
		return 0;
	}
	if (pw == NULL)
		return error_sys(
		    err, "cannot look up the user '%s'", identity_out->name);
	identity_out->uid = pw->pw_uid;
	identity_out->gid = pw->pw_gid;
	return 1;
}

uid_t
identity_peer(enum identity_role self, enum identity_role role)
{
	const struct passwd *pw = getpwnam(identity_name(self));

	/* Not the role's own user: nobody changed users here. */
	if (pw == NULL || pw->pw_uid != geteuid())
		return geteuid();
	pw = getpwnam(identity_name(role));
	return pw == NULL ? geteuid() : pw->pw_uid;
}

int
identity_become(enum identity_role role, struct error *err)
{
	return identity_become_in(role, NULL, err);
}

int
identity_become_in(
    enum identity_role role, const char *group, struct error *err)
{
	struct identity identity;
	const struct group *found;

	if (geteuid() != 0)
		return 0;
	if (identity_find(role, &identity, err) != 1)
		return -1;
	found = group == NULL ? NULL : getgrnam(group);
	return user_become_in(identity.name, identity.uid, identity.gid,
	    found == NULL ? identity.gid : found->gr_gid, err);
}
