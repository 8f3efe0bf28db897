/* SPDX-License-Identifier: ISC */
/* Certificates by which peers know each other without an authority. */
#include "base/certificate.h"

#include <limits.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stdio.h>

static int
pin_of_certificate(const X509 *certificate, char pin_out[CERTIFICATE_PIN_SIZE])
{
	unsigned char *der = NULL;
	unsigned char digest[EVP_MAX_MD_SIZE];
	int length = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
	bool is_done = length > 0 &&
	    EVP_Digest(der, (size_t)length, digest, NULL, EVP_sha256(), NULL);

	OPENSSL_free(der);
	if (!is_done)
		return -1;
	for (size_t i = 0; i < CERTIFICATE_PIN_SIZE / 2; i++)
		snprintf(pin_out + 2 * i, 3, "%02x", digest[i]);
	return 0;
}

int
certificate_pin_of_file(
    const char *path, char pin_out[CERTIFICATE_PIN_SIZE], struct error *err)
{
	FILE *file = fopen(path, "re");
	X509 *certificate;
	int result = -1;

	if (file == NULL)
		return error_sys(err, "cannot open '%s'", path);
	certificate = PEM_read_X509(file, NULL, NULL, NULL);
	fclose(file);
	if (certificate != NULL)
		result = pin_of_certificate(certificate, pin_out);
	X509_free(certificate);
	return result == 0 ? 0
			   : error_set(err, "'%s' has no certificate", path);
}

int
certificate_pin_of_der(const unsigned char *der, size_t length,
    char pin_out[CERTIFICATE_PIN_SIZE])
{
	X509 *certificate = length > LONG_MAX
	    ? NULL
	    : d2i_X509(NULL, &der, (long)length);
	int result = certificate == NULL
	    ? -1
	    : pin_of_certificate(certificate, pin_out);

	X509_free(certificate);
	return result;
}

static bool
fill_certificate(
    X509 *certificate, EVP_PKEY *key, const char *name, unsigned days)
{
	X509_NAME *subject = X509_get_subject_name(certificate);

	/* The serial number need not tell those of one key apart. */
	return X509_set_version(certificate, X509_VERSION_3) &&
	    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1) &&
	    /* Clocks may differ. */
	    X509_gmtime_adj(
		X509_getm_notBefore(certificate), -24 * 60 * 60) != NULL &&
	    X509_time_adj_ex(X509_getm_notAfter(certificate), (int)days, 0,
		NULL) != NULL &&
	    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
		(const unsigned char *)name, -1, -1, 0) &&
	    X509_set_issuer_name(certificate, subject) &&
	    X509_set_pubkey(certificate, key) &&
	    X509_sign(certificate, key, EVP_sha256()) != 0;
}

static bool
put_pem(EVP_PKEY *key, X509 *certificate, struct buf *pem)
{
	BIO *bio = BIO_new(BIO_s_secmem());
	char *text;
	bool is_done = bio != NULL &&
	    PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) &&
	    PEM_write_bio_X509(bio, certificate);

	if (is_done) {
		long length = BIO_get_mem_data(bio, &text);

		buf_add(pem, text, (size_t)length);
	}
	BIO_free(bio);
	return is_done;
}

int
certificate_make(const char *name, unsigned days, struct buf *pem_out,
    char pin_out[CERTIFICATE_PIN_SIZE], struct error *err)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *certificate = X509_new();
	bool is_done = key != NULL && certificate != NULL &&
	    fill_certificate(certificate, key, name, days) &&
	    put_pem(key, certificate, pem_out) &&
	    pin_of_certificate(certificate, pin_out) == 0;

	X509_free(certificate);
	EVP_PKEY_free(key);
	return is_done
	    ? 0
	    : error_set(err, "OpenSSL cannot make a certificate for '%s'", name);
}
