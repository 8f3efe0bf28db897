/* SPDX-License-Identifier: ISC */
/* Common code of the command programs, for their main() only. */
#ifndef ADMINSRV_CLI_H
#define ADMINSRV_CLI_H

#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>

#include "adminsrv/names.h"
#include "adminsrv/password.h"
#include "adminsrv/result.h"
#include "adminsrv/users.h"
#include "base/buf.h"
#include "base/error.h"
#include "control/home.h"

/*
 * Answers --help and --version (base/usage.h).  Files are made with the modes
 * that the code says, whoever runs it.
 */
void cli_start(const char *program, char *const *argv, const char *usage);

/* Says the reason unless the result is ADMIN_OK; returns the exit code. */
int cli_end(enum admin_result result, const struct error *err);

/*
 * The same of a change; if it was made the operator's program is told of it
 * (adminsrv/hook.h): of the items to the NULL behind the last.
 */
int cli_end_change(const struct home *home, const char *command,
    enum admin_result result, struct error *err, ...) __attribute__((sentinel));

/* -v: cli_end_change() says on stdout what was done. */
void cli_be_verbose(void);
bool cli_is_verbose(void);
/* Of a command that has no other options. */
void cli_take_verbose(int argc, char *const *argv, const char *usage);

/* Logs each line as a warning. */
void cli_warn_lines(const struct buf *lines);

/* Prints the usage and exits 100. */
void cli_usage(const char *text) __attribute__((noreturn));

/*
 * Says what will go and asks for a yes on a terminal, unless is_sure.  Without
 * one nobody can be asked: then it is as is_sure says.  false: no.
 */
bool cli_confirm(bool is_sure, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* --yes, as -f. */
extern const struct option cli_yes[];

/* A user's domain opened to be changed.  home_out, users_out: the caller's. */
enum admin_result cli_open_user(const char *argument,
    struct names_address *address_out, struct home **home_out,
    struct users **users_out, struct error *err);
/* The domain of "domain", or of "@domain". */
enum admin_result cli_open_domain(const char *argument,
    char domain_out[NAMES_DOMAIN_SIZE], struct home **home_out,
    struct users **users_out, struct error *err);

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
