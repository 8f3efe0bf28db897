/* SPDX-License-Identifier: ISC */
/* What programs that were killed left of files that they wrote. */
#ifndef BASE_FILE_SWEEP_H
#define BASE_FILE_SWEEP_H

#include "base/error.h"

/*
 * Removes the files NAME.tmp.PID of a folder (see file_replace() in
 * base/file.h) whose process is no more.  Gives how many, or -1.
 */
int file_sweep(const char *folder, struct error *err);

#endif
