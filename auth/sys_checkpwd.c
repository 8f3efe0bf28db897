/* SPDX-License-Identifier: ISC */
/* sys-checkpwd: a checkpassword program for accounts of the system, by PAM. */
#include <errno.h>
#include <pwd.h>
#include <security/pam_appl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth/checkpassword_input.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/process.h"
#include "base/usage.h"

static const char sys_checkpwd_usage[] =
    "usage: sys-checkpwd PROGRAM [ARGUMENT ...]\n"
    "Reads name, password and timestamp from descriptor 3.";

/* The file in /etc/pam.d. */
static const char pam_service[] = "mqmail";

/* Whatever is asked for without echo is the password. */
static int
answer_pam(int count, const struct pam_message **messages,
    struct pam_response **responses_out, void *context)
{
	struct pam_response *responses = xcalloc(
	    (size_t)count, sizeof(*responses));

	/* PAM frees them. */
	for (int i = 0; i < count; i++)
		if (messages[i]->msg_style == PAM_PROMPT_ECHO_OFF)
			responses[i].resp = xstrdup(context);
	*responses_out = responses;
	return PAM_SUCCESS;
}

/* 0, or an exit code. */
static int
judge_pam(int result, const char *name)
{
	switch (result) {
	case PAM_SUCCESS:
		return 0;
	case PAM_AUTH_ERR:
	case PAM_USER_UNKNOWN:
	case PAM_MAXTRIES:
	case PAM_ACCT_EXPIRED:
	case PAM_NEW_AUTHTOK_REQD:
	case PAM_PERM_DENIED:
		return CHECKPASSWORD_REFUSED;
	default: /* as many as PAM's modules like */
		log_line("PAM cannot tell about <%s>: %s", name,
		    pam_strerror(NULL, result));
		return CHECKPASSWORD_TROUBLE;
	}
}

static int
ask_pam(const struct checkpassword_proof *proof)
{
	OWN_TEXT secret = xstrdup(proof->secret);
	const struct pam_conv talk = { answer_pam, secret };
	const char *remote_ip = getenv("TCPREMOTEIP");
	pam_handle_t *pam = NULL;
	int result = pam_start(pam_service, proof->name, &talk, &pam);

	if (result == PAM_SUCCESS && remote_ip != NULL)
		result = pam_set_item(pam, PAM_RHOST, remote_ip);
	if (result == PAM_SUCCESS)
		result = pam_authenticate(
		    pam, PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK);
	if (result == PAM_SUCCESS)
		result = pam_acct_mgmt(
		    pam, PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK);
	if (pam != NULL)
		pam_end(pam, result);
	explicit_bzero(secret, strlen(secret));
	return judge_pam(result, proof->name);
}

/* 0, or an exit code. */
static int
become_account(const char *name)
{
	const struct passwd *entry;
	struct error err;

	errno = 0;
	entry = getpwnam(name);
	if (entry == NULL)
		return errno == 0 ? CHECKPASSWORD_REFUSED
				  : CHECKPASSWORD_TROUBLE;
	/* Mail is nobody's reason to become root. */
	if (entry->pw_uid == 0)
		return CHECKPASSWORD_REFUSED;
	setenv("USER", entry->pw_name, 1);
	setenv("HOME", entry->pw_dir, 1);
	setenv("SHELL", entry->pw_shell, 1);
	if (geteuid() == 0 &&
	    user_become(name, entry->pw_uid, entry->pw_gid, &err) == -1) {
		log_line("%s", err.text);
		return CHECKPASSWORD_TROUBLE;
	}
	if (chdir(entry->pw_dir) == 0)
		return 0;
	log_line("cannot work in '%s': %s", entry->pw_dir, strerror(errno));
	return CHECKPASSWORD_TROUBLE;
}

int
main(int argc, char **argv)
{
	struct checkpassword_input input;
	int code;

	(void)argc;
	usage_answer(argv, "sys-checkpwd", sys_checkpwd_usage);
	log_open("sys-checkpwd");
	if (argv[1] == NULL || argv[1][0] == '-') {
		log_line("%s", sys_checkpwd_usage);
		return argv[1] == NULL ? CHECKPASSWORD_MISUSED : 100;
	}
	code = checkpassword_read(&input);
	if (code == 0)
		code = ask_pam(&input.proof);
	if (code == 0)
		code = become_account(input.proof.name);
	explicit_bzero(&input, sizeof(input));
	if (code != 0)
		return code;
	execvp(argv[1], argv + 1);
	log_line("cannot run '%s': %s", argv[1], strerror(errno));
	return CHECKPASSWORD_TROUBLE;
}
