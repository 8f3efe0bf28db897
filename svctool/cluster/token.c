/* SPDX-License-Identifier: ISC */
/* svctool cluster token: what a node needs once to join. */
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "adminsrv/database.h"
#include "base/mem.h"
#include "svctool/args.h"
#include "svctool/cluster/cluster.h"
#include "svctool/queue/select.h"
#include "svctool/svctool.h"

enum { TOKEN_BYTES = 24, STANDARD_S = 3600, SPAN_MAX_S = 30 * 86400 };

static void
put_hex(const unsigned char *bytes, size_t count, char *text_out)
{
	for (size_t i = 0; i < count; i++)
		snprintf(text_out + 2 * i, 3, "%02x", bytes[i]);
}

void
cluster_token_hash(const char *token, char hash_out[CLUSTER_HASH_SIZE])
{
	unsigned char digest[SHA256_DIGEST_LENGTH];

	SHA256((const unsigned char *)token, strlen(token), digest);
	put_hex(digest, sizeof(digest), hash_out);
}

/* Old ones go, so that the table does not grow. */
static const char token_sql[] =
    "WITH old AS (DELETE FROM mq.join_tokens "
    "WHERE expires < now() - interval '30 days') "
    "INSERT INTO mq.join_tokens (hash, node, expires) "
    "VALUES ($1, $2, now() + $3::bigint * interval '1 second') "
    "RETURNING to_char(expires AT TIME ZONE 'UTC', "
    "'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')";

static int
make_token(struct cluster_command *command, const char *name, uint64_t span_s)
{
	AUTO(pg_result_free) struct pg_result *row = NULL;
	OWN_TEXT span = xasprintf("%llu", (unsigned long long)span_s);
	unsigned char bytes[TOKEN_BYTES];
	char token[2 * TOKEN_BYTES + 1], hash[CLUSTER_HASH_SIZE];
	struct error err;
	enum pg_status status;

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes)) {
		error_sys(&err, "the system gives no random numbers");
		return complain(EXIT_TROUBLE, &err);
	}
	put_hex(bytes, sizeof(bytes), token);
	cluster_token_hash(token, hash);
	status = database_run(
	    command->pg, &row, &err, token_sql, hash, name, span, NULL);
	if (status != PG_OK)
		return cluster_complain(command, status, &err);
	if (command->is_json)
		cluster_print(command,
		    json_pack("{s:s, s:s, s:s}", "token", token, "node", name,
			"expires", pg_text(row, 0, 0)));
	else
		puts(token);
	fprintf(stderr, "good once, until %s: svctool cluster join --token\n",
	    pg_text(row, 0, 0));
	return EXIT_FINE;
}

int
cluster_token(int argc, char **argv)
{
	AUTO(cluster_release) struct cluster_command command = { .home = NULL };
	AUTO(cluster_identity_release)
	struct cluster_identity identity = { .name = "" };
	const char *span = NULL, *name = NULL;
	const struct arg_row rows[] = {
		{ "for", ARG_TEXT, &span },
		{ "name", ARG_TEXT, &name },
		CLUSTER_ROWS(command),
		{ NULL, ARG_FLAG, NULL },
	};
	uint64_t span_s = STANDARD_S;
	struct error err;
	int code;

	if (args_parse(rows, argc, argv, NULL, &err) == -1)
		return complain(EXIT_USAGE, &err);
	if (span != NULL &&
	    (!scan_time(span, &span_s) || span_s == 0 || span_s > SPAN_MAX_S)) {
		error_set(&err,
		    "--for takes a time, like 90s, 10m or 2d, 30d at most");
		return complain(EXIT_USAGE, &err);
	}
	code = cluster_open_member(&command, &identity);
	return code == EXIT_FINE
	    ? make_token(&command, name == NULL ? "" : name, span_s)
	    : code;
}
