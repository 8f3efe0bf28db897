/* SPDX-License-Identifier: ISC */
/* auth/login.c: names, rights, refusals and lock-outs. */
#include <crypt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "auth/login.h"
#include "base/clock.h"
#include "base/mem.h"
#include "lookupd/store_backend.h"
#include "tests/unit/smtp_home.h"

/* A store of a few users, whose password is "secret". */
static char hash[CRYPT_OUTPUT_SIZE];
static char noted[200];

static int
fake_find_domain(struct store *store, const char *domain,
    struct store_domain *out, struct error *err)
{
	(void)store;
	(void)err;
	if (strcmp(domain, "a.test") != 0 && strcmp(domain, "alias.test") != 0)
		return 0;
	out->name = "a.test";
	return 1;
}

static int
fake_find_password(struct store *store, const char *local, const char *domain,
    struct store_password *out, struct error *err)
{
	static const struct {
		const char *local;
		unsigned flags;
		bool is_active;
	} users[] = {
		{ "alice", 0, true },
		{ "nopop", STORE_NO_POP, true },
		{ "norelay", STORE_NO_RELAY, true },
		{ "inactive", 0, false },
		{ "locked", 0, true },
	};

	(void)store;
	if (strcmp(local, "trouble") == 0)
		return error_set(err, "no answer");
	if (strcmp(domain, "a.test") != 0 && strcmp(domain, "alias.test") != 0)
		return 0;
	for (size_t i = 0; i < sizeof(users) / sizeof(users[0]); i++) {
		if (strcmp(users[i].local, local) != 0)
			continue;
		buf_adds(&out->storage, hash);
		out->name = users[i].local;
		out->domain = "a.test";
		out->dir = "/m/a";
		out->quota = "NOQUOTA";
		out->hash = strcmp(local, "locked") == 0 ? "*"
							 : out->storage.data;
		out->flags = users[i].flags;
		out->may_log_in = users[i].is_active;
		out->uid = 7;
		out->gid = 8;
		return 1;
	}
	return 0;
}

static int
fake_note_login(struct store *store, const char *local, const char *domain,
    const struct store_login *login, struct error *err)
{
	(void)store;
	(void)err;
	snprintf(noted, sizeof(noted), "%s@%s %s %s %d", local, domain,
	    login->service, login->ip, login->opens_relay);
	return 0;
}

static const struct store_backend fake_backend = {
	.find_domain = fake_find_domain,
	.find_password = fake_find_password,
	.note_login = fake_note_login,
};
static struct store store = { .backend = &fake_backend };

static const struct login_service pop3 = { .name = "pop3",
	.forbidding_flag = STORE_NO_POP,
	.opens_relay = true,
	.is_spaced = true };

static char *root;
static int saved_log = -1;

static int
set_up(void **state)
{
	struct crypt_data data = { .initialized = 0 };

	(void)state;
	snprintf(hash, sizeof(hash), "%s",
	    crypt_r("secret", "$5$rounds=1000$saltsalt", &data));
	root = smtp_home_make();
	smtp_home_write(root, "control/logindelay", "0\n");
	noted[0] = '\0';
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	tempdir_remove(root);
	unsetenv("NOLASTAUTH");
	unsetenv("NORELAY");
	return 0;
}

static struct login *
make_login(void)
{
	OWN_TEXT control = xasprintf("%s/control", root);
	struct error err;
	AUTO(settings_free)
	struct settings *settings = settings_load(
	    control, "qmail-pop3d", NULL, &err);

	if (settings == NULL)
		fail_msg("%s", err.text);
	return login_new(&store, NULL, settings);
}

static enum login_result
log_in(struct login *login, const char *name, const char *password,
    struct login_user *user)
{
	struct error err;
	enum login_result result;

	saved_log = dup(2);
	assert_non_null(freopen("/dev/null", "w", stderr));
	result = login_plain(
	    login, &pop3, name, password, "192.0.2.1", "192.0.2.9", user, &err);
	dup2(saved_log, 2);
	close(saved_log);
	return result;
}

static void
test_names_and_results(void **state)
{
	static const struct {
		const char *name, *password;
		enum login_result result;
		const char *address;
	} rows[] = {
		{ "alice@a.test", "secret", LOGIN_OK, "alice@a.test" },
		{ "ALICE@A.Test", "secret", LOGIN_OK, "alice@a.test" },
		{ "alice%a.test", "secret", LOGIN_OK, "alice@a.test" },
		{ "alice@alias.test", "secret", LOGIN_OK, "alice@a.test" },
		{ "alice", "secret", LOGIN_OK, "alice@a.test" },
		{ "alice@a.test", "Secret", LOGIN_REFUSED, NULL },
		{ "alice@a.test", "", LOGIN_REFUSED, NULL },
		{ "nobody@a.test", "secret", LOGIN_REFUSED, NULL },
		{ "alice@b.test", "secret", LOGIN_REFUSED, NULL },
		{ "locked@a.test", "*", LOGIN_REFUSED, NULL },
		{ "@a.test", "secret", LOGIN_REFUSED, NULL },
		{ "alice@", "secret", LOGIN_REFUSED, NULL },
		{ "", "secret", LOGIN_REFUSED, NULL },
		{ "alice@a.test@", "secret", LOGIN_REFUSED, NULL },
		{ "nopop@a.test", "secret", LOGIN_FORBIDDEN, NULL },
		{ "nopop@a.test", "wrong", LOGIN_REFUSED, NULL },
		{ "inactive@a.test", "secret", LOGIN_FORBIDDEN, NULL },
		{ "trouble@a.test", "secret", LOGIN_UNKNOWN, NULL },
	};
	struct login *login;

	(void)state;
	smtp_home_write(
	    root, "control/vipmap", "192.0.2.8 b.test\n192.0.2.9 a.test\n");
	login = make_login();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct login_user user;
		enum login_result result = log_in(
		    login, rows[i].name, rows[i].password, &user);

		if (result != rows[i].result)
			fail_msg("%s, %s: %d, not %d", rows[i].name,
			    rows[i].password, (int)result, (int)rows[i].result);
		if (rows[i].address != NULL)
			assert_string_equal(user.address, rows[i].address);
		else
			assert_null(user.address);
		login_user_release(&user);
	}
	login_free(&login);
}

static void
test_bare_name_with_default_domain(void **state)
{
	struct login *login;
	struct login_user user;

	(void)state;
	login = make_login();
	assert_int_equal(
	    log_in(login, "alice", "secret", &user), LOGIN_REFUSED);
	login_free(&login);
	smtp_home_write(root, "control/defaultlogindomain", "a.test\n");
	login = make_login();
	assert_int_equal(log_in(login, "alice", "secret", &user), LOGIN_OK);
	assert_string_equal(user.local, "alice");
	assert_string_equal(user.domain, "a.test");
	assert_string_equal(user.dir, "/m/a");
	assert_int_equal(user.uid, 7);
	login_user_release(&user);
	login_free(&login);
}

static void
test_names_of_any_length(void **state)
{
	struct login *login = make_login();
	struct login_user user;
	char name[3000];

	(void)state;
	memset(name, 'a', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(log_in(login, name, "x", &user), LOGIN_REFUSED);
	memcpy(name + 2000, "@a.test", 8);
	assert_int_equal(log_in(login, name, "x", &user), LOGIN_REFUSED);
	memcpy(name, "b@", 2);
	assert_int_equal(log_in(login, name, "x", &user), LOGIN_REFUSED);
	login_free(&login);
}

static void
test_login_is_noted(void **state)
{
	struct login *login = make_login();
	struct login_user user;

	(void)state;
	log_in(login, "alice@a.test", "wrong", &user);
	assert_string_equal(noted, "");
	log_in(login, "alice@alias.test", "secret", &user);
	assert_string_equal(noted, "alice@a.test pop3 192.0.2.1 1");
	login_user_release(&user);
	log_in(login, "norelay@a.test", "secret", &user);
	assert_string_equal(noted, "norelay@a.test pop3 192.0.2.1 0");
	login_user_release(&user);
	login_free(&login);
	setenv("NORELAY", "1", 1);
	login = make_login();
	log_in(login, "alice@a.test", "secret", &user);
	assert_string_equal(noted, "alice@a.test pop3 192.0.2.1 0");
	login_user_release(&user);
	login_free(&login);
	setenv("NOLASTAUTH", "1", 1);
	noted[0] = '\0';
	login = make_login();
	log_in(login, "alice@a.test", "secret", &user);
	assert_string_equal(noted, "");
	login_user_release(&user);
	login_free(&login);
}

/* Whether there is such a user does not show. */
static void
test_lock_out_of_any_name(void **state)
{
	static const char *const names[] = { "alice@a.test", "nobody@a.test" };
	struct login_user user;

	(void)state;
	smtp_home_write(root, "control/loginfailures", "3\n");
	for (size_t i = 0; i < 2; i++) {
		struct login *login = make_login();

		for (int j = 0; j < 3; j++)
			assert_int_equal(
			    log_in(login, names[i], "x", &user), LOGIN_REFUSED);
		assert_int_equal(
		    log_in(login, names[i], "secret", &user), LOGIN_LOCKED);
		login_free(&login);
	}
}

/* Nor does an alias domain give as many attempts again. */
static void
test_lock_out_by_any_domain(void **state)
{
	static const char *const names[] = { "alice@alias.test",
		"alice%ALIAS.test", "Alice@a.test", "alice@A.TEST" };
	struct login_user user;
	struct login *login;

	(void)state;
	smtp_home_write(root, "control/loginfailures", "3\n");
	login = make_login();
	for (int i = 0; i < 3; i++)
		assert_int_equal(
		    log_in(login, names[i], "x", &user), LOGIN_REFUSED);
	for (int i = 0; i < 4; i++)
		assert_int_equal(
		    log_in(login, names[i], "secret", &user), LOGIN_LOCKED);
	login_free(&login);
}

static void
test_answers_take_the_same_time(void **state)
{
	struct login *login;
	struct login_user user;
	int64_t began_ms;

	(void)state;
	smtp_home_write(root, "control/logindelay", "1000\n");
	login = make_login();
	began_ms = clock_ms();
	log_in(login, "alice@a.test", "x", &user);
	assert_in_range(clock_ms() - began_ms, 1000, 1990);
	login_free(&login);
	login = make_login();
	began_ms = clock_ms();
	log_in(login, "nobody@a.test", "x", &user);
	assert_in_range(clock_ms() - began_ms, 1000, 1990);
	login_free(&login);
}

static void
test_logins_with_an_interval(void **state)
{
	struct login *login;
	struct login_user user;

	(void)state;
	smtp_home_write(root, "control/minlogininterval", "60\n");
	login = make_login();
	assert_int_equal(
	    log_in(login, "alice@a.test", "secret", &user), LOGIN_OK);
	login_user_release(&user);
	assert_int_equal(
	    log_in(login, "alice@a.test", "secret", &user), LOGIN_TOO_SOON);
	assert_int_equal(
	    log_in(login, "alice@a.test", "x", &user), LOGIN_REFUSED);
	login_free(&login);
}

/* A lock-out bars nobody's mail, which is delivered by such lookups. */
static void
test_lookups_are_neither_locked_out_nor_counted(void **state)
{
	static const struct login_service lookup = { .name = "lmtp",
		.is_lookup = true };
	struct login_attempt attempt;
	struct login_user user;
	struct login *login;
	struct error err;

	(void)state;
	smtp_home_write(root, "control/loginfailures", "2\n");
	login = make_login();
	for (int i = 0; i < 2; i++) {
		assert_int_equal(log_in(login, "alice@a.test", "x", &user),
		    LOGIN_REFUSED);
		/* Nor does one make up for a failure. */
		assert_int_equal(
		    login_begin(login, &lookup, "alice@a.test", "192.0.2.1",
			"192.0.2.2", &attempt, &err),
		    LOGIN_OK);
		assert_int_equal(
		    login_end(login, &attempt, true, &user), LOGIN_OK);
		login_user_release(&user);
	}
	assert_int_equal(
	    log_in(login, "alice@a.test", "secret", &user), LOGIN_LOCKED);
	login_free(&login);
}

static void
test_trusted_network_is_not_locked_out(void **state)
{
	struct login_user user;
	struct login *login;

	(void)state;
	smtp_home_write(root, "control/loginfailuresip", "2\n");
	smtp_home_write(root, "control/logintrusted", "::1\n192.0.2.0/30\n");
	login = make_login();
	for (int i = 0; i < 3; i++)
		log_in(login, "bob@a.test", "x", &user);
	assert_int_equal(
	    log_in(login, "alice@a.test", "secret", &user), LOGIN_OK);
	login_user_release(&user);
	login_free(&login);
}

#define LOGIN_TEST(name) \
	cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		LOGIN_TEST(test_names_and_results),
		LOGIN_TEST(test_bare_name_with_default_domain),
		LOGIN_TEST(test_names_of_any_length),
		LOGIN_TEST(test_login_is_noted),
		LOGIN_TEST(test_lookups_are_neither_locked_out_nor_counted),
		LOGIN_TEST(test_trusted_network_is_not_locked_out),
		LOGIN_TEST(test_lock_out_of_any_name),
		LOGIN_TEST(test_lock_out_by_any_domain),
		LOGIN_TEST(test_answers_take_the_same_time),
		LOGIN_TEST(test_logins_with_an_interval),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
