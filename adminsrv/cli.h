/* SPDX-License-Identifier: ISC */
/* Common code of the command programs, for their main() only. */
#ifndef ADMINSRV_CLI_H
#define ADMINSRV_CLI_H

#include <stdbool.h>
#include <stddef.h>

#include "adminsrv/password.h"
#include "adminsrv/result.h"
#include "base/buf.h"
#include "base/error.h"

/*
 * Answers --help and --version (base/usage.h).  Files are made with the modes
 * that the code says, whoever runs it.
 */
void cli_start(const char *program, char *const *argv, const char *usage);

/* Says the reason unless the result is ADMIN_OK; returns the exit code. */
int cli_end(enum admin_result result, const struct error *err);

/* Prints the usage and exits 100. */
void cli_usage(const char *text) __attribute__((noreturn));

/* A number from an option's argument, or exits 100. */
unsigned cli_number(char option, const char *text, unsigned min, unsigned max);

/* How a command line says what a password shall be. */
struct cli_password {
	bool is_hashed;       /* -e: the password is a hash already */
	bool is_none;         /* -n: no password opens this account */
	bool keeps_secret;    /* -C: keep it for APOP and CRAM-MD5, too */
	size_t random_length; /* -r: make one up and print it */
	const char *method;   /* -h, or NULL */
	const char *argument; /* from the command line, or NULL: ask */
};

/* Takes care of one of the options C, e, n, r, h; false: another one. */
bool cli_password_option(
    struct cli_password *password, int option, const char *argument);

/*
 * What is to be stored for subject ("alice@example.test"); asks where it must.
 * The caller releases *data_out in any case.
 */
enum admin_result cli_password_hash(const struct cli_password *password,
    const char *subject, struct password_data *data_out, struct error *err);

#endif
