/* SPDX-License-Identifier: ISC */
/* Runs other programs and waits for them. */
#ifndef SVCTOOL_RUN_SPAWN_H
#define SVCTOOL_RUN_SPAWN_H

#include "base/error.h"

/*
 * Runs argv[0] (looked for in PATH when it has no slash) with our environment
 * and descriptors 0 to 2; input_path not NULL: with fd 0 from that file, and fd
 * 1 thrown away.  0 when it exits with 0; else -1, with how it ended.
 */
int spawn_wait(
    const char *const argv[], const char *input_path, struct error *err);

#endif
