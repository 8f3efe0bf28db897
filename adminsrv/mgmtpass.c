/* SPDX-License-Identifier: ISC */
/* mgmtpass: administrators and their passwords. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adminsrv/cli.h"
#include "adminsrv/database.h"
#include "base/log_text.h"
#include "base/mem.h"
#include "base/strlist.h"
#include "control/global_vars.h"

static const char usage[] =
    "usage: mgmtpass -u user -a password | -p password | -i | -d | -e | -E\n"
    "       mgmtpass -u user -D domain[,domain]|all\n"
    "       mgmtpass -l\n";

struct request {
	const char *user, *domains;
	char *password; /* owned */
	int what; /* the option; 0: none */
};

/* Says it, when nobody was changed. */
static enum admin_result
need_one(const struct request *request, enum pg_status status,
    const struct pg_result *result, struct error *err)
{
	if (status == PG_OK && pg_changed(result) == 0)
		return admin_refuse(
		    err, "there is no administrator '%s'", request->user);
	if (status == PG_DUPLICATE)
		return admin_refuse(err,
		    "there is an administrator '%s' already: -p changes the "
		    "password",
		    request->user);
	return database_result(status);
}

static enum admin_result
store_password(
    struct pg *pg, const struct request *request, struct error *err)
{
	AUTO(pg_result_free) struct pg_result *result = NULL;
	AUTO(buf_release) struct buf asked = BUF_INIT;
	AUTO(buf_release) struct buf hash = BUF_INIT;
	const char *password = request->password;
	enum pg_status status;

	if (strcmp(password, "-") == 0) {
		if (password_ask(request->user, &asked, err) == -1)
			return ADMIN_REFUSED;
		password = asked.data;
	}
	if (*password == '\0' || strlen(password) > PASSWORD_MAX)
		return admin_refuse(
		    err, "a password has 1 to %d bytes", PASSWORD_MAX);
	if (password_hash(password, NULL, &hash, err) == -1)
		return ADMIN_FAILED;
	if (asked.length > 0)
		explicit_bzero(asked.data, asked.length);
	status = database_run(pg, &result, err,
	    request->what == 'a'
		? "INSERT INTO mq.admins (name, hash) VALUES ($1, $2)"
		: "UPDATE mq.admins SET hash = $2, failures = 0, "
		  "locked_until = NULL, changed = now() WHERE name = $1",
	    request->user, hash.data, NULL);
	return need_one(request, status, result, err);
}

static enum admin_result
change_admin(struct pg *pg, const struct request *request, struct error *err)
{
	static const struct {
		int option;
		const char *sql;
	} rows[] = {
		{ 'd', "UPDATE mq.admins SET is_active = false, "
		       "changed = now() WHERE name = $1" },
		{ 'e', "UPDATE mq.admins SET is_active = true, failures = 0, "
		       "locked_until = NULL, changed = now() WHERE name = $1" },
		{ 'E', "DELETE FROM mq.admins WHERE name = $1" },
	};
	AUTO(pg_result_free) struct pg_result *result = NULL;
	enum pg_status status = PG_OK;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].option == request->what)
			status = database_run(pg, &result, err, rows[i].sql,
			    request->user, NULL);
	return need_one(request, status, result, err);
}

static enum admin_result
set_domains(struct pg *pg, const struct request *request, struct error *err)
{
	AUTO(pg_result_free) struct pg_result *result = NULL;
	AUTO(strlist_release) struct strlist domains = { .count = 0 };
	AUTO(buf_release) struct buf array = BUF_INIT;
	const char *at = strcmp(request->domains, "all") == 0
	    ? ""
	    : request->domains;
	enum pg_status status;

	while (*at != '\0') {
		OWN_TEXT name = xstrndup(at, strcspn(at, ","));
		char domain[NAMES_DOMAIN_SIZE];

		if (names_domain(name, domain, err) == -1)
			return ADMIN_REFUSED;
		strlist_add(&domains, domain);
		at += strcspn(at, ",");
		at += *at == ',';
	}
	buf_init(&array);
	pg_array(&array, (const char *const *)domains.items, domains.count);
	status = database_run(pg, &result, err,
	    "UPDATE mq.admins SET domains = $2::text[], changed = now() "
	    "WHERE name = $1",
	    request->user, array.data, NULL);
	return need_one(request, status, result, err);
}

static const char show_sql[] =
    "SELECT name, is_active, coalesce(locked_until > now(), false), failures, "
    "coalesce(to_char(last_login, 'YYYY-MM-DD HH24:MI:SS TZ'), 'never'), "
    "array_to_string(domains, ',') FROM mq.admins "
    "WHERE $1 = '' OR name = $1 ORDER BY name";

static enum admin_result
show_admins(struct pg *pg, const struct request *request, struct error *err)
{
	AUTO(pg_result_free) struct pg_result *rows = NULL;
	bool is_list = request->what == 'l';
	enum pg_status status = database_run(pg, &rows, err, show_sql,
	    is_list ? "" : request->user, NULL);

	if (status == PG_OK && !is_list && pg_rows(rows) == 0)
		return admin_refuse(
		    err, "there is no administrator '%s'", request->user);
	for (size_t i = 0; status == PG_OK && i < pg_rows(rows); i++) {
		if (is_list) {
			printf("%s\n", pg_text(rows, i, 0));
			continue;
		}
		printf("User         : %s\n", pg_text(rows, i, 0));
		printf("Status       : %s\n",
		    !pg_bool(rows, i, 1)       ? "disabled"
			: pg_bool(rows, i, 2) ? "locked out"
					      : "active");
		printf("Attempts     : %s\n", pg_text(rows, i, 3));
		printf("Last Access  : %s\n", pg_text(rows, i, 4));
		printf("Domains      : %s\n",
		    *pg_text(rows, i, 5) == '\0' ? "all" : pg_text(rows, i, 5));
	}
	return database_result(status);
}

static void
release_request(struct request *request)
{
	if (request->password != NULL)
		explicit_bzero(request->password, strlen(request->password));
	free(request->password);
}

static void
read_request(struct request *request, int argc, char **argv)
{
	int option;

	while ((option = getopt(argc, argv, "a:dD:eEilp:u:")) != -1) {
		if (option == '?' ||
		    (option != 'u' && request->what != 0))
			cli_usage(usage);
		if (option == 'u')
			request->user = optarg;
		else
			request->what = option;
		if (option == 'a' || option == 'p') {
			request->password = xstrdup(optarg);
			if (strcmp(optarg, "-") != 0)
				explicit_bzero(optarg, strlen(optarg));
		} else if (option == 'D')
			request->domains = optarg;
	}
	if (optind != argc || request->what == 0 ||
	    (request->user == NULL) != (request->what == 'l'))
		cli_usage(usage);
}

int
main(int argc, char **argv)
{
	AUTO(release_request) struct request request = { .user = NULL };
	AUTO(home_free) struct home *home = NULL;
	AUTO(pg_free) struct pg *pg = NULL;
	enum admin_result result;
	struct error err;

	cli_start("mgmtpass", argv, usage);
	read_request(&request, argc, argv);
	home = global_vars_home();
	result = database_open(home->control, true, &pg, &err);
	if (result != ADMIN_OK)
		return cli_end(result, &err);
	switch (request.what) {
	case 'a':
	case 'p':
		result = store_password(pg, &request, &err);
		break;
	case 'D':
		result = set_domains(pg, &request, &err);
		break;
	case 'i':
	case 'l':
		result = show_admins(pg, &request, &err);
		break;
	default:
		result = change_admin(pg, &request, &err);
	}
	return cli_end(result, &err);
}
