/* SPDX-License-Identifier: ISC */
/* The exit codes of qmail-queue and their texts. */
#include "queue/exitcode.h"

#include <stddef.h>

struct row {
	int code;
	const char *text;
};

/* Reference 1.4. */
static const struct row rows[] = {
	{ 11, "qq envelope address too long (#5.1.3)" },
	{ 31, "qq mail server permanently rejected message (#5.3.0)" },
	{ 32, "qq spam or junk mail threshold exceeded (#5.7.1)" },
	{ 33, "qq message contains virus (#5.7.1)" },
	{ 34, "qq message contains banned attachment (#5.7.1)" },
	{ 35, "qq private key file does not exist (#5.3.5)" },
	{ 41, "qq trouble duplicating file descriptors (#4.3.0)" },
	{ 50, "qq unable to get privilege to run virus scanner (#4.3.0)" },
	{ 51, "qq out of memory (#4.3.0)" },
	{ 52, "qq timeout (#4.3.0)" },
	{ 53, "qq write error or disk full (#4.3.0)" },
	{ 54, "qq read error (#4.3.0)" },
	{ 55, "qq unable to read configuration (#4.3.0)" },
	{ 56, "qq trouble making network connection (#4.3.0)" },
	{ 57, "qq unable to open shared object/plugin (#4.3.0)" },
	{ 58, "qq unable to resolve symbol in shared object/plugin (#4.3.0)" },
	{ 59, "qq unable to close shared object/plugin (#4.3.0)" },
	{ 60, "qq trouble creating pipes/sockets (#4.3.0)" },
	{ 61, "qq trouble in home directory (#4.3.0)" },
	{ 62, "qq unable to access mess file (#4.3.0)" },
	{ 63, "qq trouble doing cd to root directory (#4.3.0)" },
	{ 64, "qq trouble syncing message to disk (#4.3.0)" },
	{ 65, "qq trouble creating files in intd. (#4.3.0)" },
	{ 66, "qq trouble linking todofn to intdfn (#4.3.0)" },
	{ 67, "qq trouble linking messfn to pidfn (#4.3.0)" },
	{ 68, "qq trouble creating temporary files (#4.3.0)" },
	{ 69, "qq trouble syncing dir to disk (#4.3.0)" },
	{ 70, "qq trouble with pid file (#4.3.0)" },
	{ 71, "qq mail server temporarily rejected message (#4.3.0)" },
	{ 72, "qq connection to mail server timed out (#4.4.1)" },
	{ 73, "qq connection to mail server rejected (#4.4.1)" },
	{ QQ_TALK, "qq communication with mail server failed (#4.4.2)" },
	{ 75, "qq unable to exec (#4.3.0)" },
	{ 76, "qq temporary problem with SPAM filter (#4.3.0)" },
	{ 77, "qq unable to run QHPSI scanner (#4.3.0)" },
	{ 78, "qq trouble getting uids/gids (#4.3.0)" },
	{ 79, "qq envelope format error (#4.3.0)" },
	{ 80, "qq trouble removing intdfn (#4.3.0)" },
	{ 81, "qq internal bug (#4.3.0)" },
	{ 82, "qq unable to exec qq (#4.3.0)" },
	{ 87, "qq mail system incorrectly configured. (#4.3.5)" },
	{ 115, "qq envelope address too long (#5.1.3)" },
	{ 120, "qq unable to exec qq (#4.3.0)" },
	{ 121, "qq unable to fork (#4.3.0)" },
	{ 122, "qq waitpid surprise (#4.3.0)" },
	{ 123, "qq crashed (#4.3.0)" },
};

bool
qq_is_permanent(int code)
{
	return code == 115 || (code >= 11 && code <= 40);
}

const char *
qq_text(int code)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].code == code)
			return rows[i].text;
	return qq_is_permanent(code) ? "qq permanent problem (#5.3.0)"
				     : "qq temporary problem (#4.3.0)";
}
