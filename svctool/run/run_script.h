/* SPDX-License-Identifier: ISC */
/* The texts of run files, for sh. */
#ifndef SVCTOOL_RUN_RUN_SCRIPT_H
#define SVCTOOL_RUN_RUN_SCRIPT_H

#include "base/buf.h"

/* Puts text behind what buf holds, as one word of sh. */
void run_script_quote(struct buf *buf, const char *text);

/* A queue's run: programs is the folder of qmail-start. */
void run_script_queue(struct buf *buf, const char *global_vars,
    const char *programs, const char *queue_dir);

/* A listener's run; what it does is in its variables. */
void run_script_listener(struct buf *buf, const char *global_vars,
    const char *programs, const char *program, const char *pid_file);

/* The run of a program without arguments; what: for its comment. */
void run_script_plain(struct buf *buf, const char *what,
    const char *global_vars, const char *programs, const char *program);

/* The run of Dovecot, with its configuration and the file of its pid. */
void run_script_imap(struct buf *buf, const char *global_vars,
    const char *dovecot, const char *conf, const char *pid_file);

/* The run of a database, in the folder data; user NULL: as who starts it. */
void run_script_pgsql(struct buf *buf, const char *global_vars,
    const char *user, const char *programs, const char *data);

/* A log's run; user NULL: as who starts it. */
void run_script_log(struct buf *buf, const char *user, const char *log_dir);

#endif
