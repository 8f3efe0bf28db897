/* SPDX-License-Identifier: ISC */
/* The server's side of SASL; no other file of servers includes libgsasl. */
#include "auth/sasl.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <gsasl.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include "auth/oauth.h"
#include "base/mem.h"

enum {
	SECRET_BYTES = 32,
	/* What a user without a verifier seems to have (RFC 7677 4). */
	ITERATIONS = 4096,
	SALT_BYTES = 16 /* as of the verifiers that vpasswd makes */
};

enum kind { BY_PASSWORD, BY_SECRET, BY_VERIFIER, BY_TOKEN };

struct mechanism {
	const char *name;
	const char *disabled_by; /* a variable of the reference */
	enum kind kind;
	bool needs_binding;
};

/* In the order in which clients are to prefer them. */
static const struct mechanism mechanisms[] = {
	{ "SCRAM-SHA-256-PLUS", "DISABLE_SCRAM_SHA256_PLUS", BY_VERIFIER,
	    true },
	{ "SCRAM-SHA-256", "DISABLE_SCRAM_SHA256", BY_VERIFIER, false },
	{ "CRAM-MD5", "DISABLE_CRAM_MD5", BY_SECRET, false },
	{ "OAUTHBEARER", "DISABLE_OAUTHBEARER", BY_TOKEN, false },
	{ "XOAUTH2", "DISABLE_OAUTH2", BY_TOKEN, false },
	{ "PLAIN", "DISABLE_AUTH_PLAIN", BY_PASSWORD, false },
	{ "LOGIN", "DISABLE_AUTH_LOGIN", BY_PASSWORD, false },
};

enum { MECHANISM_COUNT = sizeof(mechanisms) / sizeof(mechanisms[0]) };

struct sasl {
	const struct sasl_channel *channel;
	const struct mechanism *mechanism;
	Gsasl *library;        /* but for tokens */
	Gsasl_session *dialog; /* ... */
	bool has_begun;        /* it was stepped */
	unsigned steps;        /* ... of the dialog, with something to say */
	bool is_last;          /* all is said but the client's last answer */
	bool is_proven;
	/* login_begin() was called for attempt and began it, or result says
	 * why not. */
	bool is_looked_up, has_attempt;
	enum login_result result;
	struct error err;
	struct login_attempt attempt;
	struct oauth_token token;
	char *name, *password; /* what the client has said of them */
};

/* Is the word in a list with blanks or commas between? */
static bool
has_word(const char *list, const char *word)
{
	size_t length = strlen(word);

	for (;;) {
		size_t found = strcspn(list, " \t,");

		if (found == length && strncasecmp(list, word, length) == 0)
			return true;
		list += found;
		if (*list == '\0')
			return false;
		list++;
	}
}

static bool
is_usable(
    const struct sasl_channel *channel, const struct mechanism *mechanism)
{
	const struct settings *settings = channel->settings;

	if (!has_word(settings_text(settings, SETTING_authmechanisms),
		mechanism->name) ||
	    vars_get(channel->vars, mechanism->disabled_by) != NULL ||
	    (mechanism->needs_binding && !channel->has_binding))
		return false;
	if (mechanism->kind == BY_PASSWORD)
		return true;
	if (channel->login == NULL)
		return false;
	return mechanism->kind != BY_TOKEN ||
	    settings_text(settings, SETTING_oauthprogram)[0] != '\0';
}

static const struct mechanism *
find_mechanism(const struct sasl_channel *channel, const char *name)
{
	for (size_t i = 0; i < MECHANISM_COUNT; i++)
		if (strcasecmp(mechanisms[i].name, name) == 0)
			return is_usable(channel, &mechanisms[i])
			    ? &mechanisms[i]
			    : NULL;
	return NULL;
}

void
sasl_put_mechanisms(const struct sasl_channel *channel, struct buf *buf)
{
	size_t start = buf->length;

	for (size_t i = 0; i < MECHANISM_COUNT; i++) {
		if (!is_usable(channel, &mechanisms[i]))
			continue;
		if (buf->length > start)
			buf_addc(buf, ' ');
		buf_adds(buf, mechanisms[i].name);
	}
}

static void
set_base64(Gsasl_session *dialog, Gsasl_property property,
    const unsigned char *data, int length)
{
	unsigned char text[4 * ((SECRET_BYTES + 2) / 3) + 1];

	assert(length <= SECRET_BYTES);
	EVP_EncodeBlock(text, data, length);
	gsasl_property_set(dialog, property, (const char *)text);
}

static void
set_random(Gsasl_session *dialog, Gsasl_property property)
{
	unsigned char data[SECRET_BYTES];

	if (RAND_bytes(data, sizeof(data)) != 1)
		abort();
	set_base64(dialog, property, data, sizeof(data));
}

/*
 * Each user has the same salt whenever and by whatever spelling of the name it is
 * asked, as those have that have a verifier: who asks twice is not to learn that
 * there is none.
 */
static void
set_made_up_salt(struct sasl *sasl)
{
	unsigned char bytes[LOGIN_MADE_UP_SIZE];

	login_make_up(sasl->channel->login, sasl->attempt.name, bytes);
	set_base64(sasl->dialog, GSASL_SCRAM_SALT, bytes, SALT_BYTES);
}

/* Who the client says he is; once. */
static void
look_up(struct sasl *sasl, const char *name)
{
	const struct sasl_channel *channel = sasl->channel;

	if (sasl->is_looked_up)
		return;
	sasl->is_looked_up = true;
	sasl->name = xstrdup(name);
	sasl->result = login_begin(channel->login, channel->service, name,
	    channel->remote_ip, channel->local_ip, &sasl->attempt, &sasl->err);
	sasl->has_attempt = sasl->result == LOGIN_OK;
}

static void
set_secret(struct sasl *sasl)
{
	const char *secret = sasl->attempt.has_user
	    ? sasl->attempt.password.secret
	    : NULL;

	sasl->is_proven = secret != NULL;
	if (secret != NULL)
		gsasl_property_set(sasl->dialog, GSASL_PASSWORD, secret);
	else
		set_random(sasl->dialog, GSASL_PASSWORD);
}

/* "{SCRAM-SHA-256}ITERATIONS,SALT,STORED,SERVER"; false if it is another. */
static bool
set_verifier(Gsasl_session *dialog, const char *scram)
{
	static const char mark[] = "{SCRAM-SHA-256}";
	static const Gsasl_property properties[] = { GSASL_SCRAM_ITER,
		GSASL_SCRAM_SALT, GSASL_SCRAM_STOREDKEY,
		GSASL_SCRAM_SERVERKEY };
	size_t lengths[4];
	const char *at;

	if (scram == NULL || strncmp(scram, mark, sizeof(mark) - 1) != 0)
		return false;
	scram += sizeof(mark) - 1;
	at = scram;
	for (size_t i = 0; i < 4; i++) {
		lengths[i] = strcspn(at, ",");
		if (lengths[i] == 0 || (at[lengths[i]] == '\0' && i < 3))
			return false;
		at += lengths[i] + 1;
	}
	for (size_t i = 0; i < 4; i++) {
		OWN_TEXT field = xstrndup(scram, lengths[i]);

		gsasl_property_set(dialog, properties[i], field);
		scram += lengths[i] + 1;
	}
	return true;
}

/*
 * What SCRAM compares with: a verifier, or one of a secret, or one that nothing
 * proves.
 */
static void
set_scram(struct sasl *sasl)
{
	const struct store_password *password = &sasl->attempt.password;
	char iterations[16];

	sasl->is_proven = sasl->attempt.has_user;
	if (sasl->attempt.has_user &&
	    set_verifier(sasl->dialog, password->scram))
		return;
	snprintf(iterations, sizeof(iterations), "%d", ITERATIONS);
	gsasl_property_set(sasl->dialog, GSASL_SCRAM_ITER, iterations);
	set_made_up_salt(sasl);
	if (sasl->attempt.has_user && password->secret != NULL) {
		gsasl_property_set(
		    sasl->dialog, GSASL_PASSWORD, password->secret);
		return;
	}
	sasl->is_proven = false;
	set_random(sasl->dialog, GSASL_SCRAM_STOREDKEY);
	set_random(sasl->dialog, GSASL_SCRAM_SERVERKEY);
}

static int
keep_password(struct sasl *sasl)
{
	const char *name = gsasl_property_fast(sasl->dialog, GSASL_AUTHID);
	const char *password = gsasl_property_fast(
	    sasl->dialog, GSASL_PASSWORD);

	if (name == NULL || *name == '\0' || password == NULL)
		return GSASL_AUTHENTICATION_ERROR;
	sasl->name = xstrdup(name);
	sasl->password = xstrdup(password);
	return GSASL_OK;
}

/* libgsasl asks for what it does not know. */
static int
answer_library(Gsasl *library, Gsasl_session *dialog, Gsasl_property property)
{
	struct sasl *sasl = gsasl_session_hook_get(dialog);
	const char *name = gsasl_property_fast(dialog, GSASL_AUTHID);

	(void)library;
	/* switch would want all of the library's values. */
	if (property == GSASL_VALIDATE_SIMPLE)
		return keep_password(sasl);
	if (property == GSASL_CB_TLS_EXPORTER) {
		if (!sasl->channel->has_binding)
			return GSASL_NO_CB_TLS_EXPORTER;
		set_base64(dialog, property, sasl->channel->binding,
		    TLS_BINDING_SIZE);
		return GSASL_OK;
	}
	if (name == NULL || sasl->is_looked_up ||
	    (property != GSASL_PASSWORD && property != GSASL_SCRAM_ITER))
		return GSASL_NO_CALLBACK;
	look_up(sasl, name);
	if (!sasl->has_attempt)
		return GSASL_AUTHENTICATION_ERROR;
	if (property == GSASL_PASSWORD)
		set_secret(sasl);
	else
		set_scram(sasl);
	return GSASL_OK;
}

struct sasl *
sasl_start(const struct sasl_channel *channel, const char *name)
{
	const struct mechanism *mechanism = find_mechanism(channel, name);
	struct sasl *sasl;

	if (mechanism == NULL)
		return NULL;
	sasl = xcalloc(1, sizeof(*sasl));
	sasl->channel = channel;
	sasl->mechanism = mechanism;
	sasl->result = LOGIN_REFUSED;
	if (mechanism->kind == BY_TOKEN)
		return sasl;
	if (gsasl_init(&sasl->library) != GSASL_OK)
		abort(); /* it was out of memory */
	gsasl_callback_set(sasl->library, answer_library);
	if (gsasl_server_start(sasl->library, mechanism->name, &sasl->dialog) !=
	    GSASL_OK) {
		sasl_free(&sasl);
		return NULL;
	}
	gsasl_session_hook_set(sasl->dialog, sasl);
	return sasl;
}

static void
free_secret(char **text)
{
	if (*text != NULL)
		explicit_bzero(*text, strlen(*text));
	free(*text);
	*text = NULL;
}

void
sasl_free(struct sasl **sasl_in)
{
	struct sasl *sasl = *sasl_in;

	if (sasl == NULL)
		return;
	if (sasl->has_attempt)
		login_abandon(&sasl->attempt);
	if (sasl->dialog != NULL)
		gsasl_finish(sasl->dialog);
	if (sasl->library != NULL)
		gsasl_done(sasl->library);
	oauth_token_release(&sasl->token);
	free_secret(&sasl->name);
	free_secret(&sasl->password);
	free(sasl);
	*sasl_in = NULL;
}

const char *
sasl_mechanism(const struct sasl *sasl)
{
	return sasl->mechanism->name;
}

const char *
sasl_name(const struct sasl *sasl)
{
	return sasl->name;
}

const char *
sasl_password(const struct sasl *sasl)
{
	return sasl->password;
}

/* Nobody may be another than who he says he is (RFC 4422 2). */
static bool
is_for_another(const struct sasl *sasl)
{
	const char *name = gsasl_property_fast(sasl->dialog, GSASL_AUTHID);
	const char *wanted = gsasl_property_fast(sasl->dialog, GSASL_AUTHZID);

	return wanted != NULL && *wanted != '\0' &&
	    (name == NULL || strcasecmp(name, wanted) != 0);
}

static enum sasl_step
finish_unproven(struct sasl *sasl)
{
	sasl->is_proven = false;
	return SASL_FINISHED;
}

/* What the library's word for the step means for the exchange. */
static enum sasl_step
judge_step(struct sasl *sasl, int code, const struct buf *challenge)
{
	if (code == GSASL_NEEDS_MORE && !is_for_another(sasl))
		return SASL_CHALLENGE;
	if (code == GSASL_OK && !is_for_another(sasl)) {
		if (sasl->mechanism->kind == BY_PASSWORD)
			return SASL_PASSWORD;
		/* What proves us goes as a challenge (RFC 4954 4). */
		sasl->is_last = challenge->length > 0;
		return sasl->is_last ? SASL_CHALLENGE : SASL_FINISHED;
	}
	/* Before a name was looked at there is nobody who failed. */
	if (!sasl->is_looked_up && code != GSASL_OK &&
	    code != GSASL_NEEDS_MORE && code != GSASL_AUTHENTICATION_ERROR)
		return SASL_MALFORMED;
	return finish_unproven(sasl);
}

/*
 * RFC 5802 6: "y" says that we seemed not to have a binding; when we had one
 * then somebody between has taken it off the list.
 */
static bool
is_downgraded(const struct sasl *sasl, const char *answer)
{
	static const struct mechanism *const plus = &mechanisms[0];

	return sasl->mechanism->kind == BY_VERIFIER &&
	    !sasl->mechanism->needs_binding && sasl->steps == 0 &&
	    strncmp(answer, "eS", 2) == 0 && answer[2] >= 'w' &&
	    answer[2] <= 'z' && /* "y," */
	    is_usable(sasl->channel, plus);
}

/* "p=": a binding, which only the mechanism with -PLUS has. */
static bool
is_bound_without_plus(const struct sasl *sasl, const char *answer)
{
	return sasl->mechanism->kind == BY_VERIFIER &&
	    !sasl->mechanism->needs_binding && sasl->steps == 0 &&
	    strncmp(answer, "cD", 2) == 0;
}

static bool
is_login_mechanism(const struct sasl *sasl)
{
	return strcmp(sasl->mechanism->name, "LOGIN") == 0;
}

static enum sasl_step
step_library(struct sasl *sasl, const char *answer, struct buf *challenge_out)
{
	bool is_login = is_login_mechanism(sasl);
	char *output = NULL;
	int code;

	if (is_downgraded(sasl, answer))
		return finish_unproven(sasl);
	if (is_bound_without_plus(sasl, answer))
		return SASL_MALFORMED;
	code = gsasl_step64(sasl->dialog, answer, &output);
	sasl->steps += *answer != '\0' || is_login;
	if (output != NULL && (code == GSASL_OK || code == GSASL_NEEDS_MORE))
		buf_adds(challenge_out, output);
	/* The words that clients know best: "Username:", "Password:". */
	if (is_login && code == GSASL_NEEDS_MORE) {
		buf_reset(challenge_out);
		buf_adds(challenge_out,
		    sasl->steps == 1 ? "VXNlcm5hbWU6" : "UGFzc3dvcmQ6");
	}
	gsasl_free(output);
	return judge_step(sasl, code, challenge_out);
}

/* Is the token what it should be?  Says so to the client if it is not. */
static enum sasl_step
step_token(struct sasl *sasl, const char *answer, struct buf *challenge_out)
{
	bool is_bearer = strcmp(sasl->mechanism->name, "OAUTHBEARER") == 0;
	int is_valid;

	if (*answer == '\0')
		return SASL_CHALLENGE; /* an empty one */
	if (!oauth_token_parse(&sasl->token, answer, is_bearer))
		return SASL_MALFORMED;
	if (sasl->token.name[0] != '\0')
		look_up(sasl, sasl->token.name);
	if (sasl->is_looked_up && !sasl->has_attempt)
		return SASL_FINISHED;
	is_valid = oauth_token_check(&sasl->token,
	    settings_text(sasl->channel->settings, SETTING_oauthprogram),
	    sasl->mechanism->name, sasl->channel->vars, &sasl->err);
	if (is_valid == -1) {
		if (sasl->has_attempt)
			login_abandon(&sasl->attempt);
		sasl->has_attempt = false;
		sasl->result = LOGIN_UNKNOWN;
		return SASL_FINISHED;
	}
	/* The program may be the one who says whose it is. */
	look_up(sasl, sasl->token.name);
	sasl->is_proven = is_valid == 1 && sasl->attempt.has_user;
	if (sasl->is_proven || !sasl->has_attempt)
		return SASL_FINISHED;
	/* RFC 7628 3.2.2: the client answers before it hears the end. */
	sasl->is_last = true;
	buf_adds(challenge_out, oauth_error);
	return SASL_CHALLENGE;
}

enum sasl_step
sasl_step(struct sasl *sasl, const char *answer, struct buf *challenge_out)
{
	buf_reset(challenge_out);
	if (sasl->is_last)
		return SASL_FINISHED;
	/* No mechanism has an answer without a word. */
	if (answer != NULL && *answer == '\0')
		return sasl->is_looked_up ? finish_unproven(sasl)
					  : SASL_MALFORMED;
	if (sasl->mechanism->kind == BY_TOKEN)
		return step_token(
		    sasl, answer != NULL ? answer : "", challenge_out);
	if (answer == NULL) {
		sasl->has_begun = true;
		return step_library(sasl, "", challenge_out);
	}
	if (!sasl->has_begun && sasl->mechanism->kind == BY_SECRET)
		return SASL_MALFORMED; /* here the server speaks first */
	/* There too, but many clients do not wait for that. */
	if (!sasl->has_begun && is_login_mechanism(sasl))
		step_library(sasl, "", challenge_out);
	sasl->has_begun = true;
	buf_reset(challenge_out);
	return step_library(sasl, answer, challenge_out);
}

enum login_result
sasl_finish(struct sasl *sasl, struct login_user *user_out, struct error *err)
{
	*user_out = (struct login_user){ .storage = BUF_INIT };
	if (sasl->has_attempt) {
		sasl->has_attempt = false;
		sasl->result = login_end(sasl->channel->login, &sasl->attempt,
		    sasl->is_proven, user_out);
	}
	*err = sasl->err;
	return sasl->result;
}
