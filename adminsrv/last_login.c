/* SPDX-License-Identifier: ISC */
/* When users were last there. */
#include "adminsrv/last_login.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adminsrv/database.h"
#include "adminsrv/owner.h"
#include "adminsrv/users_backend.h"
#include "base/mem.h"
#include "control/layout.h"
#include "lookupd/logins.h"

static void
take_later(const char *service, const char *ip, int64_t at_s, void *context)
{
	int64_t *latest_s = context;

	(void)service;
	(void)ip;
	if (at_s > *latest_s)
		*latest_s = at_s;
}

static int
ask_table(
    struct users *users, const char *name, int64_t *at_s_out, struct error *err)
{
	AUTO(pg_result_free) struct pg_result *result = NULL;
	const char *id;
	struct pg *pg = users_pg_connection(users, &id);

	if (database_run(pg, &result, err,
		"SELECT extract(epoch FROM greatest(u.created, max(a.at)))"
		"::bigint FROM mq.users u LEFT JOIN mq.last_auth a "
		"ON a.user_id = u.id WHERE u.domain_id = $1 AND u.name = $2 "
		"GROUP BY u.created",
		id, name, NULL) != PG_OK)
		return -1;
	if (pg_rows(result) > 0)
		*at_s_out = pg_number(result, 0, 0);
	return 0;
}

/* 1; 0; -1.  The files are not the domain's owner's, but of who notes logins. */
static int
tell_file(const struct home *home, const struct users *users, const char *name,
    void (*tell)(
	const char *service, const char *ip, int64_t at_s, void *context),
    void *context, struct error *err)
{
	OWN_TEXT logins = layout_path(home, LAYOUT_logins);
	uid_t uid = geteuid();
	gid_t gid = getegid();
	int result;

	if (users->is_entered)
		owner_leave();
	result = logins_each(logins, name, users->domain, tell, context, err);
	return users->is_entered && owner_enter(uid, gid, err) != ADMIN_OK
	    ? -1
	    : result;
}

static int
tell_table(struct users *users, const char *name,
    void (*tell)(
	const char *service, const char *ip, int64_t at_s, void *context),
    void *context, struct error *err)
{
	AUTO(pg_result_free) struct pg_result *result = NULL;
	const char *id;
	struct pg *pg = users_pg_connection(users, &id);

	if (database_run(pg, &result, err,
		"SELECT l.service, l.ip, extract(epoch FROM l.at)::bigint FROM "
		"mq.users u, LATERAL (SELECT service, remote_ip AS ip, at FROM "
		"mq.last_auth WHERE user_id = u.id UNION ALL SELECT 'relay', "
		"ip, at FROM mq.relay WHERE user_id = u.id) l "
		"WHERE u.domain_id = $1 AND u.name = $2 ORDER BY 1, 2",
		id, name, NULL) != PG_OK)
		return -1;
	for (size_t row = 0; row < pg_rows(result); row++)
		tell(pg_text(result, row, 0), pg_text(result, row, 1),
		    pg_number(result, row, 2), context);
	return 0;
}

int
last_login_each(const struct home *home, struct users *users, const char *name,
    void (*tell)(
	const char *service, const char *ip, int64_t at_s, void *context),
    void *context, struct error *err)
{
	if (users->backend == &users_pg)
		return tell_table(users, name, tell, context, err);
	return tell_file(home, users, name, tell, context, err) == -1 ? -1 : 0;
}

static int
look_at_folder(const char *path, int64_t *at_s, struct error *err)
{
	struct stat st;

	if (stat(path, &st) == -1)
		return errno == ENOENT
		    ? 0
		    : error_sys(err, "cannot look at '%s'", path);
	take_later("", "", st.st_mtime, at_s);
	return 0;
}

int
last_login(const struct home *home, struct users *users,
    const struct vpasswd_entry *entry, int64_t *at_s_out, struct error *err)
{
	OWN_TEXT maildir = xasprintf("%s/Maildir", entry->dir);
	OWN_TEXT cur = xasprintf("%s/cur", maildir);
	int result;

	*at_s_out = 0;
	result = users->backend == &users_pg
	    ? ask_table(users, entry->name, at_s_out, err)
	    : tell_file(home, users, entry->name, take_later, at_s_out, err);
	/* Deliveries change the Maildir itself, too, where there is a quota. */
	if (result == -1 ||
	    (*at_s_out == 0 && look_at_folder(maildir, at_s_out, err) == -1))
		return -1;
	return look_at_folder(cur, at_s_out, err);
}
