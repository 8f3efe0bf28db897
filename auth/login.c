/* SPDX-License-Identifier: ISC */
/* Who may log in. */
#include "auth/login.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#include "auth/throttle.h"
#include "auth/verify.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/log_text.h"
#include "base/mem.h"
#include "base/program.h"
#include "base/utf8.h"
#include "base/vars.h"
#include "control/layout.h"
#include "control/network.h"

enum {
	HASH_SIZE = 512,
	POSTAUTH_FORBIDS = 2, /* as in IndiMail, and with a message there: */
	POSTAUTH_FORBIDS_ALOUD = 3,
	POSTAUTH_WAIT_MS = 10000,
	POSTAUTH_GRACE_MS = 1000
};

struct login {
	struct store *store;
	struct throttle *throttle;
	bool notes_logins, opens_relay;
	pthread_mutex_t lock;     /* for what follows */
	struct strlist addresses; /* "ADDRESS DOMAIN", vipmap's lines */
	struct strlist trusted;   /* networks */
	char *default_domain;     /* "": none */
	char *postauth;           /* a program; "": none */
	int64_t delay_ms, interval_ms;
	/* A user's hash: where there is no user, as much is computed. */
	char example[HASH_SIZE];
};

void
login_configure(struct login *login, const struct settings *settings)
{
	const struct strlist *lines = settings_list(settings, SETTING_vipmap);
	const struct throttle_limits limits = throttle_limits_of(settings);

	pthread_mutex_lock(&login->lock);
	if (login->throttle == NULL)
		login->throttle = throttle_new(THROTTLE_ENTRIES, &limits);
	else
		throttle_set_limits(login->throttle, &limits);
	strlist_release(&login->addresses);
	for (size_t i = 0; i < lines->count; i++)
		strlist_add(&login->addresses, lines->items[i]);
	lines = settings_list(settings, SETTING_logintrusted);
	strlist_release(&login->trusted);
	for (size_t i = 0; i < lines->count; i++)
		strlist_add(&login->trusted, lines->items[i]);
	free(login->default_domain);
	login->default_domain = xstrdup(
	    settings_text(settings, SETTING_defaultlogindomain));
	free(login->postauth);
	login->postauth = xstrdup(settings_text(settings, SETTING_postauth));
	login->delay_ms = limits.delay_ms;
	login->interval_ms = (int64_t)settings_number(
				 settings, SETTING_minlogininterval) *
	    1000;
	pthread_mutex_unlock(&login->lock);
}

static bool
is_variable_set(const char *name)
{
	const char *value = getenv(name);

	return value != NULL && *value != '\0';
}

static void
share_throttle(struct login *login, const struct home *home)
{
	OWN_TEXT path = layout_path(home, LAYOUT_login_table);
	struct error err;

	if (throttle_share(login->throttle, path, &err) == -1)
		log_line("login: failures are counted by this process alone: "
			 "%s",
		    err.text);
}

struct login *
login_new(struct store *store, const struct home *home,
    const struct settings *settings)
{
	struct login *login = xcalloc(1, sizeof(*login));

	login->store = store;
	login->notes_logins = !is_variable_set("NOLASTAUTH");
	login->opens_relay = !is_variable_set("NORELAY");
	pthread_mutex_init(&login->lock, NULL);
	login_configure(login, settings);
	if (home != NULL)
		share_throttle(login, home);
	return login;
}

void
login_free(struct login **login_in)
{
	struct login *login = *login_in;

	if (login == NULL)
		return;
	throttle_free(&login->throttle);
	strlist_release(&login->addresses);
	strlist_release(&login->trusted);
	free(login->default_domain);
	free(login->postauth);
	pthread_mutex_destroy(&login->lock);
	explicit_bzero(login->example, sizeof(login->example));
	free(login);
	*login_in = NULL;
}

static bool
is_same_address(const char *text, size_t length, const char *ip)
{
	unsigned char a[16], b[16];
	char copy[INET6_ADDRSTRLEN];
	int family = strchr(ip, ':') == NULL ? AF_INET : AF_INET6;

	if (length >= sizeof(copy))
		return false;
	memcpy(copy, text, length);
	copy[length] = '\0';
	return inet_pton(family, copy, a) == 1 &&
	    inet_pton(family, ip, b) == 1 &&
	    memcmp(a, b, family == AF_INET ? 4 : 16) == 0;
}

/* Under the lock: is it of a network of logintrusted? */
static bool
is_trusted_ip(const struct login *login, const char *ip)
{
	struct sockaddr_storage address;
	struct network one, network;

	if (!network_read(ip, strlen(ip), &one) ||
	    !network_address(&one, 0, &address))
		return false;
	for (size_t i = 0; i < login->trusted.count; i++) {
		const char *text = login->trusted.items[i];

		if (network_read(text, strlen(text), &network) &&
		    network_has(&network, (const struct sockaddr *)&address))
			return true;
	}
	return false;
}

/* Under the lock: the domain of bare names at this address, or "". */
static const char *
domain_of_address(const struct login *login, const char *local_ip)
{
	for (size_t i = 0; i < login->addresses.count; i++) {
		const char *line = login->addresses.items[i];
		size_t length = strcspn(line, " \t");

		if (is_same_address(line, length, local_ip))
			return line + length + strspn(line + length, " \t");
	}
	return login->default_domain;
}

/*
 * An alias domain is the real one, so that failures count for one name whichever
 * of its domains was said.  What cannot be told the search for the user tells.
 */
static void
put_real_domain(struct login *login, char *name, char *domain)
{
	struct store_domain real;
	struct error ignored;
	size_t room = LOGIN_ADDRESS_MAX - (size_t)(domain - name);

	if (store_find_domain(login->store, domain, &real, &ignored) != 1)
		return;
	if (strlen(real.name) <= room)
		memcpy(domain, real.name, strlen(real.name) + 1);
	store_domain_release(&real);
}

/*
 * The name with its real domain, in lower case.  False when it has none, or is
 * longer than any user's; then attempt->name is what there is of it.
 */
static bool
complete_name(struct login *login, const char *name, const char *local_ip,
    struct login_attempt *attempt, int64_t *delay_ms_out)
{
	const char *at = strrchr(name, '@');
	size_t length;
	char *sign;
	int n;

	if (at == NULL)
		at = strrchr(name, '%');
	pthread_mutex_lock(&login->lock);
	*delay_ms_out = login->delay_ms;
	attempt->is_trusted = is_trusted_ip(login, attempt->remote_ip);
	n = at != NULL
	    ? snprintf(attempt->name, sizeof(attempt->name), "%s", name)
	    : snprintf(attempt->name, sizeof(attempt->name), "%s@%s", name,
		  domain_of_address(login, local_ip));
	pthread_mutex_unlock(&login->lock);
	length = strlen(attempt->name);
	ascii_lower(attempt->name, attempt->name, length + 1);
	if (n < 0 || (size_t)n > length)
		return false;
	sign = at != NULL ? attempt->name + (at - name)
			  : attempt->name + strlen(name);
	*sign = '@';
	if (sign == attempt->name || sign[1] == '\0')
		return false;
	put_real_domain(login, attempt->name, sign + 1);
	return true;
}

static const char *
counted_ip(const struct login_attempt *attempt)
{
	return attempt->is_trusted ? NULL : attempt->remote_ip;
}

static void
log_login(const struct login_attempt *attempt, const char *name,
    const char *what, const char *more)
{
	char word[LOGIN_ADDRESS_MAX + 1];

	log_word(word, sizeof(word), name);
	log_line("login: %s from %s user <%s> %s%s", attempt->service->name,
	    attempt->remote_ip, word, what, more);
}

static void
wait_until(int64_t when_ms)
{
	int64_t left_ms = when_ms - clock_ms();

	if (left_ms > 0)
		clock_sleep_ms((int)left_ms);
}

/* LOGIN_LOCKED, said and late enough, or LOGIN_OK. */
static enum login_result
pass_throttle(struct login *login, const struct login_attempt *attempt,
    int64_t delay_ms)
{
	/* Deliveries look users up, too. */
	if (attempt->service->is_lookup ||
	    throttle_locked_ms(login->throttle, counted_ip(attempt),
		attempt->name, clock_wall_ms()) <= 0)
		return LOGIN_OK;
	log_login(attempt, attempt->name, "locked out", "");
	wait_until(attempt->started_ms + delay_ms);
	return LOGIN_LOCKED;
}

enum login_result
login_begin(struct login *login, const struct login_service *service,
    const char *name, const char *remote_ip, const char *local_ip,
    struct login_attempt *attempt_out, struct error *err)
{
	bool is_complete;
	int64_t delay_ms;
	char *at;
	int found;

	*attempt_out = (struct login_attempt){
		.service = service,
		.remote_ip = remote_ip,
		.started_ms = clock_ms(),
	};
	is_complete = complete_name(
	    login, name, local_ip, attempt_out, &delay_ms);
	if (pass_throttle(login, attempt_out, delay_ms) != LOGIN_OK)
		return LOGIN_LOCKED;
	if (!is_complete)
		return LOGIN_OK;
	at = strrchr(attempt_out->name, '@');
	*at = '\0';
	found = store_find_password(login->store, attempt_out->name, at + 1,
	    &attempt_out->password, err);
	*at = '@';
	if (found == -1) {
		log_login(attempt_out, attempt_out->name,
		    "not looked up: ", err->text);
		return LOGIN_UNKNOWN;
	}
	attempt_out->has_user = found == 1;
	return LOGIN_OK;
}

void
login_abandon(struct login_attempt *attempt)
{
	store_password_release(&attempt->password);
	attempt->has_user = false;
}

static void
fill_user(struct login_user *user, const struct store_password *password)
{
	const char *const texts[] = { password->name, "@", password->domain };
	struct buf *storage = &user->storage;
	size_t local_at, domain_at, dir_at, quota_at;

	for (size_t i = 0; i < 3; i++)
		buf_adds(storage, texts[i]);
	buf_addc(storage, '\0');
	local_at = storage->length;
	buf_add(storage, password->name, strlen(password->name) + 1);
	domain_at = storage->length;
	buf_add(storage, password->domain, strlen(password->domain) + 1);
	dir_at = storage->length;
	buf_add(storage, password->dir, strlen(password->dir) + 1);
	quota_at = storage->length;
	buf_add(storage, password->quota, strlen(password->quota) + 1);
	user->address = storage->data;
	user->local = storage->data + local_at;
	user->domain = storage->data + domain_at;
	user->dir = storage->data + dir_at;
	user->quota = storage->data + quota_at;
	user->flags = password->flags;
	user->uid = password->uid;
	user->gid = password->gid;
}

static enum login_result
refuse(struct login *login, const struct login_attempt *attempt,
    const char *reason)
{
	int64_t delay_ms = throttle_fail(login->throttle, counted_ip(attempt),
	    attempt->name, clock_wall_ms());

	log_login(attempt, attempt->name, "refused: ", reason);
	wait_until(attempt->started_ms + delay_ms);
	return LOGIN_REFUSED;
}

static bool
is_address(const char *text)
{
	unsigned char bytes[16];

	return inet_pton(AF_INET, text, bytes) == 1 ||
	    inet_pton(AF_INET6, text, bytes) == 1;
}

/* Its exit code; -1 it cannot be told, with the reason. */
static int
run_postauth(const char *program, const struct login_attempt *attempt,
    const struct login_user *user, struct error *err)
{
	OWN_TEXT path = xstrdup(program);
	OWN_TEXT address = xstrdup(user->address);
	char *const argv[] = { path, address, NULL };
	/* 0 and 1 may be the client's. */
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	const struct program_fd fds[] = { { fd, 0 }, { fd, 1 } };
	struct vars vars = VARS_INIT;
	char **environment;
	int status;
	pid_t pid;

	if (fd == -1)
		return error_sys(err, "cannot open /dev/null");
	vars_set(&vars, "USER", user->address);
	vars_set(&vars, "HOME", user->dir);
	vars_set(&vars, "SERVICE", attempt->service->name);
	vars_set(&vars, "TCPREMOTEIP", attempt->remote_ip);
	environment = vars_make_environment(&vars);
	pid = program_start(program, argv, environment, fds, 2, err);
	vars_free_environment(environment);
	vars_release(&vars);
	close(fd);
	if (pid == -1)
		return -1;
	if (program_wait(pid, POSTAUTH_WAIT_MS, &status) != 1) {
		program_stop(pid, POSTAUTH_GRACE_MS);
		return error_set(err, "it did not end in time");
	}
	return WIFEXITED(status)
	    ? WEXITSTATUS(status)
	    : error_set(err, "signal %d ended it", WTERMSIG(status));
}

/* What an operator's own program says; it failing forbids nothing. */
static bool
does_postauth_forbid(struct login *login, const struct login_attempt *attempt,
    const struct login_user *user)
{
	OWN_TEXT program = NULL;
	struct error err;
	int code;

	pthread_mutex_lock(&login->lock);
	program = xstrdup(login->postauth);
	pthread_mutex_unlock(&login->lock);
	if (*program == '\0')
		return false;
	code = run_postauth(program, attempt, user, &err);
	if (code == -1)
		log_login(
		    attempt, user->address, "postauth failed: ", err.text);
	else if (code == POSTAUTH_FORBIDS || code == POSTAUTH_FORBIDS_ALOUD)
		log_login(attempt, user->address, "forbidden: by postauth", "");
	return code == POSTAUTH_FORBIDS || code == POSTAUTH_FORBIDS_ALOUD;
}

/* Proven; may he? */
static enum login_result
admit(struct login *login, struct login_attempt *attempt,
    struct login_user *user_out)
{
	const struct login_service *service = attempt->service;
	const struct store_password *password = &attempt->password;
	int64_t interval_ms;
	struct error err;

	fill_user(user_out, password);
	if (!service->is_lookup)
		throttle_pass(login->throttle, counted_ip(attempt),
		    attempt->name, clock_wall_ms());
	if (!password->may_log_in) {
		log_login(
		    attempt, user_out->address, "forbidden: inactive", "");
		return LOGIN_FORBIDDEN;
	}
	if ((password->flags & service->forbidding_flag) != 0) {
		log_login(attempt, user_out->address, "forbidden: may not use ",
		    service->name);
		return LOGIN_FORBIDDEN;
	}
	if (service->is_lookup)
		return LOGIN_OK;
	pthread_mutex_lock(&login->lock);
	interval_ms = login->interval_ms;
	pthread_mutex_unlock(&login->lock);
	if (service->is_spaced &&
	    throttle_interval_ms(login->throttle, service->name,
		user_out->address, interval_ms, clock_wall_ms()) > 0) {
		log_login(attempt, user_out->address, "too soon", "");
		return LOGIN_TOO_SOON;
	}
	if (does_postauth_forbid(login, attempt, user_out))
		return LOGIN_FORBIDDEN;
	if (!service->says_itself)
		log_login(attempt, user_out->address, "ok", "");
	if (login->notes_logins && is_address(attempt->remote_ip) &&
	    store_note_login(login->store, user_out->local, user_out->domain,
		service->name, attempt->remote_ip,
		login->opens_relay && service->opens_relay &&
		    (password->flags & STORE_NO_RELAY) == 0,
		&err) == -1)
		log_login(attempt, user_out->address,
		    "not noted as last login: ", err.text);
	return LOGIN_OK;
}

enum login_result
login_end(struct login *login, struct login_attempt *attempt, bool is_proven,
    struct login_user *user_out)
{
	enum login_result result;

	*user_out = (struct login_user){ .storage = BUF_INIT };
	result = attempt->has_user && is_proven
	    ? admit(login, attempt, user_out)
	    : refuse(login, attempt,
		  attempt->has_user ? "wrong password" : "no such user");
	if (result != LOGIN_OK)
		login_user_release(user_out);
	login_abandon(attempt);
	return result;
}

void
login_user_release(struct login_user *user)
{
	buf_release(&user->storage);
	*user = (struct login_user){ .storage = BUF_INIT };
}

/* What is computed where there is nothing to compare with. */
static void
compute_nothing(struct login *login, const char *password)
{
	char example[HASH_SIZE];

	pthread_mutex_lock(&login->lock);
	memcpy(example, login->example, sizeof(example));
	pthread_mutex_unlock(&login->lock);
	verify_nothing(password, example[0] != '\0' ? example : NULL);
	explicit_bzero(example, sizeof(example));
}

static void
keep_example(struct login *login, const char *hash)
{
	size_t length = strlen(hash);

	if (length >= HASH_SIZE)
		return;
	pthread_mutex_lock(&login->lock);
	memcpy(login->example, hash, length + 1);
	pthread_mutex_unlock(&login->lock);
}

int
login_check(struct login *login, const struct login_attempt *attempt,
    const char *password, struct error *err)
{
	const struct store_password *stored = &attempt->password;
	int result;

	if (!attempt->has_user || *password == '\0' ||
	    (stored->hash[0] == '*' && stored->scram == NULL)) {
		compute_nothing(login, password);
		return 0;
	}
	if (stored->hash[0] == '*')
		return verify_scram(password, stored->scram, err);
	result = verify_crypt(password, stored->hash, err);
	if (result != -1)
		keep_example(login, stored->hash);
	return result;
}

enum login_result
login_plain(struct login *login, const struct login_service *service,
    const char *name, const char *password, const char *remote_ip,
    const char *local_ip, struct login_user *user_out, struct error *err)
{
	struct login_attempt attempt;
	enum login_result result = login_begin(
	    login, service, name, remote_ip, local_ip, &attempt, err);
	int is_proven;

	*user_out = (struct login_user){ .storage = BUF_INIT };
	if (result != LOGIN_OK)
		return result;
	is_proven = login_check(login, &attempt, password, err);
	if (is_proven == -1) {
		log_login(
		    &attempt, attempt.name, "cannot be verified: ", err->text);
		login_abandon(&attempt);
		return LOGIN_UNKNOWN;
	}
	return login_end(login, &attempt, is_proven == 1, user_out);
}

enum login_result
login_elsewhere(struct login *login, const struct login_service *service,
    const char *name, const char *remote_ip, const char *local_ip,
    int (*check)(void *context, struct error *err), void *context,
    struct login_user *user_out, struct error *err)
{
	struct login_attempt attempt = {
		.service = service,
		.remote_ip = remote_ip,
		.started_ms = clock_ms(),
	};
	int64_t delay_ms;
	char *at;
	int is_right;

	*user_out = (struct login_user){ .storage = BUF_INIT };
	at = complete_name(login, name, local_ip, &attempt, &delay_ms)
	    ? strrchr(attempt.name, '@')
	    : NULL;
	if (pass_throttle(login, &attempt, delay_ms) != LOGIN_OK)
		return LOGIN_LOCKED;
	is_right = check(context, err);
	if (is_right == -1) {
		log_login(&attempt, attempt.name, "not checked: ", err->text);
		return LOGIN_UNKNOWN;
	}
	if (is_right == 0)
		return refuse(login, &attempt, "by the program");
	throttle_pass(login->throttle, counted_ip(&attempt), attempt.name,
	    clock_wall_ms());
	log_login(&attempt, attempt.name, "ok", "");
	if (at != NULL)
		*at = '\0';
	else
		attempt.name[strcspn(attempt.name, "@")] = '\0';
	fill_user(user_out,
	    &(const struct store_password){
		.name = attempt.name,
		.domain = at != NULL ? at + 1 : "",
		.dir = "",
		.quota = "",
	    });
	return LOGIN_OK;
}

void
login_make_up(struct login *login, const char *name,
    unsigned char bytes_out[LOGIN_MADE_UP_SIZE])
{
	unsigned char secret[THROTTLE_SECRET_SIZE];

	_Static_assert(
	    LOGIN_MADE_UP_SIZE == SHA256_DIGEST_LENGTH, "one digest");
	throttle_secret(login->throttle, secret);
	if (HMAC(EVP_sha256(), secret, sizeof(secret),
		(const unsigned char *)name, strlen(name), bytes_out, NULL) ==
	    NULL)
		abort(); /* it was out of memory */
	explicit_bzero(secret, sizeof(secret));
}

bool
login_is_from_here(const char *remote_ip)
{
	return strncmp(remote_ip, "127.", 4) == 0 ||
	    strcmp(remote_ip, "::1") == 0;
}
