/* SPDX-License-Identifier: ISC */
/* The texts of run files, for sh. */
#include "svctool/run/run_script.h"
#include "base/mem.h"

#include <stddef.h>

void
run_script_quote(struct buf *buf, const char *text)
{
	buf_addc(buf, '\'');
	for (; *text != '\0'; text++)
		if (*text == '\'')
			buf_adds(buf, "'\\''");
		else
			buf_addc(buf, *text);
	buf_addc(buf, '\'');
}

static void
add_start(struct buf *buf, const char *what, const char *global_vars)
{
	buf_addf(buf,
	    "#!/bin/sh\n"
	    "# Made by svctool: %s.  Its environment is in variables/.\n"
	    "exec 2>&1\n"
	    "exec envdir ",
	    what);
	run_script_quote(buf, global_vars);
	buf_adds(buf, " envdir ./variables \\\n");
}

static void
add_program(struct buf *buf, const char *programs, const char *name)
{
	OWN_TEXT path = xasprintf("%s/%s", programs, name);

	run_script_quote(buf, path);
}

void
run_script_queue(struct buf *buf, const char *global_vars, const char *programs,
    const char *queue_dir)
{
	add_start(buf, "one queue and its workers", global_vars);
	buf_adds(buf, "    ");
	add_program(buf, programs, "qmail-start");
	buf_addc(buf, ' ');
	run_script_quote(buf, queue_dir);
	buf_addc(buf, '\n');
}

/*
 * The inner sh is there to read the variables, and to say its pid, which is
 * the listener's.  softlimit -o counts the descriptors, which are connections.
 */
void
run_script_listener(struct buf *buf, const char *global_vars,
    const char *programs, const char *program, const char *pid_file)
{
	add_start(buf, "one listener", global_vars);
	buf_adds(buf,
	    "    sh -c 'echo $$ >\"$1\"; exec softlimit "
	    "-o \"${SOFT_FILES:-20000}\" \\\n"
	    "        \"$0\" --listen \"$LISTEN\" $OPTIONS' \\\n    ");
	add_program(buf, programs, program);
	buf_addc(buf, ' ');
	run_script_quote(buf, pid_file);
	buf_addc(buf, '\n');
}

void
run_script_plain(struct buf *buf, const char *what, const char *global_vars,
    const char *programs, const char *program)
{
	add_start(buf, what, global_vars);
	buf_adds(buf, "    ");
	add_program(buf, programs, program);
	buf_addc(buf, '\n');
}

/*
 * Dovecot does not start while the process lives whose number its file has,
 * which after a power cut may be any other.
 */
void
run_script_imap(struct buf *buf, const char *global_vars, const char *dovecot,
    const char *conf, const char *pid_file)
{
	add_start(buf, "IMAP, by Dovecot", global_vars);
	buf_adds(buf,
	    "    sh -c 'pid=$(cat \"$2\" 2>/dev/null)\n"
	    "    grep -qszxF -e \"$1\" \"/proc/$pid/cmdline\" || "
	    "rm -f \"$2\"\n"
	    "    exec \"$0\" -F -c \"$1\"' \\\n    ");
	run_script_quote(buf, dovecot);
	buf_addc(buf, ' ');
	run_script_quote(buf, conf);
	buf_addc(buf, ' ');
	run_script_quote(buf, pid_file);
	buf_addc(buf, '\n');
}

/*
 * SIGTERM would have it wait for every client to leave: SIGINT ends it at once
 * and whole.  The inner sh says so, and is what supervise sees.
 */
void
run_script_pgsql(struct buf *buf, const char *global_vars, const char *user,
    const char *programs, const char *data)
{
	add_start(buf, "the node's database", global_vars);
	buf_adds(buf, "    ");
	if (user != NULL) {
		buf_adds(buf, "setuidgid ");
		run_script_quote(buf, user);
		buf_addc(buf, ' ');
	}
	buf_adds(buf,
	    "sh -c '\"$0\" -D \"$1\" & pid=$!\n"
	    "    trap \"kill -INT $pid\" TERM INT\n"
	    "    trap \"kill -HUP $pid\" HUP\n"
	    "    while kill -0 $pid 2>/dev/null; do wait $pid; done' \\\n    ");
	add_program(buf, programs, "postgres");
	buf_addc(buf, ' ');
	run_script_quote(buf, data);
	buf_addc(buf, '\n');
}

void
run_script_log(struct buf *buf, const char *user, const char *log_dir)
{
	buf_adds(buf, "#!/bin/sh\n# Made by svctool.\nexec ");
	if (user != NULL) {
		buf_adds(buf, "setuidgid ");
		run_script_quote(buf, user);
		buf_addc(buf, ' ');
	}
	/* 20 files of a megabyte beside current */
	buf_adds(buf, "multilog t s1000000 n20 ");
	run_script_quote(buf, log_dir);
	buf_addc(buf, '\n');
}
