/* SPDX-License-Identifier: ISC */
/*
 * Functions that do not compile here, because they are easily used to write
 * past an end or to keep state between callers.  Included by the Makefile
 * into every source file.
 */
#ifndef BASE_BANNED_H
#define BASE_BANNED_H

#include <stdio.h>
#include <string.h>

#pragma GCC poison strcpy strcat sprintf vsprintf strtok gets strncpy strncat

#endif
