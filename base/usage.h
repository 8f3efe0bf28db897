/* SPDX-License-Identifier: ISC */
/* The answers that every program gives about itself. */
#ifndef BASE_USAGE_H
#define BASE_USAGE_H

/* The release, as NEWS has it. */
#define MQMAIL_VERSION "0.1"

/*
 * For the start of main(): when the first argument is --help, prints usage
 * (one line or several, with or without a newline behind the last) to standard
 * output and exits 0; when it is --version, prints "PROGRAM (mqmail) VERSION"
 * and exits 0.  Exits 111 when that cannot be written.  Else it returns, and
 * the program reads its arguments, also those two in any other place.
 */
void usage_answer(char *const *argv, const char *program, const char *usage);

#endif
