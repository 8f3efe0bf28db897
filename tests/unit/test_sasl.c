/* SPDX-License-Identifier: ISC */
/* Tests of auth/sasl.c and auth/oauth.c, of what needs no user. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/oauth.h"
#include "auth/sasl.h"
#include "base/mem.h"
#include "tests/unit/smtp_home.h"

static char *root;
static struct settings *settings;
static struct sasl_channel channel;

static void
load(const char *mechanisms)
{
	AUTO(home_free) struct home *home = NULL;
	struct error err;

	root = smtp_home_make();
	smtp_home_write(root, "control/authmechanisms", mechanisms);
	home = home_new();
	settings = settings_load(home->control, "qmail-smtpd", NULL, &err);
	assert_non_null(settings);
	channel = (struct sasl_channel){
		.settings = settings,
		.remote_ip = "192.0.2.1",
		.local_ip = "192.0.2.2",
	};
}

static int
unload(void **state)
{
	(void)state;
	settings_free(&settings);
	tempdir_remove(root);
	return 0;
}

static int
load_all(void **state)
{
	(void)state;
	load("plain, LOGIN CRAM-MD5 SCRAM-SHA-256 SCRAM-SHA-256-PLUS XOAUTH2\n");
	return 0;
}

/* Without a store only passwords, which somebody else checks, can be. */
static void
what_is_usable(void **state)
{
	AUTO(buf_release) struct buf names = BUF_INIT;
	AUTO(vars_release) struct vars vars = VARS_INIT;
	int placeholder;

	(void)state;
	sasl_put_mechanisms(&channel, &names);
	assert_string_equal(names.data, "PLAIN LOGIN");
	assert_null(sasl_start(&channel, "CRAM-MD5"));
	assert_null(sasl_start(&channel, "PLAINS"));
	assert_null(sasl_start(&channel, ""));
	buf_reset(&names);
	/* It is not asked yet. */
	channel.login = (struct login *)&placeholder;
	sasl_put_mechanisms(&channel, &names);
	assert_string_equal(names.data, "SCRAM-SHA-256 CRAM-MD5 PLAIN LOGIN");
	buf_reset(&names);
	channel.has_binding = true;
	channel.vars = &vars;
	vars_set(&vars, "DISABLE_CRAM_MD5", "");
	vars_set(&vars, "DISABLE_AUTH_LOGIN", "1");
	sasl_put_mechanisms(&channel, &names);
	assert_string_equal(
	    names.data, "SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN");
	assert_null(sasl_start(&channel, "login"));
}

static void
passwords(void **state)
{
	static const struct {
		const char *mechanism, *answers[3];
		enum sasl_step wanted;
		const char *name, *password;
	} rows[] = {
		/* "\0a\0b", "a\0a\0b", "b\0a\0b" */
		{ "PLAIN", { "AGEAYg==" }, SASL_PASSWORD, "a", "b" },
		{ "plain", { "YQBhAGI=" }, SASL_PASSWORD, "a", "b" },
		{ "PLAIN", { "YgBhAGI=" }, SASL_FINISHED, NULL, NULL },
		{ "PLAIN", { "AABi" }, SASL_FINISHED, NULL, NULL },
		{ "PLAIN", { "AGE=" }, SASL_MALFORMED, NULL, NULL },
		{ "PLAIN", { "" }, SASL_MALFORMED, NULL, NULL },
		{ "PLAIN", { "?" }, SASL_MALFORMED, NULL, NULL },
		{ "PLAIN", { "AGEAYg=" }, SASL_MALFORMED, NULL, NULL },
		{ "LOGIN", { "YQ==", "Yg==" }, SASL_PASSWORD, "a", "b" },
		{ "LOGIN", { "YQ==" }, SASL_CHALLENGE, NULL, NULL },
		{ "LOGIN", { "" }, SASL_MALFORMED, NULL, NULL },
		{ "LOGIN", { "YQ==", "" }, SASL_MALFORMED, NULL, NULL },
		{ "LOGIN", { "YQBi", "Yg==" }, SASL_MALFORMED, NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		AUTO(buf_release) struct buf challenge = BUF_INIT;
		struct sasl *sasl = sasl_start(&channel, rows[i].mechanism);
		enum sasl_step step = SASL_CHALLENGE;
		unsigned at = 0;

		assert_non_null(sasl);
		for (; rows[i].answers[at] != NULL && step == SASL_CHALLENGE;
		     at++)
			step = sasl_step(
			    sasl, rows[i].answers[at], &challenge);
		if (step != rows[i].wanted)
			fail_msg("row %zu: %d", i, (int)step);
		if (rows[i].name != NULL) {
			assert_string_equal(sasl_name(sasl), rows[i].name);
			assert_string_equal(
			    sasl_password(sasl), rows[i].password);
		}
		if (step == SASL_CHALLENGE) /* "Password:" */
			assert_string_equal(challenge.data, "UGFzc3dvcmQ6");
		sasl_free(&sasl);
		assert_null(sasl);
	}
}

static void
tokens(void **state)
{
	static const struct {
		const char *answer;
		bool is_bearer;
		const char *name, *token; /* NULL: it is none */
	} rows[] = {
		/* n,a=u@d,^Ahost=h^Aauth=Bearer t^A^A */
		{ "bixhPXVAZCwBaG9zdD1oAWF1dGg9QmVhcmVyIHQBAQ==", true, "u@d",
		    "t" },
		/* n,,^Aauth=Bearer t^A^A */
		{ "biwsAWF1dGg9QmVhcmVyIHQBAQ==", true, "", "t" },
		/* n,a=u=2Cv=3D,^Aauth=bearer t^A^A */
		{ "bixhPXU9MkN2PTNELAFhdXRoPWJlYXJlciB0AQE=", true, "u,v=",
		    "t" },
		/* user=u@d^Aauth=Bearer t^A^A */
		{ "dXNlcj11QGQBYXV0aD1CZWFyZXIgdAEB", false, "u@d", "t" },
		{ "dXNlcj11QGQBYXV0aD1CZWFyZXIgdAEB", true, NULL, NULL },
		{ "biwsAWF1dGg9QmVhcmVyIHQBAQ==", false, NULL, NULL },
		/* user=u@d^Aauth=Bearer t^A */
		{ "dXNlcj11QGQBYXV0aD1CZWFyZXIgdAE=", false, NULL, NULL },
		{ "AA==", false, NULL, NULL },
		{ "AQ==", true, NULL, NULL },
		{ "%", true, NULL, NULL },
		{ "", true, NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct oauth_token token;
		bool is_one = oauth_token_parse(
		    &token, rows[i].answer, rows[i].is_bearer);

		if (is_one != (rows[i].name != NULL))
			fail_msg("row %zu", i);
		if (is_one) {
			assert_string_equal(token.name, rows[i].name);
			assert_string_equal(token.token, rows[i].token);
		}
		oauth_token_release(&token);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    what_is_usable, load_all, unload),
		cmocka_unit_test_setup_teardown(passwords, load_all, unload),
		cmocka_unit_test(tokens),
	};

	return cmocka_run_group_tests_name("auth/sasl", tests, NULL, NULL);
}
