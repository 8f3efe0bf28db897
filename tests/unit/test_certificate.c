/* SPDX-License-Identifier: ISC */
/* Tests of base/certificate.c. */
#include "base/certificate.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/tls.h"
#include "tests/unit/tempdir.h"

static void
made_and_known(void **state)
{
	char *folder = tempdir_make();
	OWN_TEXT path = xasprintf("%s/c.pem", folder);
	OWN_TEXT command = xasprintf(
	    "openssl x509 -in %s -noout -pubkey | openssl pkey -pubin "
	    "-outform DER | sha256sum",
	    path);
	AUTO(buf_release) struct buf pem = BUF_INIT;
	AUTO(tls_context_free) struct tls_context *context = NULL;
	char pin[CERTIFICATE_PIN_SIZE], again[CERTIFICATE_PIN_SIZE];
	char other[CERTIFICATE_PIN_SIZE];
	struct error err;
	FILE *pipe;

	(void)state;
	assert_int_equal(certificate_make("mail1", 3650, &pem, pin, &err), 0);
	assert_int_equal(
	    file_replace(path, pem.data, pem.length, 0600, &err), 0);
	assert_int_equal(certificate_pin_of_file(path, again, &err), 0);
	assert_string_equal(pin, again);
	/* As others count it. */
	pipe = popen(command, "re");
	assert_non_null(pipe);
	assert_non_null(fgets(again, sizeof(again), pipe));
	pclose(pipe);
	assert_string_equal(pin, again);
	/* A listener can use it, for ten years, also while clocks differ. */
	context = tls_context_new(path, &err);
	assert_non_null(context);
	assert_in_range(tls_context_valid_s(context), 3649LL * 86400,
	    3650LL * 86400);
	buf_release(&pem);
	assert_int_equal(certificate_make("mail1", 3650, &pem, other, &err), 0);
	assert_string_not_equal(pin, other);
	tempdir_remove(folder);
}

static void
no_certificate(void **state)
{
	char *folder = tempdir_make();
	OWN_TEXT path = xasprintf("%s/c.pem", folder);
	char pin[CERTIFICATE_PIN_SIZE];
	struct error err;

	(void)state;
	assert_int_equal(certificate_pin_of_file(path, pin, &err), -1);
	assert_non_null(strstr(err.text, "No such file"));
	assert_int_equal(file_replace(path, "x\n", 2, 0600, &err), 0);
	assert_int_equal(certificate_pin_of_file(path, pin, &err), -1);
	assert_non_null(strstr(err.text, "has no certificate"));
	assert_int_equal(
	    certificate_pin_of_der((const unsigned char *)"x", 1, pin), -1);
	tempdir_remove(folder);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(made_and_known),
		cmocka_unit_test(no_certificate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
