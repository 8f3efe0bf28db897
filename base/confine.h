/* SPDX-License-Identifier: ISC */
/*
 * A process gives up what it does not need, so that whoever takes it over gets
 * little: files (Landlock) and system calls (seccomp).
 *
 * What the kernel does not know is left out.  Both hold for all that follows,
 * threads and programs included, and cannot be undone.
 */
#ifndef BASE_CONFINE_H
#define BASE_CONFINE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* For the thread that calls and those that it makes. */
struct confine_rules {
	/*
	 * NULL: no file can be opened any more.  Else all can be read, none be
	 * executed, and only below this folder they are written, made, removed.
	 */
	const char *folder;
	/*
	 * TCP ports it may connect to; it may listen on none (Linux 6.7).  NULL:
	 * nothing is forbidden.
	 */
	const unsigned short *tcp_ports;
	size_t tcp_port_count;
};

/* 0; or -1 with the reason. */
int confine_files(const struct confine_rules *rules, struct error *err);

/*
 * For all threads: only calls that a server with threads needs that starts no
 * program and, unless has_files, neither opens a file nor begins to listen;
 * others fail with EPERM.  0; or -1.  With a sanitizer built in, which needs
 * more of them, nothing is done.
 */
int confine_calls(bool has_files, struct error *err);

#endif
