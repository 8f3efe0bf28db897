/* SPDX-License-Identifier: ISC */
/*
 * The result of an operator's command, and its program's exit code.  The
 * reason of anything but ADMIN_OK is in the struct error.
 */
#ifndef ADMINSRV_RESULT_H
#define ADMINSRV_RESULT_H

#include "base/error.h"

enum admin_result {
	ADMIN_OK = 0,
	ADMIN_REFUSED = 100, /* wrong as it was asked; again is wrong again */
	ADMIN_FAILED = 111   /* our trouble; what was begun, a rerun ends */
};

/* Set the reason, as error_set() and error_sys(). */
#define admin_refuse(err, ...) (error_set(err, __VA_ARGS__), ADMIN_REFUSED)
#define admin_fail(err, ...) (error_sys(err, __VA_ARGS__), ADMIN_FAILED)

/* The result of an action (0 or -1) whose failure is our trouble. */
static inline enum admin_result
admin_result_of(int result)
{
	return result == -1 ? ADMIN_FAILED : ADMIN_OK;
}

#endif
