/* SPDX-License-Identifier: ISC */
/* Common code of the command programs. */
#include "adminsrv/cli.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/scan.h"
#include "base/usage.h"
#include "lookupd/vpasswd.h"

void
cli_start(const char *program, char *const *argv, const char *usage)
{
	log_open(program);
	usage_answer(argv, program, usage);
	umask(022);
}

int
cli_end(enum admin_result result, const struct error *err)
{
	if (result != ADMIN_OK)
		log_line("fatal: %s", err->text);
	return (int)result;
}

void
cli_usage(const char *text)
{
	fputs(text, stderr);
	exit(ADMIN_REFUSED);
}

unsigned
cli_number(char option, const char *text, unsigned min, unsigned max)
{
	uint64_t value;

	if (!scan_u64(text, max, &value) || value < min)
		fatal(ADMIN_REFUSED, "-%c '%s' is not a number from %u to %u",
		    option, text, min, max);
	return (unsigned)value;
}

bool
cli_password_option(
    struct cli_password *password, int option, const char *argument)
{
	switch (option) {
	case 'C':
		password->keeps_secret = true;
		return true;
	case 'e':
		password->is_hashed = true;
		return true;
	case 'n':
		password->is_none = true;
		return true;
	case 'r':
		password->random_length = cli_number('r', argument, 8, 128);
		return true;
	case 'h':
		password->method = argument;
		return true;
	}
	return false;
}

enum admin_result
cli_password_hash(const struct cli_password *password, const char *subject,
    struct password_data *data_out, struct error *err)
{
	AUTO(buf_release) struct buf clear = BUF_INIT;
	int result = 0;

	password_data_take("", data_out);
	if (password->is_none) {
		password_data_take(VPASSWD_NO_PASSWORD, data_out);
		return ADMIN_OK;
	}
	buf_init(&clear);
	if (password->argument != NULL)
		buf_adds(&clear, password->argument);
	else if (password->random_length > 0)
		result = password_random(password->random_length, &clear, err);
	else
		result = password_ask(subject, &clear, err);
	if (result == 0 && password->is_hashed)
		password_data_take(clear.data, data_out);
	else if (result == 0)
		result = password_data_make(clear.data, password->method,
		    password->keeps_secret, data_out, err);
	if (result == 0 && password->random_length > 0 &&
	    password->argument == NULL)
		printf("Password: %s\n", clear.data);
	explicit_bzero(clear.data, clear.size);
	return result == 0 ? ADMIN_OK : ADMIN_REFUSED;
}
