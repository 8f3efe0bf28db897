/* SPDX-License-Identifier: ISC */
/* Common code of the command programs. */
#include "adminsrv/cli.h"

#include <assert.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adminsrv/hook.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/scan.h"
#include "base/usage.h"
#include "control/global_vars.h"
#include "lookupd/vpasswd.h"

enum { CHANGE_ITEMS_MAX = 8 };

static bool is_verbose;

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
cli_be_verbose(void)
{
	is_verbose = true;
}

bool
cli_is_verbose(void)
{
	return is_verbose;
}

void
cli_take_verbose(int argc, char *const *argv, const char *usage)
{
	int option;

	while ((option = getopt(argc, argv, "v")) != -1)
		if (option == 'v')
			cli_be_verbose();
		else
			cli_usage(usage);
}

int
cli_end_change(const struct home *home, const char *command,
    enum admin_result result, struct error *err, ...)
{
	const char *items[CHANGE_ITEMS_MAX];
	size_t count = 0;
	va_list list;

	va_start(list, err);
	for (const char *item; (item = va_arg(list, const char *)) != NULL;) {
		assert(count < CHANGE_ITEMS_MAX);
		items[count++] = item;
	}
	va_end(list);
	if (result == ADMIN_OK)
		result = hook_run(home, command, items, count, false, err);
	if (result == ADMIN_OK && is_verbose) {
		fputs("done:", stdout);
		for (size_t i = 0; i < count; i++)
			printf("%s%s", *items[i] == '\0' ? "" : " ", items[i]);
		putchar('\n');
	}
	return cli_end(result, err);
}

void
cli_warn_lines(const struct buf *lines)
{
	for (const char *at = lines->data; *at != '\0';) {
		int length = (int)strcspn(at, "\n");

		log_line("warning: %.*s", length, at);
		at += length + (at[length] == '\n');
	}
}

const struct option cli_yes[] = {
	{ "yes", no_argument, NULL, 'f' },
	{ NULL, 0, NULL, 0 },
};

bool
cli_confirm(bool is_sure, const char *format, ...)
{
	char answer[8] = "";
	va_list list;

	if (is_sure || !isatty(STDIN_FILENO))
		return is_sure;
	va_start(list, format);
	vfprintf(stderr, format, list);
	va_end(list);
	fputs("  Go on? [y/N] ", stderr);
	return fgets(answer, sizeof(answer), stdin) != NULL &&
	    (strcasecmp(answer, "y\n") == 0 ||
		strcasecmp(answer, "yes\n") == 0);
}

enum admin_result
cli_open_user(const char *argument, struct names_address *address_out,
    struct home **home_out, struct users **users_out, struct error *err)
{
	if (names_address(argument, address_out, err) == -1)
		return ADMIN_REFUSED;
	*home_out = global_vars_home();
	return users_open_named(
	    (*home_out)->root, address_out->domain, users_out, err);
}

enum admin_result
cli_open_domain(const char *argument, char domain_out[NAMES_DOMAIN_SIZE],
    struct home **home_out, struct users **users_out, struct error *err)
{
	if (names_domain(argument + (*argument == '@'), domain_out, err) == -1)
		return ADMIN_REFUSED;
	*home_out = global_vars_home();
	return users_open_named((*home_out)->root, domain_out, users_out, err);
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
