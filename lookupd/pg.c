/* SPDX-License-Identifier: ISC */
/* One connection to PostgreSQL. */
#include "lookupd/pg.h"

#include <assert.h>
#include <errno.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/strlist.h"

enum {
	CONNECT_MS = 5000,
	CONTROL_MS = 10000,   /* BEGIN, COMMIT, the begin of a COPY */
	RECOVERY_MS = 10000,  /* how often a writer is asked what it is */
	UNANSWERED_MS = 10000 /* bytes sent that TCP gets no answer for */
};

struct pg {
	struct strlist keywords, values; /* what all hosts have in common */
	struct strlist hosts, addresses, ports;
	size_t host_count; /* at least 1, also when the string names none */
	size_t first_host; /* is tried first */
	bool is_writer, is_prefer_standby, has_pooler;
	int connect_ms;

	PGconn *conn;        /* NULL: not connected */
	bool is_transaction; /* begun, and neither committed nor rolled back */
	struct strlist prepared;
	int64_t recovery_at; /* when to ask whether it is a standby now */
	char sqlstate[6];
};

struct pg_result {
	PGresult *result;
};

/* libpq's texts are lines: they become one. */
static void
clean_reason(const char *message, char *out, size_t size)
{
	size_t length = 0;

	while (*message == '\n' || *message == ' ')
		message++;
	for (; *message != '\0' && length + 3 < size; message++) {
		if (*message != '\n')
			out[length++] = *message == '\t' ? ' ' : *message;
		else if (message[1] != '\0') {
			out[length++] = ';';
			out[length++] = ' ';
		}
	}
	out[length] = '\0';
}

static int
set_reason(struct error *err, const char *what, const char *message)
{
	char reason[400];

	clean_reason(message, reason, sizeof(reason));
	return error_set(
	    err, "%s%s%s", what, *reason == '\0' ? "" : ": ", reason);
}

static void
split_list(struct strlist *list, const char *text)
{
	for (;; text++) {
		size_t length = strcspn(text, ",");

		strlist_addn(list, text, length);
		text += length;
		if (*text == '\0')
			return;
	}
}

static void
add_option(struct pg *pg, const char *keyword, const char *value)
{
	strlist_add(&pg->keywords, keyword);
	strlist_add(&pg->values, value);
}

static bool
has_option(const struct pg *pg, const char *keyword)
{
	return strlist_has(&pg->keywords, keyword);
}

/* The lists are as libpq wants them: one port may stand for all. */
static int
check_lists(struct pg *pg, struct error *err)
{
	size_t hosts = pg->hosts.count, addresses = pg->addresses.count;

	pg->host_count = hosts > addresses ? hosts : addresses;
	if (pg->host_count == 0)
		pg->host_count = 1;
	if ((hosts > 0 && addresses > 0 && hosts != addresses) ||
	    (pg->ports.count > 1 && pg->ports.count != pg->host_count))
		return error_set(err,
		    "the connection string does not have as many host, "
		    "hostaddr and port");
	return 0;
}

static void
take_option(struct pg *pg, const PQconninfoOption *option)
{
	if (option->val == NULL)
		return;
	if (strcmp(option->keyword, "host") == 0)
		split_list(&pg->hosts, option->val);
	else if (strcmp(option->keyword, "hostaddr") == 0)
		split_list(&pg->addresses, option->val);
	else if (strcmp(option->keyword, "port") == 0)
		split_list(&pg->ports, option->val);
	else if (strcmp(option->keyword, "target_session_attrs") == 0 &&
	    strcmp(option->val, "prefer-standby") == 0)
		pg->is_prefer_standby = true;
	else
		add_option(pg, option->keyword, option->val);
}

/* What we want unless the string says otherwise. */
static void
add_defaults(struct pg *pg, const struct pg_options *options)
{
	char number[16];

	snprintf(number, sizeof(number), "%d", UNANSWERED_MS);
	if (!has_option(pg, "tcp_user_timeout"))
		add_option(pg, "tcp_user_timeout", number);
	if (!has_option(pg, "application_name"))
		add_option(pg, "application_name", options->program);
	if (!has_option(pg, "client_encoding"))
		add_option(pg, "client_encoding", "UTF8");
	if (!has_option(pg, "target_session_attrs") && !pg->is_prefer_standby) {
		if (!options->is_writer)
			pg->is_prefer_standby = true;
		/* pgbouncer says what a server was: it is asked instead. */
		else if (!options->has_pooler)
			add_option(pg, "target_session_attrs", "read-write");
	}
	/* A pooler knows no options. */
	if (options->statement_ms > 0 && !options->has_pooler &&
	    !has_option(pg, "options")) {
		OWN_TEXT text = xasprintf(
		    "-c statement_timeout=%d", options->statement_ms);

		add_option(pg, "options", text);
	}
}

/* libpq's reason may quote a part of a password: it is not told. */
struct pg *
pg_new(const struct pg_options *options, struct error *err)
{
	PQconninfoOption *parsed = PQconninfoParse(options->conninfo, NULL);
	struct pg *pg;
	int result;

	if (parsed == NULL) {
		error_set(err,
		    "the connection string cannot be read; write for example "
		    "host=db1.example.org,db2.example.org dbname=mqmail "
		    "user=mqmail");
		return NULL;
	}
	pg = xcalloc(1, sizeof(*pg));
	pg->is_writer = options->is_writer;
	pg->has_pooler = options->has_pooler;
	pg->connect_ms = options->connect_ms > 0 ? options->connect_ms
						 : CONNECT_MS;
	for (const PQconninfoOption *at = parsed; at->keyword != NULL; at++)
		take_option(pg, at);
	PQconninfoFree(parsed);
	add_defaults(pg, options);
	result = check_lists(pg, err);
	if (result == -1)
		pg_free(&pg);
	return pg;
}

static void
wipe_list(struct strlist *list)
{
	for (size_t i = 0; i < list->count; i++)
		explicit_bzero(list->items[i], strlen(list->items[i]));
	strlist_release(list);
}

void
pg_free(struct pg **pg)
{
	if (*pg == NULL)
		return;
	pg_drop(*pg);
	strlist_release(&(*pg)->keywords);
	wipe_list(&(*pg)->values);
	strlist_release(&(*pg)->hosts);
	strlist_release(&(*pg)->addresses);
	strlist_release(&(*pg)->ports);
	free(*pg);
	*pg = NULL;
}

/* Without the socket libpq has nothing to wait for. */
static void
finish(PGconn *conn)
{
	if (PQsocket(conn) != -1)
		shutdown(PQsocket(conn), SHUT_RDWR);
	PQfinish(conn);
}

void
pg_drop(struct pg *pg)
{
	if (pg->conn != NULL)
		finish(pg->conn);
	pg->conn = NULL;
	strlist_release(&pg->prepared);
}

bool
pg_is_connected(const struct pg *pg)
{
	return pg->conn != NULL;
}

size_t
pg_host_count(const struct pg *pg)
{
	return pg->host_count;
}

const char *
pg_host(const struct pg *pg)
{
	const char *host = pg->conn == NULL ? NULL : PQhost(pg->conn);

	return host == NULL ? "" : host;
}

const char *
pg_sqlstate(const struct pg *pg)
{
	return pg->sqlstate;
}

static void
drop_result(void *result)
{
	PQclear(*(PGresult **)result);
}

static void
ignore_notice(void *context, const PGresult *result)
{
	(void)context;
	(void)result;
}

enum { PARAMS_MAX = 64 };

/* Begins to connect to one host; never NULL. */
static PGconn *
start_host(const struct pg *pg, size_t host, const char *attributes)
{
	const char *keywords[PARAMS_MAX + 1], *values[PARAMS_MAX + 1];
	size_t count = 0;
	PGconn *conn;
	const struct {
		const char *keyword;
		const struct strlist *list;
	} own[] = { { "host", &pg->hosts }, { "hostaddr", &pg->addresses },
		{ "port", &pg->ports } };

	assert(pg->keywords.count + 4 <= PARAMS_MAX);
	for (; count < pg->keywords.count; count++) {
		keywords[count] = pg->keywords.items[count];
		values[count] = pg->values.items[count];
	}
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		if (own[i].list->count > 0) {
			keywords[count] = own[i].keyword;
			values[count++] =
			    own[i].list->items[own[i].list->count == 1 ? 0
								       : host];
		}
	if (attributes != NULL) {
		keywords[count] = "target_session_attrs";
		values[count++] = attributes;
	}
	keywords[count] = values[count] = NULL;
	while ((conn = PQconnectStartParams(keywords, values, 0)) == NULL)
		free(xmalloc(64)); /* waits for memory, or ends it all */
	return conn;
}

/* Goes on until it is connected; false: it cannot be, or not in time. */
static bool
poll_connection(PGconn *conn, int64_t deadline_ms, const char **reason_out)
{
	PostgresPollingStatusType wanted = PGRES_POLLING_WRITING;

	*reason_out = NULL;
	if (PQstatus(conn) == CONNECTION_BAD)
		return false;
	for (;;) {
		short events = wanted == PGRES_POLLING_READING ? POLLIN
							       : POLLOUT;

		if (clock_wait_fd(PQsocket(conn), events, deadline_ms) != 1) {
			*reason_out = "no answer in time";
			return false;
		}
		wanted = PQconnectPoll(conn);
		if (wanted == PGRES_POLLING_OK)
			return true;
		if (wanted == PGRES_POLLING_FAILED)
			return false;
	}
}

/*
 * Does the server know us, but not let us in?  libpq gives no SQLSTATE of a
 * connection that failed.
 */
static bool
is_refusal(PGconn *conn)
{
	static const char *const texts[] = { "password authentication failed",
		"authentication failed for user", "no pg_hba.conf entry",
		"does not exist", "no password supplied" };
	const char *message = PQerrorMessage(conn);

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (strstr(message, "FATAL:") != NULL &&
		    strstr(message, texts[i]) != NULL)
			return true;
	return strstr(message, "no password supplied") != NULL;
}

/* A pooler may lead each transaction to another server. */
static void
plan_recovery_check(struct pg *pg)
{
	pg->recovery_at = clock_ms() + (pg->has_pooler ? 0 : RECOVERY_MS);
}

static enum pg_status
connect_host(struct pg *pg, size_t host, const char *attributes,
    int64_t deadline_ms, struct error *err)
{
	int64_t own_deadline_ms = clock_ms() + pg->connect_ms;
	PGconn *conn = start_host(pg, host, attributes);
	const char *reason;
	enum pg_status status;

	if (own_deadline_ms > deadline_ms)
		own_deadline_ms = deadline_ms;
	if (poll_connection(conn, own_deadline_ms, &reason)) {
		PQsetnonblocking(conn, 1);
		PQsetNoticeReceiver(conn, ignore_notice, NULL);
		pg->conn = conn;
		pg->first_host = host;
		plan_recovery_check(pg);
		return PG_OK;
	}
	status = reason == NULL && is_refusal(conn) ? PG_REFUSED : PG_UNKNOWN;
	set_reason(err, "cannot connect to the database",
	    reason != NULL ? reason : PQerrorMessage(conn));
	finish(conn);
	return status;
}

/* Each host once; the reason is the last one's. */
static enum pg_status
connect_any(struct pg *pg, const char *attributes, int64_t deadline_ms,
    struct error *err)
{
	enum pg_status status = PG_UNKNOWN;
	size_t first = pg->first_host;

	for (size_t i = 0; i < pg->host_count; i++) {
		if (i > 0 && clock_ms() >= deadline_ms)
			break;
		status = connect_host(pg, (first + i) % pg->host_count,
		    attributes, deadline_ms, err);
		if (status == PG_OK)
			return status;
	}
	pg->first_host = (first + 1) % pg->host_count;
	return status;
}

static enum pg_status
connect_until(struct pg *pg, int64_t deadline_ms, struct error *err)
{
	enum pg_status status;

	pg->sqlstate[0] = '\0';
	if (pg->conn != NULL)
		return PG_OK;
	if (!pg->is_prefer_standby)
		return connect_any(pg, NULL, deadline_ms, err);
	/* Of one host there is nothing to choose. */
	status = pg->host_count == 1
	    ? PG_UNKNOWN
	    : connect_any(pg, "standby", deadline_ms, err);
	return status == PG_OK ? status
			       : connect_any(pg, "any", deadline_ms, err);
}

enum pg_status
pg_connect(struct pg *pg, int timeout_ms, struct error *err)
{
	return connect_until(pg, clock_ms() + timeout_ms, err);
}

/* The next host is asked first: this one has just failed us. */
static enum pg_status
lose(struct pg *pg, const char *reason, struct error *err)
{
	set_reason(err, "lost the database", reason);
	pg_drop(pg);
	pg->first_host = (pg->first_host + 1) % pg->host_count;
	return PG_UNKNOWN;
}

static bool
is_class(const char *sqlstate, const char *class)
{
	return strncmp(sqlstate, class, strlen(class)) == 0;
}

/* What a failure means, by its SQLSTATE (PostgreSQL's appendix A). */
static enum pg_status
judge_sqlstate(const char *sqlstate)
{
	static const char *const unknown[] = {
		"08",    /* connection */
		"25006", /* read-only transaction */
		"40",    /* rollback: deadlock, serialization */
		"53",    /* no more disk, memory, connections */
		"55",    /* not in the state: locks, recovery */
		"57",    /* operator: shutdown, cancel, time-out */
		"58",    /* system, I/O */
		"XX",    /* internal */
	};

	if (strcmp(sqlstate, "23505") == 0)
		return PG_DUPLICATE;
	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
		if (is_class(sqlstate, unknown[i]))
			return PG_UNKNOWN;
	return *sqlstate == '\0' ? PG_UNKNOWN : PG_REFUSED;
}

/* Takes note of a result that is an error. */
static enum pg_status
judge_result(struct pg *pg, const PGresult *result, struct error *err)
{
	const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *message = PQresultErrorField(
	    result, PG_DIAG_MESSAGE_PRIMARY);

	if (sqlstate == NULL)
		sqlstate = "";
	snprintf(pg->sqlstate, sizeof(pg->sqlstate), "%s", sqlstate);
	set_reason(err, "the database says",
	    message != NULL ? message : PQresultErrorMessage(result));
	return judge_sqlstate(sqlstate);
}

/* Sends all that libpq has.  false: lost, or not in time. */
static bool
flush_until(PGconn *conn, int64_t deadline_ms)
{
	int left;

	while ((left = PQflush(conn)) == 1) {
		struct pollfd wait = { .fd = PQsocket(conn),
			.events = POLLIN | POLLOUT };
		int64_t rest = deadline_ms - clock_ms();

		if (rest <= 0 || poll(&wait, 1, (int)rest) == 0)
			return false;
		/* The server may want to be read before it reads on. */
		if ((wait.revents & POLLIN) != 0 && !PQconsumeInput(conn))
			return false;
	}
	return left == 0;
}

/* The next result, or NULL behind the last; false: lost, or not in time. */
static bool
next_result(PGconn *conn, int64_t deadline_ms, PGresult **result_out)
{
	*result_out = NULL;
	while (PQisBusy(conn)) {
		if (clock_wait_fd(PQsocket(conn), POLLIN, deadline_ms) != 1 ||
		    !PQconsumeInput(conn))
			return false;
	}
	*result_out = PQgetResult(conn);
	return true;
}

/* Why a wait ended without what it was for. */
static const char *
lost_reason(const struct pg *pg, int64_t deadline_ms)
{
	return clock_ms() >= deadline_ms ? "no answer in time"
					 : PQerrorMessage(pg->conn);
}

/*
 * Waits for the answer to what was sent; the first result that is wrong counts,
 * else the last.  Without an answer in time the connection is dropped.
 */
static enum pg_status
finish_query(
    struct pg *pg, int64_t deadline_ms, PGresult **kept_out, struct error *err)
{
	AUTO(drop_result) PGresult *kept = NULL;
	enum pg_status status = PG_OK;
	PGresult *result;

	if (!flush_until(pg->conn, deadline_ms))
		return lose(pg, lost_reason(pg, deadline_ms), err);
	for (;;) {
		ExecStatusType kind;

		if (!next_result(pg->conn, deadline_ms, &result))
			return lose(pg, lost_reason(pg, deadline_ms), err);
		if (result == NULL)
			break;
		kind = PQresultStatus(result);
		if (status == PG_OK && kind != PGRES_TUPLES_OK &&
		    kind != PGRES_COMMAND_OK && kind != PGRES_COPY_IN)
			status = judge_result(pg, result, err);
		PQclear(kept);
		kept = result;
		if (kind == PGRES_COPY_IN)
			break; /* the data is wanted now */
	}
	if (PQstatus(pg->conn) != CONNECTION_OK)
		return lose(pg, PQerrorMessage(pg->conn), err);
	if (status == PG_UNKNOWN &&
	    PQtransactionStatus(pg->conn) == PQTRANS_IDLE)
		pg_drop(pg); /* it may be better elsewhere */
	if (kept_out != NULL && status == PG_OK) {
		*kept_out = kept;
		kept = NULL;
	}
	return status;
}

/*
 * Has the server gone while nothing was asked?  One that was shut down has said
 * so before the end, which only the next look at the connection shows.
 */
static bool
is_stale(PGconn *conn)
{
	struct pollfd look = { .fd = PQsocket(conn), .events = POLLIN };

	while (poll(&look, 1, 0) == 1)
		if (!PQconsumeInput(conn) || PQstatus(conn) != CONNECTION_OK)
			return true;
	return false;
}

static enum pg_status
send_and_finish(struct pg *pg, int is_sent, int64_t deadline_ms,
    PGresult **kept_out, struct error *err)
{
	if (!is_sent)
		return lose(pg, PQerrorMessage(pg->conn), err);
	return finish_query(pg, deadline_ms, kept_out, err);
}

/*
 * A session is never checked again by itself, and a primary may have become a
 * standby.  Between transactions only.
 */
static enum pg_status
check_recovery(struct pg *pg, int64_t deadline_ms, struct error *err)
{
	AUTO(drop_result) PGresult *result = NULL;
	enum pg_status status;

	if (!pg->is_writer || clock_ms() < pg->recovery_at)
		return PG_OK;
	status = send_and_finish(pg,
	    PQsendQueryParams(pg->conn, "SELECT pg_is_in_recovery()", 0, NULL,
		NULL, NULL, NULL, 0),
	    deadline_ms, &result, err);
	if (status != PG_OK)
		return status;
	plan_recovery_check(pg);
	if (strcmp(PQgetvalue(result, 0, 0), "t") == 0)
		return lose(pg, "it is a standby by now", err);
	return PG_OK;
}

/* A connection that can be sent something. */
static enum pg_status
make_ready(struct pg *pg, int64_t deadline_ms, struct error *err)
{
	struct error reason;
	enum pg_status status;
	bool is_new;

	if (pg->is_transaction) {
		if (pg->conn != NULL)
			return PG_OK;
		error_set(err, "lost the database within a change");
		return PG_UNKNOWN;
	}
	if (pg->conn != NULL && PQtransactionStatus(pg->conn) == PQTRANS_IDLE &&
	    (is_stale(pg->conn) ||
		check_recovery(pg, deadline_ms, &reason) != PG_OK))
		pg_drop(pg);
	is_new = pg->conn == NULL;
	status = connect_until(pg, deadline_ms, err);
	if (status == PG_OK && is_new && pg->has_pooler)
		status = check_recovery(pg, deadline_ms, err);
	return status;
}

/* Once in each connection. */
static enum pg_status
prepare(struct pg *pg, const struct pg_statement *statement,
    int64_t deadline_ms, struct error *err)
{
	enum pg_status status;

	if (strlist_has(&pg->prepared, statement->name))
		return PG_OK;
	status = send_and_finish(pg,
	    PQsendPrepare(pg->conn, statement->name, statement->sql, 0, NULL),
	    deadline_ms, NULL, err);
	if (status == PG_OK)
		strlist_add(&pg->prepared, statement->name);
	return status;
}

enum pg_status
pg_run(struct pg *pg, const struct pg_statement *statement,
    const char *const *params, size_t count, int timeout_ms,
    struct pg_result **result_out, struct error *err)
{
	int64_t deadline_ms = clock_ms() + timeout_ms;
	enum pg_status status = make_ready(pg, deadline_ms, err);
	bool is_named = statement->name != NULL && !pg->has_pooler;
	AUTO(drop_result) PGresult *result = NULL;

	if (result_out != NULL)
		*result_out = NULL;
	if (status == PG_OK && is_named)
		status = prepare(pg, statement, deadline_ms, err);
	if (status == PG_OK)
		status = send_and_finish(pg,
		    is_named ? PQsendQueryPrepared(pg->conn, statement->name,
				   (int)count, params, NULL, NULL, 0)
			     : PQsendQueryParams(pg->conn, statement->sql,
				   (int)count, NULL, params, NULL, NULL, 0),
		    deadline_ms, &result, err);
	if (status == PG_OK && result_out != NULL) {
		*result_out = xcalloc(1, sizeof(**result_out));
		(*result_out)->result = result;
		result = NULL;
	}
	return status;
}

enum pg_status
pg_script(struct pg *pg, const char *sql, int timeout_ms, struct error *err)
{
	int64_t deadline_ms = clock_ms() + timeout_ms;
	enum pg_status status = make_ready(pg, deadline_ms, err);

	return status != PG_OK ? status
			       : send_and_finish(pg, PQsendQuery(pg->conn, sql),
				     deadline_ms, NULL, err);
}

enum pg_status
pg_begin(struct pg *pg, struct error *err)
{
	enum pg_status status = pg_script(pg, "BEGIN", CONTROL_MS, err);

	pg->is_transaction = status == PG_OK;
	return status;
}

/* COMMIT of a transaction that failed is a ROLLBACK, and no error. */
enum pg_status
pg_commit(struct pg *pg, struct error *err)
{
	enum pg_status status;

	if (pg->conn != NULL &&
	    PQtransactionStatus(pg->conn) != PQTRANS_INTRANS) {
		pg_rollback(pg);
		error_set(err, "a part of the change failed before");
		return PG_UNKNOWN;
	}
	status = pg_script(pg, "COMMIT", CONTROL_MS, err);
	pg->is_transaction = false;
	return status;
}

void
pg_rollback(struct pg *pg)
{
	struct error ignored;

	if (pg->conn != NULL && PQtransactionStatus(pg->conn) != PQTRANS_IDLE &&
	    pg_script(pg, "ROLLBACK", CONTROL_MS, &ignored) != PG_OK)
		pg_drop(pg);
	pg->is_transaction = false;
}

enum pg_status
pg_copy_begin(struct pg *pg, const char *sql, struct error *err)
{
	return pg_script(pg, sql, CONTROL_MS, err);
}

enum pg_status
pg_copy_put(struct pg *pg, const char *data, size_t length, struct error *err)
{
	if (pg->conn == NULL) {
		error_set(err, "lost the database within a COPY");
		return PG_UNKNOWN;
	}
	/* libpq takes all of it: what is left to send is waited for here. */
	if (PQputCopyData(pg->conn, data, (int)length) != 1 ||
	    !flush_until(pg->conn, clock_ms() + CONTROL_MS))
		return lose(pg, PQerrorMessage(pg->conn), err);
	return PG_OK;
}

enum pg_status
pg_copy_end(struct pg *pg, int timeout_ms, struct error *err)
{
	if (pg->conn == NULL) {
		error_set(err, "lost the database within a COPY");
		return PG_UNKNOWN;
	}
	return send_and_finish(pg, PQputCopyEnd(pg->conn, NULL) == 1,
	    clock_ms() + timeout_ms, NULL, err);
}

void
pg_copy_field(struct buf *line, const char *text)
{
	if (text == NULL) {
		buf_adds(line, "\\N");
		return;
	}
	for (; *text != '\0'; text++)
		switch (*text) {
		case '\\':
			buf_adds(line, "\\\\");
			break;
		case '\t':
			buf_adds(line, "\\t");
			break;
		case '\n':
			buf_adds(line, "\\n");
			break;
		case '\r':
			buf_adds(line, "\\r");
			break;
		default:
			buf_addc(line, *text);
		}
}

static bool
take_notifies(PGconn *conn)
{
	PGnotify *notify;
	bool has_any = false;

	while ((notify = PQnotifies(conn)) != NULL) {
		has_any = true;
		PQfreemem(notify);
	}
	return has_any;
}

int
pg_wait_notify(struct pg *pg, int wake_fd, int timeout_ms, struct error *err)
{
	struct pollfd waits[] = { { .events = POLLIN },
		{ .fd = wake_fd, .events = POLLIN } };
	int count;

	if (pg->conn == NULL)
		return error_set(err, "there is no connection");
	if (take_notifies(pg->conn))
		return 1; /* it came with an answer */
	waits[0].fd = PQsocket(pg->conn);
	count = poll(waits, wake_fd == -1 ? 1 : 2, timeout_ms);
	if (count == -1 && errno != EINTR)
		return error_sys(err, "cannot wait for the database");
	if (count < 1 || (waits[0].revents & (POLLIN | POLLHUP | POLLERR)) == 0)
		return 0;
	if (!PQconsumeInput(pg->conn) || PQstatus(pg->conn) != CONNECTION_OK) {
		lose(pg, PQerrorMessage(pg->conn), err);
		return -1;
	}
	return take_notifies(pg->conn);
}

size_t
pg_rows(const struct pg_result *result)
{
	return (size_t)PQntuples(result->result);
}

size_t
pg_changed(const struct pg_result *result)
{
	return strtoul(PQcmdTuples(result->result), NULL, 10);
}

const char *
pg_text(const struct pg_result *result, size_t row, size_t column)
{
	return PQgetisnull(result->result, (int)row, (int)column)
	    ? NULL
	    : PQgetvalue(result->result, (int)row, (int)column);
}

size_t
pg_length(const struct pg_result *result, size_t row, size_t column)
{
	return (size_t)PQgetlength(result->result, (int)row, (int)column);
}

int64_t
pg_number(const struct pg_result *result, size_t row, size_t column)
{
	const char *text = pg_text(result, row, column);

	return text == NULL ? 0 : strtoll(text, NULL, 10);
}

bool
pg_bool(const struct pg_result *result, size_t row, size_t column)
{
	const char *text = pg_text(result, row, column);

	return text != NULL && *text == 't';
}

void
pg_result_free(struct pg_result **result)
{
	if (*result == NULL)
		return;
	PQclear((*result)->result);
	free(*result);
	*result = NULL;
}

void
pg_array(struct buf *text, const char *const *items, size_t count)
{
	buf_addc(text, '{');
	for (size_t i = 0; i < count; i++) {
		buf_adds(text, i == 0 ? "\"" : ",\"");
		for (const char *at = items[i]; *at != '\0'; at++) {
			if (*at == '"' || *at == '\\')
				buf_addc(text, '\\');
			buf_addc(text, *at);
		}
		buf_addc(text, '"');
	}
	buf_addc(text, '}');
}
