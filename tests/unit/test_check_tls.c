/* SPDX-License-Identifier: ISC */
/* Tests of svctool/check/tls.c. */
#include "svctool/check/check.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/certificate.h"
#include "tests/unit/check_node.h"

static void
expect(const char *name, const char *wanted)
{
	struct check check = check_begin();

	check_tls(&check);
	check_expect(&check, name, wanted);
	check_release(&check);
}

static void
certificates(void **state)
{
	enum { DAY_S = 86400 };
	static const struct {
		const char *name;
		long valid_s;
		const char *wanted;
	} rows[] = {
		{ "a year", 365 * DAY_S, "" },
		{ "15 days", 15 * DAY_S, "" },
		{ "13 days", 13 * DAY_S,
		    "W ~/tls/servercert.pem: the certificate expires within "
		    "two weeks -- put a new one there, then svc -h\n" },
		{ "expired", -10,
		    "E ~/tls/servercert.pem: the certificate has expired -- "
		    "put a new one there\n" },
	};

	(void)state;
	expect("none",
	    "W ~/tls/servercert.pem: there is none, so STARTTLS is not "
	    "offered -- put\n");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		certificate_write(
		    folder_path("tls/servercert.pem"), rows[i].valid_s);
		expect(rows[i].name, rows[i].wanted);
	}
	svc_put("tls/servercert.pem", "no certificate\n");
	expect(
	    "junk", "-- put a PEM file with certificate chain and key there\n");
	svc_put("tls/servercert.pem", "");
	expect("empty", "E ~/tls/servercert.pem: \n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		SVC_TEST(certificates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
