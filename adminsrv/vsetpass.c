/* SPDX-License-Identifier: ISC */
/* vsetpass: a user changes the password, by the interface of setpassword. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "adminsrv/cli.h"
#include "adminsrv/password.h"
#include "adminsrv/users.h"
#include "auth/login.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "control/global_vars.h"
#include "control/settings.h"

enum { REFUSED = 1, MISUSED = 2, TROUBLE = 111, INPUT_MAX = 1024 };

static const char usage[] =
    "usage: vsetpass [PROGRAM [ARGUMENT ...]]\n"
    "Reads name, password and new password from descriptor 3.\n";

/* What was on descriptor 3; the texts point into data. */
struct input {
	char data[INPUT_MAX + 1];
	size_t length;
	const char *name, *password, *new_password;
};

static int
read_input(struct input *input)
{
	const char **const parts[] = { &input->name, &input->password,
		&input->new_password };
	char *at = input->data, *end;
	ssize_t n;

	do {
		n = read(
		    3, input->data + input->length, INPUT_MAX - input->length);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return errno == EBADF ? MISUSED : TROUBLE;
		input->length += (size_t)n;
	} while (n != 0 && input->length < INPUT_MAX);
	close(3);
	for (size_t i = 0; i < 3; i++) {
		end = memchr(
		    at, '\0', (size_t)(input->data + input->length - at));
		if (end == NULL)
			return MISUSED;
		*parts[i] = at;
		at = end + 1;
	}
	return 0;
}

/* 0 and the user whose password it was; or an exit code. */
static int
prove(
    const struct home *home, const struct input *input, struct login_user *user)
{
	/* The right to log in at a service is another matter. */
	static const struct login_service service = { .name = "pass",
		.forbidding_flag = STORE_NO_PASSWD_CHANGE };
	const char *ip = getenv("TCPREMOTEIP"), *local = getenv("TCPLOCALIP");
	AUTO(settings_free) struct settings *settings = NULL;
	AUTO(store_free) struct store *store = NULL;
	AUTO(login_free) struct login *login = NULL;
	enum login_result result;
	struct error err;

	settings = settings_load(home->control, "vchkpw", NULL, &err);
	store = settings == NULL ? NULL : store_open(home->root, &err);
	if (store == NULL) {
		log_line("%s", err.text);
		return TROUBLE;
	}
	login = login_new(store, home, settings);
	result = login_plain(login, &service, input->name, input->password,
	    ip == NULL ? "unknown" : ip, local == NULL ? "" : local, user,
	    &err);
	if (result == LOGIN_UNKNOWN)
		log_line("%s", err.text);
	return result == LOGIN_OK     ? 0
	    : result == LOGIN_UNKNOWN ? TROUBLE
				      : REFUSED;
}

static enum admin_result
set_password(const struct home *home, const struct login_user *user,
    const char *password, struct error *err)
{
	AUTO(users_close) struct users *users = NULL;
	AUTO(password_data_release)
	struct password_data data = { .hash = BUF_INIT };
	const struct vpasswd_entry *old;
	struct vpasswd_entry entry;
	enum admin_result result = users_open_named(
	    home->root, user->domain, &users, err);

	if (result == ADMIN_OK)
		result = users_find(users, user->local, &old, err);
	if (result != ADMIN_OK)
		return result;
	/* Where the old one was kept for APOP, so is the new one. */
	if (password_data_make(
		password, NULL, old->secret != NULL, &data, err) == -1)
		return ADMIN_REFUSED;
	entry = *old;
	entry.hash = data.hash.data;
	entry.scram = password_text(&data.scram);
	entry.secret = password_text(&data.secret);
	return users_change(users, &entry, err);
}

/* The next program gets the same on its descriptor 3. */
static int
run_next(char **argv, const struct input *input)
{
	int pipes[2];

	if (pipe(pipes) == -1 || pipes[0] > 3 ||
	    file_write_all(pipes[1], input->data, input->length) == -1 ||
	    close(pipes[1]) == -1)
		return TROUBLE;
	if (pipes[0] != 3 && dup2(pipes[0], 3) == -1)
		return TROUBLE;
	execvp(argv[0], argv);
	log_line("cannot run '%s': %s", argv[0], strerror(errno));
	return TROUBLE;
}

int
main(int argc, char **argv)
{
	struct input input = { .length = 0 };
	struct login_user user = { .storage = BUF_INIT };
	AUTO(home_free) struct home *home = NULL;
	enum admin_result result;
	struct error err;
	int code;

	cli_start("vsetpass", argv, usage);
	if (getopt(argc, argv, "+") != -1)
		cli_usage(usage);
	code = read_input(&input);
	if (code != 0)
		return code;
	if (*input.new_password == '\0')
		return REFUSED;
	home = global_vars_home();
	code = prove(home, &input, &user);
	if (code == REFUSED && argc > optind)
		return run_next(argv + optind, &input);
	if (code != 0)
		return code;
	result = set_password(home, &user, input.new_password, &err);
	explicit_bzero(&input, sizeof(input));
	result = (enum admin_result)cli_end_change(
	    home, "vsetpass", result, &err, user.address, NULL);
	login_user_release(&user);
	return result == ADMIN_OK     ? 0
	    : result == ADMIN_REFUSED ? REFUSED
				      : TROUBLE;
}
