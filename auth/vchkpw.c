/* SPDX-License-Identifier: ISC */
/* vchkpw, vchkpass: a checkpassword program for users of the store. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "auth/apop.h"
#include "auth/checkpassword_input.h"
#include "auth/login.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/process.h"
#include "base/usage.h"
#include "control/home.h"

enum {
	REFUSED = CHECKPASSWORD_REFUSED,
	MISUSED = CHECKPASSWORD_MISUSED,
	NO_USER = 3, /* of Dovecot's lookup without a password */
	NO_OPTION = 100,
	TROUBLE = CHECKPASSWORD_TROUBLE,
	ARGUMENTS_MAX = 100
};

static const char vchkpw_usage[] =
    "usage: %s PROGRAM [ARGUMENT ...]\n"
    "Reads name, password and timestamp from descriptor 3.";

static bool
is_set(const char *name)
{
	const char *value = getenv(name);

	return value != NULL && *value != '\0';
}

/* Dovecot asks for users without their password, and says so. */
static bool
is_lookup(void)
{
	return (is_set("DOVECOT_VERSION") || is_set("NATIVE_CHECKPASSWORD")) &&
	    is_set("AUTHORIZED");
}

/*
 * What is logged in to: SERVICE, as Dovecot and qmail-popup set it, or by the
 * port.
 */
static struct login_service
choose_service(void)
{
	static const struct row {
		const char *name;
		const char *ports;
		struct login_service service;
	} rows[] = {
		{ "pop3", " 110 995 ",
		    { .name = "pop3",
			.forbidding_flag = STORE_NO_POP,
			.opens_relay = true,
			.is_spaced = true } },
		{ "imap", " 143 993 ",
		    { .name = "imap",
			.forbidding_flag = STORE_NO_IMAP,
			.opens_relay = true,
			.is_spaced = true } },
		{ "smtp", " 25 465 587 ",
		    { .name = "smtp", .forbidding_flag = STORE_NO_SMTP } },
		{ "webmail", " ",
		    { .name = "webm", .forbidding_flag = STORE_NO_WEBMAIL } },
	};
	struct login_service service = { .name = "auth" };
	const char *name = getenv("SERVICE");
	const char *port = getenv("TCPLOCALPORT");
	OWN_TEXT word = xasprintf(" %s ", port != NULL ? port : "");

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (name != NULL && *name != '\0'
			? strcmp(name, rows[i].name) == 0
			: strlen(word) > 2 &&
			    strstr(rows[i].ports, word) != NULL)
			service = rows[i].service;
	service.is_lookup = is_lookup();
	service.says_itself = is_set("DOVECOT_VERSION");
	/* Nobody is kept from being looked up. */
	if (service.is_lookup)
		service.forbidding_flag = 0;
	return service;
}

static const char *
variable_or(const char *name, const char *standard)
{
	return is_set(name) ? getenv(name) : standard;
}

/* 1, 0 or -1, as login_check(). */
static int
check_proof(struct login *login, const struct login_attempt *attempt,
    const struct checkpassword_proof *proof, struct error *err)
{
	if (*proof->timestamp != '\0' &&
	    apop_is_proof(
		proof->timestamp, attempt->password.secret, proof->secret))
		return 1;
	return login_check(login, attempt, proof->secret, err);
}

/* A name without a domain that is no user's, where those are accounts. */
static bool
is_for_system(const struct settings *settings,
    const struct login_attempt *attempt,
    const struct checkpassword_proof *proof)
{
	return settings_flag(settings, SETTING_systemlogins) &&
	    !attempt->has_user && !is_lookup() &&
	    strpbrk(proof->name, "@%") == NULL;
}

/* sys-checkpwd does all of it; its exit code. */
static int
ask_system(char **argv, const struct checkpassword_proof *proof)
{
	char name[] = "sys-checkpwd";
	char *words[ARGUMENTS_MAX + 2] = { name };
	const struct vars none = VARS_INIT;
	const struct program_fd no_fd = { .fd = -1 };
	struct error err;
	int status;
	pid_t pid;

	for (size_t i = 0; argv[i] != NULL; i++) {
		if (i == ARGUMENTS_MAX)
			return MISUSED;
		words[i + 1] = argv[i];
	}
	pid = checkpassword_start(words, &none, proof, &no_fd, 0, &err);
	if (pid == 0)
		return REFUSED;
	if (pid == -1) {
		log_line("%s", err.text);
		return TROUBLE;
	}
	while (waitpid(pid, &status, 0) == -1)
		if (errno != EINTR)
			return TROUBLE;
	return WIFEXITED(status) ? WEXITSTATUS(status) : TROUBLE;
}

/* 0 and the user, or an exit code, or what ask_system() says. */
static int
log_in(struct login *login, const struct settings *settings, char **argv,
    const struct checkpassword_proof *proof, struct login_user *user,
    bool *is_over_out)
{
	const struct login_service service = choose_service();
	struct login_attempt attempt;
	struct error err;
	enum login_result result = login_begin(login, &service, proof->name,
	    variable_or("TCPREMOTEIP", "unknown"),
	    variable_or("TCPLOCALIP", ""), &attempt, &err);
	int is_proven;

	*is_over_out = false;
	if (result == LOGIN_UNKNOWN)
		return TROUBLE;
	if (result != LOGIN_OK)
		return REFUSED;
	if (is_lookup() && !attempt.has_user) {
		login_abandon(&attempt);
		return NO_USER;
	}
	if (is_for_system(settings, &attempt, proof)) {
		int code = ask_system(argv, proof);

		/* Guessers of accounts are slowed down and locked out, too. */
		if (code == REFUSED)
			login_end(login, &attempt, false, user);
		login_abandon(&attempt);
		*is_over_out = true;
		return code;
	}
	is_proven = is_lookup() ? 1 : check_proof(login, &attempt, proof, &err);
	if (is_proven == -1) {
		login_abandon(&attempt);
		log_line("cannot check the password: %s", err.text);
		return TROUBLE;
	}
	result = login_end(login, &attempt, is_proven == 1, user);
	return result == LOGIN_OK ? 0 : REFUSED;
}

static void
set_number(const char *name, unsigned long value)
{
	OWN_TEXT text = xasprintf("%lu", value);

	setenv(name, text, 1);
}

/* The environment of the program, and of Dovecot's reply programs. */
static void
set_environment(const struct login_user *user)
{
	OWN_TEXT maildir = xasprintf("%s/Maildir", user->dir);

	setenv("USER", user->address, 1);
	setenv("HOME", user->dir, 1);
	setenv("SHELL", "/bin/false", 1);
	setenv("MAILDIR", maildir, 1);
	if (!is_set("DOVECOT_VERSION") && !is_set("NATIVE_CHECKPASSWORD"))
		return;
	if (is_lookup())
		setenv("AUTHORIZED", "2", 1);
	setenv("QUOTA", user->quota, 1);
	set_number("userdb_uid", user->uid);
	set_number("userdb_gid", user->gid);
	setenv("EXTRA", "userdb_uid userdb_gid", 1);
}

/* As root: the user's process, never another root's.  0 or an exit code. */
static int
become_user(const struct login_user *user)
{
	struct error err;

	/* With MQMAIL_USER all of the node is one user's. */
	if (geteuid() != 0 || is_set("MQMAIL_USER"))
		return 0;
	if (user->uid == 0 || user->gid == 0) {
		log_line("user <%s> would be root", user->address);
		return TROUBLE;
	}
	if (user_become(user->address, user->uid, user->gid, &err) == 0)
		return 0;
	log_line("%s", err.text);
	return TROUBLE;
}

static int
run_program(char **argv, const struct login_user *user)
{
	int code = become_user(user);

	if (code != 0)
		return code;
	if (chdir(user->dir) == -1) {
		log_line("cannot work in '%s': %s", user->dir, strerror(errno));
		return TROUBLE;
	}
	set_environment(user);
	execvp(argv[0], argv);
	log_line("cannot run '%s': %s", argv[0], strerror(errno));
	return TROUBLE;
}

static int
check_and_run(char **argv, struct checkpassword_input *input)
{
	AUTO(home_free) struct home *home = home_new();
	AUTO(settings_free) struct settings *settings = NULL;
	struct login_user user = { .storage = BUF_INIT };
	struct store *store;
	struct login *login;
	struct error err;
	bool is_over;
	int code;

	settings = settings_load(home->control, "vchkpw", NULL, &err);
	store = settings == NULL ? NULL : store_open(home->root, &err);
	if (store == NULL) {
		log_line("%s", err.text);
		return TROUBLE;
	}
	login = login_new(store, home, settings);
	code = log_in(login, settings, argv, &input->proof, &user, &is_over);
	explicit_bzero(input, sizeof(*input));
	login_free(&login);
	store_free(&store);
	if (code == 0 && !is_over)
		code = run_program(argv, &user);
	login_user_release(&user);
	return code;
}

int
main(int argc, char **argv)
{
	const char *slash = strrchr(argv[0], '/');
	const char *program = slash == NULL ? argv[0] : slash + 1;
	char usage[200];
	struct checkpassword_input input;
	int code;

	(void)argc;
	snprintf(usage, sizeof(usage), vchkpw_usage, program);
	usage_answer(argv, program, usage);
	log_open(program);
	if (argv[1] == NULL || argv[1][0] == '-') {
		log_line("%s", usage);
		return argv[1] == NULL ? MISUSED : NO_OPTION;
	}
	code = checkpassword_read(&input);
	if (code == 0)
		code = check_and_run(argv + 1, &input);
	explicit_bzero(&input, sizeof(input));
	return code;
}
