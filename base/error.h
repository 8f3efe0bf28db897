/* SPDX-License-Identifier: ISC */
/*
 * The reason of a failure, handed up to whoever decides what it means.
 *
 * Messages say what failed first, in lower case, without a full stop, with the
 * subject in quotes: cannot open 'control/me': No such file or directory.
 */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

struct error {
	char text[512];
};

/* Sets the reason.  err may be NULL.  Always returns -1. */
int error_set(struct error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The same with ": " and the text of errno added; errno is kept. */
int error_sys(struct error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Puts more context and ": " in front of a reason.  Always returns -1. */
int error_context(struct error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
