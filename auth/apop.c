/* SPDX-License-Identifier: ISC */
/* The proof of APOP. */
#include "auth/apop.h"

#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

bool
apop_is_proof(const char *timestamp, const char *secret, const char *digest)
{
	const char *text = secret != NULL ? secret : "";
	unsigned char md5[EVP_MAX_MD_SIZE];
	char wanted[2 * EVP_MAX_MD_SIZE + 1] = "";
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	unsigned length = 0;
	bool is_made = context != NULL &&
	    EVP_DigestInit_ex(context, EVP_md5(), NULL) == 1 &&
	    EVP_DigestUpdate(context, timestamp, strlen(timestamp)) == 1 &&
	    EVP_DigestUpdate(context, text, strlen(text)) == 1 &&
	    EVP_DigestFinal_ex(context, md5, &length) == 1;

	EVP_MD_CTX_free(context);
	for (unsigned i = 0; is_made && i < length; i++)
		snprintf(wanted + 2 * i, 3, "%02x", md5[i]);
	return is_made && strlen(digest) == 2 * length &&
	    CRYPTO_memcmp(digest, wanted, 2 * length) == 0 && secret != NULL;
}
