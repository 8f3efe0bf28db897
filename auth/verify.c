/* SPDX-License-Identifier: ISC */
/* Is this the password?  By crypt(3), or by a SCRAM verifier. */
#include "auth/verify.h"

#include <crypt.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/mem.h"
#include "base/scan.h"

enum { ITERATIONS_MAX = 10 * 1000 * 1000, BASE64_MAX = 256 };

/* What verify_nothing() computes when there is no example. */
static const char dummy_hash[] =
    "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$tnSYvahCwPBHKZUspmcxMfb0.WiB9W.zEaKlOBL35rC";

/* Of the time only their lengths depend on; -1: there is no such method. */
static int
hash_and_compare(const char *password, const char *hash)
{
	struct crypt_data *data = xcalloc(1, sizeof(*data)); /* 32 KB */
	const char *made = crypt_rn(password, hash, data, sizeof(*data));
	int result = -1;

	if (made != NULL && made[0] != '*') {
		size_t length = strlen(made);

		result = length == strlen(hash) &&
		    CRYPTO_memcmp(made, hash, length) == 0;
	}
	explicit_bzero(data, sizeof(*data));
	free(data);
	return result;
}

int
verify_crypt(const char *password, const char *hash, struct error *err)
{
	int result;

	if (hash[0] == '*' || hash[0] == '!' || hash[0] == '\0' ||
	    strlen(password) > VERIFY_PASSWORD_MAX) {
		verify_nothing(password, NULL);
		return 0;
	}
	result = hash_and_compare(password, hash);
	if (result == -1)
		error_set(err,
		    "the stored hash is of a form that this system does not "
		    "know: set the password again with vpasswd");
	return result;
}

void
verify_nothing(const char *password, const char *hash)
{
	char cut[VERIFY_PASSWORD_MAX + 1];
	size_t length = strnlen(password, VERIFY_PASSWORD_MAX);

	memcpy(cut, password, length);
	cut[length] = '\0';
	if (hash == NULL || hash_and_compare(cut, hash) == -1)
		hash_and_compare(cut, dummy_hash);
	explicit_bzero(cut, sizeof(cut));
}

/* Decodes length bytes of base64; -1 when they are none, or too many. */
static int
decode_base64(const char *text, size_t length, unsigned char out[BASE64_MAX])
{
	unsigned char block[BASE64_MAX + 1];
	size_t padding = 0;
	int n;

	if (length == 0 || length % 4 != 0 || length > BASE64_MAX)
		return -1;
	while (padding < 2 && text[length - 1 - padding] == '=')
		padding++;
	n = EVP_DecodeBlock(block, (const unsigned char *)text, (int)length);
	if (n < (int)padding)
		return -1;
	n -= (int)padding;
	memcpy(out, block, (size_t)n);
	return n;
}

static const EVP_MD *
scram_method(const char *scram, const char **rest_out)
{
	static const struct {
		const char *mark;
		const EVP_MD *(*method)(void);
	} methods[] = {
		{ "{SCRAM-SHA-256}", EVP_sha256 },
		{ "{SCRAM-SHA-1}", EVP_sha1 },
		{ "{SCRAM-SHA-512}", EVP_sha512 },
	};

	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		size_t length = strlen(methods[i].mark);

		if (strncmp(scram, methods[i].mark, length) != 0)
			continue;
		*rest_out = scram + length;
		return methods[i].method();
	}
	return NULL;
}

/* StoredKey of a password (RFC 5802 3). */
static bool
make_stored_key(const EVP_MD *method, const char *password,
    const unsigned char *salt, int salt_length, int iterations,
    unsigned char out[EVP_MAX_MD_SIZE])
{
	static const char key_text[] = "Client Key";
	unsigned char salted[EVP_MAX_MD_SIZE], client[EVP_MAX_MD_SIZE];
	int size = EVP_MD_size(method);
	unsigned length;
	bool is_made = PKCS5_PBKDF2_HMAC(password, (int)strlen(password), salt,
			   salt_length, iterations, method, size,
			   salted) == 1 &&
	    HMAC(method, salted, size, (const unsigned char *)key_text,
		sizeof(key_text) - 1, client, &length) != NULL &&
	    EVP_Digest(client, length, out, &length, method, NULL) == 1;

	OPENSSL_cleanse(salted, sizeof(salted));
	OPENSSL_cleanse(client, sizeof(client));
	return is_made;
}

int
verify_scram(const char *password, const char *scram, struct error *err)
{
	unsigned char salt[BASE64_MAX], stored[BASE64_MAX];
	unsigned char made[EVP_MAX_MD_SIZE];
	const char *fields[4], *rest;
	const EVP_MD *method = scram_method(scram, &rest);
	int salt_length, stored_length;
	uint64_t iterations;
	unsigned count = 1;

	if (method == NULL)
		goto bad;
	fields[0] = rest;
	for (; count < 4 && (rest = strchr(rest, ',')) != NULL; count++)
		fields[count] = ++rest;
	if (count < 4 ||
	    !scan_u64n(fields[0], (size_t)(fields[1] - 1 - fields[0]),
		ITERATIONS_MAX, &iterations) ||
	    iterations == 0)
		goto bad;
	salt_length = decode_base64(
	    fields[1], (size_t)(fields[2] - 1 - fields[1]), salt);
	stored_length = decode_base64(
	    fields[2], (size_t)(fields[3] - 1 - fields[2]), stored);
	if (salt_length <= 0 || stored_length != EVP_MD_size(method))
		goto bad;
	if (strlen(password) > VERIFY_PASSWORD_MAX)
		return 0;
	if (!make_stored_key(
		method, password, salt, salt_length, (int)iterations, made))
		return error_set(err, "OpenSSL cannot compute a SCRAM key");
	return CRYPTO_memcmp(made, stored, (size_t)stored_length) == 0;
bad:
	return error_set(err,
	    "the stored SCRAM verifier is none: set the password again with "
	    "vpasswd");
}
