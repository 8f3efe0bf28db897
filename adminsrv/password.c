/* SPDX-License-Identifier: ISC */
/* Passwords: asking for one, and their hashes by crypt(3). */
#include "adminsrv/password.h"

#include <crypt.h>
#include <errno.h>
#include <gsasl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <termios.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "lookupd/vpasswd.h"

/* IndiMail's numbers and names.  DES looks at 8 characters only: not offered.
 */
static const struct {
	const char *name;
	const char *number;
	const char *prefix;
} methods[] = {
	{ "YESCRYPT", "", "$y$" }, /* the default */
	{ "SHA-512", "3", "$6$" },
	{ "SHA-256", "2", "$5$" },
	{ "MD5", "1", "$1$" },
};

/* One line from descriptor 0, byte by byte: what follows is not ours. */
static int
read_password(struct buf *line, struct error *err)
{
	buf_reset(line);
	for (;;) {
		char c;
		ssize_t n = read(STDIN_FILENO, &c, 1);

		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return error_sys(err, "cannot read the password");
		if (n == 0 || c == '\n')
			break;
		if (line->length == PASSWORD_MAX)
			return error_set(err,
			    "the password is longer than %d bytes",
			    PASSWORD_MAX);
		buf_addc(line, c);
	}
	if (line->length > 0 && line->data[line->length - 1] == '\r')
		line->data[--line->length] = '\0';
	if (line->length == 0 || memchr(line->data, '\0', line->length) != NULL)
		return error_set(err,
		    "no password: type one, or give it as the first line of "
		    "the input");
	return 0;
}

static int
prompt(
    const char *text, const char *subject, struct buf *line, struct error *err)
{
	OWN_TEXT question = xasprintf("%s for %s: ", text, subject);
	int result = 0;

	if (file_write_all(STDERR_FILENO, question, strlen(question)) == -1)
		result = error_sys(err, "cannot ask for the password");
	if (result == 0)
		result = read_password(line, err);
	/* The newline that was typed was not shown. */
	if (file_write_all(STDERR_FILENO, "\n", 1) == -1 && result == 0)
		result = error_sys(err, "cannot ask for the password");
	return result;
}

int
password_ask(const char *subject, struct buf *password_out, struct error *err)
{
	struct termios shown, hidden;
	AUTO(buf_release) struct buf again = BUF_INIT;
	int result;

	if (tcgetattr(STDIN_FILENO, &shown) == -1)
		return read_password(password_out, err);
	hidden = shown;
	hidden.c_lflag &= ~(tcflag_t)ECHO;
	if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden) == -1)
		return error_sys(err, "cannot turn the terminal's echo off");
	buf_init(&again);
	result = prompt("Password", subject, password_out, err);
	if (result == 0)
		result = prompt("The same again", subject, &again, err);
	if (result == 0 && strcmp(password_out->data, again.data) != 0)
		result = error_set(err, "the two passwords differ");
	if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown) == -1 && result == 0)
		result = error_sys(err, "cannot turn the terminal's echo on");
	explicit_bzero(again.data, again.size);
	return result;
}

int
password_random(size_t length, struct buf *password_out, struct error *err)
{
	/* 64 characters, so that each has the same chance: no l, O, 0, 1. */
	static const char characters[] =
	    "ABCDEFGHIJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789+-=_.,";
	unsigned char bytes[PASSWORD_MAX];

	if (length < 8 || length > 128)
		return error_set(
		    err, "a random password has 8 to 128 characters");
	if (getrandom(bytes, length, 0) != (ssize_t)length)
		return error_sys(err, "cannot get random bytes");
	buf_reset(password_out);
	for (size_t i = 0; i < length; i++)
		buf_addc(password_out, characters[bytes[i] % 64]);
	return 0;
}

static const char *
find_prefix(const char *method)
{
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		if (strcasecmp(method, methods[i].name) == 0 ||
		    (*method != '\0' && strcmp(method, methods[i].number) == 0))
			return methods[i].prefix;
	}
	return NULL;
}

int
password_hash(const char *password, const char *method, struct buf *hash_out,
    struct error *err)
{
	char setting[CRYPT_GENSALT_OUTPUT_SIZE];
	struct crypt_data *data;
	const char *prefix;
	const char *hash;
	int result = 0;

	if (method == NULL)
		method = getenv("PASSWORD_HASH");
	if (method == NULL || *method == '\0')
		method = methods[0].name;
	prefix = find_prefix(method);
	if (prefix == NULL)
		return error_set(err,
		    "no password hash '%s': take YESCRYPT, SHA-512, SHA-256 "
		    "or MD5 (-h, or the variable PASSWORD_HASH)",
		    method);
	if (*password == '\0' || strlen(password) > PASSWORD_MAX)
		return error_set(
		    err, "a password has 1 to %d bytes", PASSWORD_MAX);
	if (crypt_gensalt_rn(prefix, 0, NULL, 0, setting, sizeof(setting)) ==
	    NULL)
		return error_sys(err, "cannot make a salt for %s", method);
	data = xcalloc(1, sizeof(*data)); /* 32 KB: not for a stack */
	hash = crypt_rn(password, setting, data, sizeof(*data));
	if (hash == NULL)
		result = error_sys(
		    err, "cannot hash the password with %s", method);
	else {
		buf_reset(hash_out);
		buf_adds(hash_out, hash);
	}
	explicit_bzero(data, sizeof(*data));
	free(data);
	return result;
}

enum {
	SCRAM_ITERATIONS = 4096, /* RFC 7677 4: at least */
	SCRAM_SALT_BYTES = 16,
	SHA256_BYTES = 32
};

/*
 * The form in which both sides hash a password (RFC 4013).  What that refuses
 * is taken as it is.  The caller frees.
 */
static char *
prepare_password(const char *password)
{
	char *prepared = NULL;

	if (gsasl_saslprep(password, GSASL_ALLOW_UNASSIGNED, &prepared, NULL) ==
	    GSASL_OK)
		return prepared;
	return xstrdup(password);
}

static void
add_base64(struct buf *text, const unsigned char *bytes, int length)
{
	unsigned char encoded[4 * ((SHA256_BYTES + 2) / 3) + 1];

	EVP_EncodeBlock(encoded, bytes, length);
	buf_addc(text, ',');
	buf_adds(text, (const char *)encoded);
}

static bool
hash_key(const unsigned char salted[SHA256_BYTES], const char *name,
    unsigned char key_out[SHA256_BYTES])
{
	return HMAC(EVP_sha256(), salted, SHA256_BYTES,
		   (const unsigned char *)name, strlen(name), key_out,
		   NULL) != NULL;
}

int
password_scram(const char *password, struct buf *scram_out, struct error *err)
{
	unsigned char salt[SCRAM_SALT_BYTES], salted[SHA256_BYTES];
	unsigned char client[SHA256_BYTES], stored[SHA256_BYTES],
	    server[SHA256_BYTES];
	char *prepared = prepare_password(password);
	bool is_made = getrandom(salt, sizeof(salt), 0) ==
		(ssize_t)sizeof(salt) &&
	    PKCS5_PBKDF2_HMAC(prepared, (int)strlen(prepared), salt,
		sizeof(salt), SCRAM_ITERATIONS, EVP_sha256(), sizeof(salted),
		salted) == 1 &&
	    hash_key(salted, "Client Key", client) &&
	    EVP_Digest(client, sizeof(client), stored, NULL, EVP_sha256(),
		NULL) == 1 &&
	    hash_key(salted, "Server Key", server);

	explicit_bzero(prepared, strlen(prepared));
	explicit_bzero(salted, sizeof(salted));
	explicit_bzero(client, sizeof(client));
	free(prepared);
	if (!is_made)
		return error_set(err, "cannot make a SCRAM verifier");
	buf_reset(scram_out);
	buf_addf(scram_out, "{SCRAM-SHA-256}%d", SCRAM_ITERATIONS);
	add_base64(scram_out, salt, sizeof(salt));
	add_base64(scram_out, stored, sizeof(stored));
	add_base64(scram_out, server, sizeof(server));
	return 0;
}

int
password_data_make(const char *password, const char *method, bool keeps_secret,
    struct password_data *data_out, struct error *err)
{
	if (password_hash(password, method, &data_out->hash, err) == -1 ||
	    password_scram(password, &data_out->scram, err) == -1)
		return -1;
	buf_reset(&data_out->secret);
	if (keeps_secret)
		buf_adds(&data_out->secret, password);
	return 0;
}

void
password_data_take(const char *hashed, struct password_data *data_out)
{
	OWN_TEXT text = xstrdup(hashed);
	const char *scram, *hash;

	vpasswd_split_hash(text, &scram, &hash);
	buf_reset(&data_out->hash);
	buf_reset(&data_out->scram);
	buf_reset(&data_out->secret);
	buf_adds(&data_out->hash, hash);
	if (scram != NULL)
		buf_adds(&data_out->scram, scram);
}

void
password_data_release(struct password_data *data)
{
	if (data->secret.data != NULL)
		explicit_bzero(data->secret.data, data->secret.size);
	buf_release(&data->hash);
	buf_release(&data->scram);
	buf_release(&data->secret);
}

const char *
password_text(const struct buf *buf)
{
	return buf->length == 0 ? NULL : buf->data;
}
