/* SPDX-License-Identifier: ISC */
/* dbinfo: shows where clustered domains are, and imports an MCD file. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "adminsrv/cli.h"
#include "adminsrv/database.h"
#include "adminsrv/view.h"
#include "base/file.h"
#include "base/mem.h"

enum { MCD_MAX = 16 * 1024 * 1024 };

static const char usage[] = "usage: dbinfo -s | -l [-d domain]\n"
			    "       dbinfo --import mcdinfo [--repair]\n";

static const struct option long_options[] = {
	{ "import", required_argument, NULL, 'I' },
	{ "repair", no_argument, NULL, 'R' },
	{ NULL, 0, NULL, 0 },
};

/* As an MCD file has them: the password is nobody's to see. */
static enum admin_result
show_blocks(struct pg *pg, const char *domain, struct error *err)
{
	AUTO(pg_result_free) struct pg_result *rows = NULL;
	enum pg_status status = database_run(pg, &rows, err,
	    "SELECT domain, distributed, server, mdahost, port, use_ssl, "
	    "dbname, \"user\" FROM public.dbinfo WHERE $1 = '' OR domain = $1 "
	    "ORDER BY 1, 4",
	    domain, NULL);
	static const char *const words[] = { "server", "mdahost", "port",
		"use_ssl", "database", "user" };

	if (status != PG_OK)
		return database_result(status);
	if (pg_rows(rows) == 0)
		return admin_refuse(err, "there is no such clustered domain");
	for (size_t i = 0; i < pg_rows(rows); i++) {
		printf("%sdomain   %s %s\n", i == 0 ? "" : "\n",
		    pg_text(rows, i, 0), pg_text(rows, i, 1));
		for (size_t c = 0; c < sizeof(words) / sizeof(words[0]); c++)
			printf("%-8s %s\n", words[c], pg_text(rows, i, c + 2));
		puts("pass     *");
	}
	return ADMIN_OK;
}

/* One record of an MCD file (reference 4.3). */
struct record {
	char domain[NAMES_DOMAIN_SIZE];
	char *mdahost;
	bool is_distributed;
	unsigned line;
};

/* What a record asks for that is not there yet; made with is_repair. */
static enum admin_result
import_record(struct pg *pg, const struct record *record, bool is_repair,
    size_t *count, struct error *err)
{
	AUTO(pg_result_free) struct pg_result *row = NULL;
	const char *host = record->mdahost;
	enum pg_status status;

	if (!record->is_distributed || host == NULL)
		return ADMIN_OK;
	status = database_run(pg, &row, err,
	    "SELECT EXISTS (SELECT FROM mq.nodes WHERE $2 IN (host, name)), "
	    "(SELECT is_clustered FROM mq.domains WHERE name = $1)",
	    record->domain, host, NULL);
	if (status == PG_OK && !pg_bool(row, 0, 0)) {
		++*count;
		printf("legacy server %s: %s\n", host,
		    is_repair ? "added" : "missing");
		if (is_repair)
			status = database_run(pg, NULL, err,
			    "INSERT INTO mq.nodes (name, host, role, "
			    "smtp_port, imap_port, pop3_port) VALUES "
			    "(lower($1), $1, 'legacy', 25, 143, 110)",
			    host, NULL);
	}
	if (status != PG_OK)
		return database_result(status);
	if (pg_text(row, 0, 1) == NULL) {
		++*count;
		printf("domain %s: no clustered domain yet: vadddomain "
		       "--cluster %s, then vconvert --from indimail\n",
		    record->domain, record->domain);
	} else if (!pg_bool(row, 0, 1)) {
		++*count;
		printf("domain %s: one node's alone\n", record->domain);
	}
	return ADMIN_OK;
}

/* A line of a record.  0, or -1. */
static int
read_line(struct record *record, char *line, struct error *err)
{
	char *rest = line;
	const char *word = strsep(&rest, " \t");
	char *value;

	while (rest != NULL && (*rest == ' ' || *rest == '\t'))
		rest++;
	value = rest == NULL ? line + strlen(line) : rest;
	if (strcmp(word, "domain") == 0) {
		char *flag = value + strcspn(value, " \t");

		record->is_distributed = *flag != '\0' &&
		    strchr(flag, '1') != NULL;
		*flag = '\0';
		return names_domain(value, record->domain, err);
	}
	value[strcspn(value, " \t")] = '\0';
	if (strcmp(word, "mdahost") == 0) {
		free(record->mdahost);
		record->mdahost = xstrdup(value);
	}
	return 0;
}

static enum admin_result
import_file(
    struct pg *pg, const char *path, bool is_repair, struct error *err)
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	struct record record = { .mdahost = NULL };
	enum admin_result result = ADMIN_OK;
	char *rest, *line;
	size_t count = 0;
	unsigned number = 0;
	int found = file_read(path, MCD_MAX, &text, err);

	if (found != 1)
		return found == 0 ? admin_refuse(err, "no file '%s'", path)
				  : ADMIN_FAILED;
	rest = text.data;
	while (result == ADMIN_OK && (line = strsep(&rest, "\n")) != NULL) {
		number++;
		line += strspn(line, " \t");
		line[strcspn(line, "\r")] = '\0';
		if (*line == '#')
			continue;
		/* A record ends at an empty line, or where the next begins. */
		if ((*line == '\0' || strncmp(line, "domain", 6) == 0) &&
		    *record.domain != '\0') {
			result = import_record(
			    pg, &record, is_repair, &count, err);
			*record.domain = '\0';
			mem_free(&record.mdahost);
			record.mdahost = NULL;
		}
		if (*line != '\0' && read_line(&record, line, err) == -1) {
			error_context(err, "'%s' line %u", path, number);
			result = ADMIN_REFUSED;
		}
	}
	if (result == ADMIN_OK && *record.domain != '\0')
		result = import_record(pg, &record, is_repair, &count, err);
	free(record.mdahost);
	if (result == ADMIN_OK && count == 0)
		puts("nothing to do");
	return result;
}

int
main(int argc, char **argv)
{
	static const char *const titles[] = { "Domain", "Server", "MDA host",
		"Port", "SSL", "Database", "User", NULL };
	AUTO(home_free) struct home *home = NULL;
	AUTO(pg_free) struct pg *pg = NULL;
	char domain[NAMES_DOMAIN_SIZE] = "";
	const char *file = NULL;
	bool is_repair = false;
	enum admin_result result;
	struct error err;
	int option, act = 0;

	cli_start("dbinfo", argv, usage);
	while ((option = getopt_long(
		    argc, argv, "d:ls", long_options, NULL)) != -1) {
		if (option == 'd') {
			if (names_domain(optarg, domain, &err) == -1)
				return cli_end(ADMIN_REFUSED, &err);
		} else if (option == 'R')
			is_repair = true;
		else if (option == '?' || act != 0)
			cli_usage(usage);
		else {
			act = option;
			file = optarg;
		}
	}
	if (act == 0 || argc != optind || (is_repair && act != 'I'))
		cli_usage(usage);
	result = view_open(&home, &pg, &err);
	if (result == ADMIN_OK && act == 's')
		result = show_blocks(pg, domain, &err);
	else if (result == ADMIN_OK && act == 'l')
		result = view_print(pg,
		    "SELECT domain, server, mdahost, port, use_ssl, dbname, "
		    "\"user\" FROM public.dbinfo WHERE $1 = '' OR domain = $1 "
		    "ORDER BY 1, 3",
		    (const char *const[]){ domain }, 1, titles,
		    "such clustered domain", &err);
	else if (result == ADMIN_OK)
		result = import_file(pg, file, is_repair, &err);
	return cli_end(result, &err);
}
