/* SPDX-License-Identifier: ISC */
/* lookupd's statements: one for many questions of a kind. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "lookupd/database_private.h"
#include "lookupd/vpasswd.h"

#define LIMIT_COLUMN(name) ", l." #name
const char database_limit_columns[] =
#define STORE_LIMIT(name) LIMIT_COLUMN(name)
#include "lookupd/limits.tbl"
#undef STORE_LIMIT
    ;
/* The questions, numbered from 1: q.n. */
#define QUESTIONS                                                       \
	" FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS q(name, " \
	"domain, n) JOIN mq.domains d ON d.name = q.domain "
#define USERS                                                       \
	QUESTIONS "JOIN mq.users u ON u.domain_id = d.id AND u.name = " \
		  "q.name " USER_STORE
#define DOMAIN_LIMITS \
	"LEFT JOIN mq.limits l ON l.domain_id = d.id AND l.user_name = '' "

/* A row for a found question, and all of its rows together. */
static const struct pg_statement statements[QUERY_KIND_COUNT] = {
	[QUERY_USER] = { "lookup_user",
	    "SELECT q.n, " USER_COLUMN_LIST USERS },
	[QUERY_PASSWORD] = { "lookup_password",
	    "SELECT q.n, " PASSWORD_COLUMN_LIST
#define STORE_LIMIT(name) LIMIT_COLUMN(name)
#include "lookupd/limits.tbl"
#undef STORE_LIMIT
	    USERS DOMAIN_LIMITS },
	[QUERY_ALIAS] = { "lookup_alias",
	    "SELECT q.n, a.line" QUESTIONS
	    "JOIN mq.aliases a ON a.domain_id = d.id AND a.name = q.name "
	    "ORDER BY q.n, a.created, a.line" },
	[QUERY_LIMITS] = { "lookup_limits",
	    "SELECT q.n"
#define STORE_LIMIT(name) LIMIT_COLUMN(name)
#include "lookupd/limits.tbl"
#undef STORE_LIMIT
	    QUESTIONS "JOIN mq.limits l ON l.domain_id = d.id AND "
		      "l.user_name = q.name" },
	[QUERY_FILTERS] = { "lookup_filters",
	    "SELECT q.n, " FILTER_COLUMN_LIST QUESTIONS
	    "JOIN mq.filters f ON f.domain_id = d.id AND f.user_name = q.name "
	    "ORDER BY q.n, f.number" },
	[QUERY_DOMAIN] = { "lookup_domain",
	    "SELECT q.n, d.name" QUESTIONS
	    "UNION ALL SELECT q.n, d.name FROM unnest($1::text[], $2::text[]) "
	    "WITH ORDINALITY AS q(name, domain, n) "
	    "JOIN mq.domain_aliases a ON a.name = q.domain "
	    "JOIN mq.domains d ON d.id = a.domain_id" },
	[QUERY_RELAY] = { "lookup_relay",
	    "SELECT q.n, greatest(0, extract(epoch FROM now() - "
	    "r.at))::bigint FROM unnest($1::text[], $2::text[], $3::text[]) "
	    "WITH ORDINALITY AS q(name, domain, ip, n) "
	    "JOIN mq.domains d ON d.name = q.domain "
	    "JOIN mq.users u ON u.domain_id = d.id AND u.name = q.name "
	    "JOIN mq.relay r ON r.user_id = u.id AND r.ip = q.ip" },
	[QUERY_PLACE] = { "lookup_place",
	    "SELECT q.n, " PLACE_COLUMN_LIST QUESTIONS DOMAIN_PLACE
	    "AND q.name = ''" },
};

#define LOGINS                                                              \
	" FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], "     \
	"$5::bigint[]) AS q(name, domain, service, ip, at) "                \
	"JOIN mq.domains d ON d.name = q.domain "                           \
	"JOIN mq.users u ON u.domain_id = d.id AND u.name = q.name "

/* In the order of users, so that writers never wait for each other. */
static const struct pg_statement note_logins = { "note_logins",
	"WITH noted AS (INSERT INTO mq.last_auth AS t (user_id, service, remote_ip, at) "
	"SELECT DISTINCT ON (u.id, q.service) u.id, q.service, q.ip, "
	"to_timestamp(q.at)" LOGINS "ORDER BY u.id, q.service, q.at DESC "
	"ON CONFLICT (user_id, service) DO UPDATE SET remote_ip = "
	"excluded.remote_ip, at = excluded.at WHERE t.at <= excluded.at "
	"RETURNING user_id) "
	/* Who was inactive for being away is back (vpasswd.h). */
	"UPDATE mq.users u SET uid_flags = u.uid_flags & ~16 FROM noted "
	"WHERE u.id = noted.user_id AND u.uid_flags & 48 = 48" };
static const struct pg_statement note_relays = { "note_relays",
	"INSERT INTO mq.relay AS t (user_id, ip, at) "
	"SELECT DISTINCT ON (u.id, q.ip) u.id, q.ip, to_timestamp(q.at)" LOGINS
	"ORDER BY u.id, q.ip, q.at DESC "
	"ON CONFLICT (user_id, ip) DO UPDATE SET at = excluded.at "
	"WHERE t.at <= excluded.at" };

static const char *
text_or_empty(const struct pg_result *result, size_t row, size_t column)
{
	const char *text = pg_text(result, row, column);

	return text == NULL ? "" : text;
}

/* store is NULL without one. */
static void
get_place_row(const struct pg_result *result, size_t row, size_t column,
    struct query_place *place)
{
	*place = (struct query_place){
		.store = pg_text(result, row, column),
		.node = text_or_empty(result, row, column + 1),
		.epoch = (uint64_t)pg_number(result, row, column + 2),
		.is_moving = pg_bool(result, row, column + 3),
		.is_many_served = pg_bool(result, row, column + 4),
	};
}

void
database_put_place(struct buf *record, const struct pg_result *result,
    size_t row, size_t column)
{
	struct query_place place;

	get_place_row(result, row, column, &place);
	query_put_place(record, &place);
}

static void
get_user_row(const struct pg_result *result, size_t row, size_t column,
    struct query_user *user)
{
	*user = (struct query_user){
		.flags = (unsigned)pg_number(result, row, column),
		.uid_flags = (unsigned)pg_number(result, row, column + 1),
		.dir = text_or_empty(result, row, column + 2),
		.quota = text_or_empty(result, row, column + 3),
		.has_no_filters = pg_bool(result, row, column + 4),
	};
	get_place_row(result, row, column + 5, &user->place);
}

void
database_put_password(struct buf *record, const struct pg_result *result,
    size_t row, size_t column, unsigned limits_flags)
{
	struct query_password password = {
		.limits_flags = limits_flags,
		.hash = text_or_empty(result, row, column + 10),
		.scram = text_or_empty(result, row, column + 11),
		.secret = text_or_empty(result, row, column + 12),
		.gecos = text_or_empty(result, row, column + 13),
	};

	get_user_row(result, row, column, &password.user);
	query_put_password(record, &password);
}

void
database_get_limits(const struct pg_result *result, size_t row, size_t column,
    struct store_limits *limits_out)
{
	*limits_out = (struct store_limits){ .values = { 0 } };
	for (size_t i = 0; i < STORE_LIMIT_COUNT; i++) {
		limits_out->has[i] = pg_text(result, row, column + i) != NULL;
		limits_out->values[i] = pg_number(result, row, column + i);
	}
}

void
database_put_filter(struct buf *record, const struct pg_result *result,
    size_t row, size_t column)
{
	const struct store_filter filter = {
		.number = (int)pg_number(result, row, column),
		.header = (int)pg_number(result, row, column + 1),
		.comparison = (int)pg_number(result, row, column + 2),
		.name = text_or_empty(result, row, column + 3),
		.keyword = text_or_empty(result, row, column + 4),
		.destination = text_or_empty(result, row, column + 5),
		.bounce_action = text_or_empty(result, row, column + 6),
	};

	query_put_filter(record, &filter);
}

/* What a row adds to its question's record. */
static void
take_row(struct fetch *fetch, const struct pg_result *result, size_t row)
{
	struct store_limits limits;
	struct query_user user;
	const char *text;

	fetch->state = QUERY_FOUND;
	switch (fetch->query.kind) {
	case QUERY_USER:
		get_user_row(result, row, 1, &user);
		query_put_user(&fetch->record, &user);
		break;
	case QUERY_PASSWORD:
		database_get_limits(
		    result, row, 1 + PASSWORD_COLUMNS, &limits);
		database_put_password(&fetch->record, result, row, 1,
		    store_limits_flags(&limits));
		break;
	case QUERY_ALIAS:
	case QUERY_DOMAIN:
		text = text_or_empty(result, row, 1);
		buf_add(&fetch->record, text, strlen(text) + 1);
		break;
	case QUERY_LIMITS:
		database_get_limits(result, row, 1, &limits);
		query_put_limits(&fetch->record, &limits);
		break;
	case QUERY_FILTERS:
		database_put_filter(&fetch->record, result, row, 1);
		break;
	case QUERY_RELAY:
		fetch->number = (uint64_t)pg_number(result, row, 1);
		if (fetch->number > fetch->query.number)
			fetch->state = QUERY_ABSENT;
		break;
	case QUERY_PLACE:
		database_put_place(&fetch->record, result, row, 1);
		break;
	case QUERY_LOGIN:
	case QUERY_STATS:
	case QUERY_KIND_COUNT:
		assert(false);
	}
}

/* The server takes no other text; nor does it hold any. */
static const char *
utf8_or_empty(const char *text)
{
	const char *at = text;

	while (*at != '\0') {
		uint32_t code;
		size_t length = utf8_decode(at, strlen(at), &code);

		if (length == 0)
			return "";
		at += length;
	}
	return text;
}

enum pg_status
database_read(struct database *database, struct pg *pg,
    struct fetch **fetches, size_t count, struct error *err)
{
	const struct pg_statement *statement =
	    &statements[fetches[0]->query.kind];
	bool is_relay = fetches[0]->query.kind == QUERY_RELAY;
	const char *names[FETCH_BATCH], *domains[FETCH_BATCH];
	const char *ips[FETCH_BATCH];
	AUTO(buf_release) struct buf name_array = BUF_INIT;
	AUTO(buf_release) struct buf domain_array = BUF_INIT;
	AUTO(buf_release) struct buf ip_array = BUF_INIT;
	AUTO(pg_result_free) struct pg_result *result = NULL;
	int64_t now_ms = clock_ms();
	enum pg_status status;

	for (size_t i = 0; i < count; i++) {
		names[i] = utf8_or_empty(fetches[i]->query.local);
		domains[i] = utf8_or_empty(fetches[i]->query.domain);
		ips[i] = fetches[i]->query.ip;
		/* No name is not the domain's. */
		if (*names[i] == '\0' && *fetches[i]->query.local != '\0')
			domains[i] = "";
	}
	pg_array(&name_array, names, count);
	pg_array(&domain_array, domains, count);
	pg_array(&ip_array, ips, count);
	status = pg_run(pg, statement,
	    (const char *const[]){
		name_array.data, domain_array.data, ip_array.data },
	    is_relay ? 3 : 2, database->statement_ms, &result, err);
	if (status != PG_OK)
		return status;
	for (size_t i = 0; i < count; i++) {
		fetches[i]->state = QUERY_ABSENT;
		fetches[i]->source = QUERY_FROM_DATABASE;
		fetches[i]->read_at_ms = now_ms;
		fetches[i]->is_behind = false;
		buf_reset(&fetches[i]->record);
	}
	for (size_t row = 0; row < pg_rows(result); row++) {
		int64_t n = pg_number(result, row, 0);

		if (n >= 1 && n <= (int64_t)count)
			take_row(fetches[n - 1], result, row);
	}
	database->statements++;
	database->rows += pg_rows(result);
	return PG_OK;
}

static void
add_number(struct buf *array, uint64_t number)
{
	buf_addf(array, "%s%" PRIu64, array->length == 0 ? "{" : ",", number);
}

/* Those of them that open relaying, or all. */
static enum pg_status
write_rows(struct database *database, struct pg *pg,
    const struct pg_statement *statement, bool is_relay,
    const struct query *logins, size_t count, struct error *err)
{
	const char *texts[4][FETCH_BATCH];
	struct buf arrays[5] = { BUF_INIT, BUF_INIT, BUF_INIT, BUF_INIT,
		BUF_INIT };
	enum pg_status status = PG_OK;
	size_t used = 0;

	assert(count <= FETCH_BATCH);
	for (size_t i = 0; i < count; i++) {
		const struct query *login = &logins[i];

		if ((is_relay && !login->opens_relay) ||
		    *utf8_or_empty(login->local) == '\0' ||
		    *utf8_or_empty(login->domain) == '\0')
			continue;
		texts[0][used] = login->local;
		texts[1][used] = login->domain;
		texts[2][used] = login->service;
		texts[3][used++] = login->ip;
		add_number(&arrays[4], login->number);
	}
	buf_addc(&arrays[4], '}');
	for (size_t i = 0; i < 4; i++)
		pg_array(&arrays[i], texts[i], used);
	if (used > 0)
		status = pg_run(pg, statement,
		    (const char *const[]){ arrays[0].data, arrays[1].data,
			arrays[2].data, arrays[3].data, arrays[4].data },
		    5, database->statement_ms, NULL, err);
	for (size_t i = 0; i < 5; i++)
		buf_release(&arrays[i]);
	return status;
}

enum pg_status
database_write_logins(struct database *database, struct pg *pg,
    const struct query *logins, size_t count, struct error *err)
{
	enum pg_status status = write_rows(
	    database, pg, &note_logins, false, logins, count, err);

	return status != PG_OK
	    ? status
	    : write_rows(database, pg, &note_relays, true, logins, count, err);
}
