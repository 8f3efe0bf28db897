/* SPDX-License-Identifier: ISC */
/* Tests of svctool/init/tls.c, with openssl(1). */
#include "svctool/init/init.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/tls.h"
#include "tests/unit/capture.h"
#include "tests/unit/svc_node.h"

static int
make(struct maker *maker, char *me, struct error *err)
{
	const struct init_options options = { .me = me };
	/* Its own words, and those of openssl. */
	struct capture out = capture_begin(1), trouble = capture_begin(2);
	int result = init_tls(maker, &options, err);

	free(capture_end(&trouble));
	free(capture_end(&out));
	return result;
}

static X509 *
read_certificate(void)
{
	FILE *file = fopen(folder_path("tls/servercert.pem"), "r");
	X509 *certificate;

	assert_non_null(file);
	certificate = PEM_read_X509(file, NULL, NULL, NULL);
	fclose(file);
	assert_non_null(certificate);
	return certificate;
}

/* A certificate that a client finds to be ours, and a key of nobody else. */
static void
makes_one(void **state)
{
	static char me[] = "m.test";
	struct maker maker = { .node = node };
	struct tls_context *context;
	struct error err = { "" };
	X509 *certificate;
	struct stat st;

	(void)state;
	if (make(&maker, me, &err) == -1)
		fail_msg("%s", err.text);
	assert_int_equal(maker.made, 1);
	certificate = read_certificate();
	assert_int_equal(X509_check_host(certificate, me, 0, 0, NULL), 1);
	assert_int_equal(
	    X509_check_host(certificate, "other.test", 0, 0, NULL), 0);
	X509_free(certificate);
	assert_int_equal(stat(folder_path("tls/servercert.pem"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	context = tls_context_new(folder_path("tls/servercert.pem"), &err);
	if (context == NULL)
		fail_msg("%s", err.text);
	tls_context_free(&context);
	assert_false(svc_has("tls/.key.new"));
	assert_false(svc_has("tls/.cert.new"));
}

/* X.509's common name is shorter than a host name may be. */
static void
long_names(void **state)
{
	char me[128];
	struct maker maker = { .node = node };
	struct error err = { "" };
	X509 *certificate;

	(void)state;
	memset(me, 'm', sizeof(me));
	me[40] = me[80] = '.';
	memcpy(me + 120, ".test", 6);
	if (make(&maker, me, &err) == -1)
		fail_msg("%s", err.text);
	certificate = read_certificate();
	assert_int_equal(X509_check_host(certificate, me, 0, 0, NULL), 1);
	X509_free(certificate);
}

static void
keeps_what_is_there(void **state)
{
	static char me[] = "m.test";
	struct maker maker = { .node = node };
	struct error err = { "" };

	(void)state;
	svc_put("tls/servercert.pem", "the operator's\n");
	assert_int_equal(make(&maker, me, &err), 0);
	svc_expect_file("tls/servercert.pem", "the operator's\n");
	assert_int_equal(maker.made, 0);
	assert_int_equal(maker.kept, 1);
}

static void
cannot_be_made(void **state)
{
	static char me[] = "m.test";
	struct maker maker = { .node = node };
	struct error err = { "" };

	(void)state;
	assert_int_equal(file_remove_tree(folder_path("tls"), &err), 0);
	assert_int_equal(make(&maker, me, &err), -1);
	assert_non_null(strstr(err.text, "cannot make the certificate '"));
	assert_non_null(strstr(err.text, "'openssl' failed"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		SVC_TEST(makes_one),
		SVC_TEST(long_names),
		SVC_TEST(keeps_what_is_there),
		SVC_TEST(cannot_be_made),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
