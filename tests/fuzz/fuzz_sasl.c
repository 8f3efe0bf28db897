/* SPDX-License-Identifier: ISC */
/*
 * What a client says in AUTH: the first byte chooses the mechanism, and says
 * whether there is a first word and whether lines are encoded for it; the lines
 * are the answers.  Nobody is let in, and every challenge is base64.
 */
#include <assert.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <sanitizer/common_interface_defs.h>

#include "auth/oauth.h"
#include "auth/sasl.h"
#include "base/mem.h"
#include "tests/unit/smtp_home.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct login_service service = { .name = "smtp" };
static struct sasl_channel channel;
static int log_fd, null_fd;
static struct home *home;
static char *root;

static void
remove_home(void)
{
	tempdir_remove(root);
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct store *store;

	(void)argc;
	(void)argv;
	root = smtp_home_make();
	atexit(remove_home);
	smtp_home_write(root, "control/authmechanisms",
	    "PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256 SCRAM-SHA-256-PLUS\n");
	smtp_home_write(root, "control/logindelay", "0\n");
	smtp_home_write(root, "control/loginfailures", "0\n");
	smtp_home_write(root, "control/loginfailuresip", "0\n");
	home = home_new();
	store = store_open(home->root, NULL);
	channel.settings = settings_load(
	    home->control, "qmail-smtpd", NULL, NULL);
	assert(store != NULL && channel.settings != NULL);
	channel.login = login_new(store, NULL, channel.settings);
	channel.service = &service;
	channel.remote_ip = "192.0.2.1";
	channel.local_ip = "192.0.2.2";
	channel.has_binding = true;
	log_fd = dup(2);
	null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	__sanitizer_set_report_fd((void *)(intptr_t)log_fd);
	return 0;
}

static void
check_challenge(const struct buf *challenge)
{
	for (size_t i = 0; i < challenge->length; i++)
		assert(strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuv"
			      "wxyz0123456789+/=",
			   challenge->data[i]) != NULL);
}

/* The caller frees. */
static char *
make_answer(const char *line, size_t length, bool is_encoded)
{
	char *answer;

	if (!is_encoded)
		return xstrndup(line, length);
	answer = xcalloc(1, 4 * ((length + 2) / 3) + 1);
	EVP_EncodeBlock((unsigned char *)answer, (const unsigned char *)line,
	    (int)length);
	return answer;
}

static void
check_end(struct sasl *sasl, enum sasl_step step)
{
	struct login_user user;
	struct error err;

	if (step == SASL_PASSWORD)
		assert(sasl_name(sasl)[0] != '\0' &&
		    sasl_password(sasl) != NULL);
	if (step == SASL_FINISHED)
		assert(sasl_finish(sasl, &user, &err) != LOGIN_OK);
}

static void
check_token(const char *answer, bool is_bearer)
{
	struct oauth_token token;

	if (oauth_token_parse(&token, answer, is_bearer))
		assert(token.token[0] != '\0');
	oauth_token_release(&token);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = { "PLAIN", "LOGIN", "CRAM-MD5",
		"SCRAM-SHA-256", "SCRAM-SHA-256-PLUS" };
	const char *at, *end;
	enum sasl_step step = SASL_CHALLENGE;
	struct buf challenge = BUF_INIT;
	struct sasl *sasl;

	if (size == 0 || size > SASL_LINE_MAX)
		return 0;
	at = (const char *)data + 1;
	end = at + size - 1;
	sasl = sasl_start(&channel, names[data[0] % 5]);
	assert(sasl != NULL);
	dup2(null_fd, 2);
	if ((data[0] & 64) != 0)
		step = sasl_step(sasl, NULL, &challenge);
	while (step == SASL_CHALLENGE && at < end) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));
		size_t length = (size_t)((stop != NULL ? stop : end) - at);
		char *answer = make_answer(at, length, (data[0] & 128) != 0);

		check_challenge(&challenge);
		check_token(answer, (data[0] & 1) != 0);
		step = sasl_step(sasl, answer, &challenge);
		free(answer);
		at += length + 1;
	}
	check_end(sasl, step);
	dup2(log_fd, 2);
	sasl_free(&sasl);
	buf_release(&challenge);
	return 0;
}
