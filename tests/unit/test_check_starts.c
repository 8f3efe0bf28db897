/* SPDX-License-Identifier: ISC */
/* Tests of svctool/check/starts.c. */
#include "svctool/check/check.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/certificate.h"
#include "tests/unit/check_node.h"

#define PLAIN "service/qmail-smtpd.25/variables/"
#define TLS "service/qmail-smtpd.465/variables/"
#define GLOBAL "control/global_vars/"

/* A node with a queue and two listeners, all of which would start. */
static int
set_up(void **state)
{
	if (svc_setup(state) != 0)
		return -1;
	svc_dir("queue/queue1/lock");
	svc_dir("service/queue1/variables");
	svc_put(PLAIN "LISTEN", "127.0.0.1:25\n");
	svc_put(TLS "LISTEN", "[::1]:465\n");
	svc_put(TLS "OPTIONS", "--smtps --submission\n");
	svc_put(GLOBAL "MQMAIL_USER", "root\n"); /* who has to be there */
	svc_put("control/rcpthosts", "a.test\n");
	certificate_write(folder_path("tls/servercert.pem"), 86400);
	return 0;
}

static void
expect(const char *name, const char *wanted)
{
	struct check check = check_begin();

	check_starts(&check);
	check_expect(&check, name, wanted);
	check_release(&check);
}

/* What a daemon's own code refuses, and where that has to be put right. */
static void
what_daemons_refuse(void **state)
{
	static const struct {
		const char *file, *text, *wanted;
	} rows[] = {
		{ "control/smtpgreeting", "",
		    "E ~/control/smtpgreeting: it has "
		    "no line, and a greeting needs one -- write the host's name "
		    "there, or remove the file\n" },
		{ "control/tlsserverciphers", "nonsense\n",
		    "E ~/control/tlsserverciphers:1: no TLS 1.2 cipher in "
		    "'nonsense' (no cipher match) -- write a list as\n" },
		{ "control/locals", "a@b\n",
		    "E ~/control/locals:1: 'a@b' is not a domain -- \n" },
		{ "control/concurrencylocal.queue1", "x\n",
		    "E ~/control/concurrencylocal.queue1:1: 'x' is not\n" },
		{ "control/from.envrules", "junk\n",
		    "E ~/control/from.envrules:1: no ':'\n" },
		{ "control/morercpthosts.cdb", "junk\n",
		    "E ~/control/morercpthosts.cdb: \n" },
		{ "control/tcp.smtp.cdb", "junk\n",
		    "E ~/control/tcp.smtp.cdb: \n" },
		{ "tls/servercert.pem", "junk\n",
		    "E ~/tls/servercert.pem: no usable certificate in\n" },
		{ GLOBAL "SERVERCERT", "/none.pem\n",
		    "E ~/" GLOBAL "SERVERCERT: SERVERCERT: cannot read TLS "
		    "certificate '/none.pem' (make it, or allow this user to "
		    "read it): No such file or directory -- correct it, or rm "
		    "'~/" GLOBAL "SERVERCERT', then svctool restart\n" },
		{ GLOBAL "TCPRULES", "none.cdb\n",
		    "E ~/" GLOBAL "TCPRULES: TCPRULES: no file 'none.cdb' -- "
		    "make it with tcprules, then svctool restart\n" },
		{ GLOBAL "DOMAINQUEUE", "none\n",
		    "E ~/" GLOBAL "DOMAINQUEUE: DOMAINQUEUE: no file "
		    "'~/control/none' -- make it, or name none, then svctool "
		    "restart\n" },
		{ GLOBAL "MQMAIL_USER", "no-such-user\n",
		    "E ~: no system user 'no-such-user': make it with\n" },
		{ PLAIN "FROMRULES", "/none\n",
		    "E ~/" PLAIN "FROMRULES: FROMRULES: no file '/none'\n" },
		{ PLAIN "MAXPERIP", "few\n",
		    "E ~/" PLAIN "MAXPERIP: MAXPERIP: 'few' is not a\n" },
		{ PLAIN "OPTIONS", "--lmtp  --nonsense\n",
		    "E ~/" PLAIN "OPTIONS: '--nonsense' is not an option -- "
		    "write options of qmail-smtpd(8) there, then svctool\n" },
		{ PLAIN "LISTEN", "25\n",
		    "E ~/" PLAIN "LISTEN: '--listen 25' has no port of 0 to "
		    "65535 -- write ADDRESS:PORT\n" },
		{ GLOBAL "MAILDIRFOLDER", "../x\n",
		    "E ~/" GLOBAL "MAILDIRFOLDER: MAILDIRFOLDER is '../x': it "
		    "must be the name of a folder in a Maildir, as Lists or "
		    "Lists.Some -- correct it\n" },
		{ GLOBAL "OVERQUOTA_MAILSIZE", "1k\n",
		    "E ~/" GLOBAL "OVERQUOTA_MAILSIZE: OVERQUOTA_MAILSIZE is "
		    "'1k': it must be a number of bytes -- correct it\n" },
	};

	(void)state;
	expect("as made", "");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf old;
		bool had;

		if (strstr(rows[i].file, "USER") != NULL && geteuid() != 0)
			continue;
		buf_init(&old);
		had = file_read(
			  folder_path(rows[i].file), 100000, &old, NULL) == 1;
		svc_put(rows[i].file, rows[i].text);
		expect(rows[i].file, rows[i].wanted);
		remove(folder_path(rows[i].file));
		if (had)
			svc_put(rows[i].file, old.data);
		buf_release(&old);
	}
	expect("as before", "");
}

/* Only a listener that promises TLS needs a certificate. */
static void
a_certificate_that_is_not_there(void **state)
{
	(void)state;
	remove(folder_path("tls/servercert.pem"));
	expect("SMTPS",
	    "E ~/tls/servercert.pem: no certificate '~/tls/servercert.pem': "
	    "put the chain and the key there\n");
	svc_put(GLOBAL "SMTPS", "1\n");
	remove(folder_path(TLS "OPTIONS"));
	expect("by variable", "E ~/tls/servercert.pem: no certificate\n");
	remove(folder_path(GLOBAL "SMTPS"));
	expect("none", "");
}

/* A service has its own variable in place of everybody's, or none. */
static void
a_listeners_own_variable(void **state)
{
	(void)state;
	svc_put(GLOBAL "TCPRULES", "/none.cdb\n");
	svc_put(PLAIN "TCPRULES", "/other.cdb\n");
	svc_put(TLS "TCPRULES", "");
	expect(
	    "own", "E ~/" PLAIN "TCPRULES: TCPRULES: no file '/other.cdb'\n");
}

/* An error that was found already is not told twice. */
static void
what_is_known(void **state)
{
	struct check check = check_begin();

	(void)state;
	svc_put("control/databytes", "many\n");
	check_find(&check, CHECK_ERROR, folder_path("control/databytes"), 1,
	    "the same in other words");
	check_remedy(&check, "mend it");
	check_starts(&check);
	check_expect(&check, "known", "the same in other words\n");
	check_release(&check);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, svc_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_daemons_refuse),
		TEST(a_certificate_that_is_not_there),
		TEST(a_listeners_own_variable),
		TEST(what_is_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
