/* SPDX-License-Identifier: ISC */
/*
 * What became of an operator's command; also the program's exit code.  The
 * reason of anything but ADMIN_OK is in the struct error.
 */
#ifndef ADMINSRV_RESULT_H
#define ADMINSRV_RESULT_H

enum admin_result {
	ADMIN_OK = 0,
	ADMIN_REFUSED = 100, /* wrong as it was asked; again is wrong again */
	ADMIN_FAILED = 111   /* our trouble; what was begun, a rerun ends */
};

#endif
