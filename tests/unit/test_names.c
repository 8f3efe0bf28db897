/* SPDX-License-Identifier: ISC */
/* adminsrv/names.c: names of domains and users. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "adminsrv/names.h"

#define L63 "012345678901234567890123456789012345678901234567890123456789012"

static void
checks_domains(void **state)
{
	static const struct {
		const char *input, *wanted; /* NULL: refused */
	} rows[] = {
		{ "example.test", "example.test" },
		{ "Example.TEST", "example.test" },
		{ "localhost", "localhost" },
		{ "a-b.1.test", "a-b.1.test" },
		{ L63 ".test", L63 ".test" },
		{ L63 "x.test", NULL },
		{ L63 "." L63 "." L63 "." L63, NULL },
		{ "", NULL },
		{ ".", NULL },
		{ "example.test.", NULL },
		{ ".example.test", NULL },
		{ "a..test", NULL },
		{ "-a.test", NULL },
		{ "a-.test", NULL },
		{ "a_b.test", NULL },
		{ "a b.test", NULL },
		{ "a:b.test", NULL },
		{ "a/b.test", NULL },
		{ "../x", NULL },
		{ "a.test\n", NULL },
		{ "ex\303\244mple.test", "xn--exmple-cua.test" },
		{ "EX\303\204MPLE.test", "xn--exmple-cua.test" },
		{ "XN--exmple-cua.test", "xn--exmple-cua.test" },
		{ "\342\230\225.test", NULL },
		{ "ex\303mple.test", NULL },
		{ "ex\303\244mple_.test", NULL },
		{ "ex\303\244mple.", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char domain[NAMES_DOMAIN_SIZE] = "";
		struct error err = { "" };
		int result = names_domain(rows[i].input, domain, &err);

		if ((result == 0) != (rows[i].wanted != NULL) ||
		    (result == 0 && strcmp(domain, rows[i].wanted) != 0))
			fail_msg("'%s' gave %d '%s' (%s), wanted '%s'",
			    rows[i].input, result, domain, err.text,
			    rows[i].wanted == NULL ? "refused"
						   : rows[i].wanted);
	}
}

static void
splits_addresses(void **state)
{
	static const struct {
		const char *input, *local, *domain; /* NULL: refused */
	} rows[] = {
		{ "alice@example.test", "alice", "example.test" },
		{ "Alice@Example.Test", "alice", "example.test" },
		{ "a@b@c.test", "a@b", "c.test" },
		{ "Alice%c.test", "alice", "c.test" },
		{ "a%b@c.test", "a%b", "c.test" },
		{ "%c.test", NULL, NULL },
		{ "a@ex\303\244mple.test", "a", "xn--exmple-cua.test" },
		{ L63 "4@c.test", L63 "4", "c.test" },
		{ L63 "45@c.test", NULL, NULL },
		{ "alice", NULL, NULL },
		{ "@example.test", NULL, NULL },
		{ "alice@", NULL, NULL },
		{ "", NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct names_address address = { "", "" };
		struct error err = { "" };
		int result = names_address(rows[i].input, &address, &err);

		if ((result == 0) != (rows[i].local != NULL) ||
		    (result == 0 &&
			(strcmp(address.local, rows[i].local) != 0 ||
			    strcmp(address.domain, rows[i].domain) != 0)))
			fail_msg("'%s' gave %d '%s' '%s' (%s)", rows[i].input,
			    result, address.local, address.domain, err.text);
	}
}

static void
checks_new_users(void **state)
{
	static const struct {
		const char *allowed; /* ALLOWCHARS; NULL: unset */
		const char *input;
		int wanted;
	} rows[] = {
		{ NULL, "alice", 0 },
		{ NULL, "a.b-c_d9", 0 },
		{ NULL, "0", 0 },
		{ NULL, "a+b", -1 },
		{ "+.", "a+b", 0 },
		{ "+.", "a-b", -1 },
		{ "", "a.b", -1 },
		{ "", "ab", 0 },
		{ "!#$%&'*=?^`{|}~", "o'brien", 0 },
		/* No ALLOWCHARS makes these possible. */
		{ ":", "a", -1 },
		{ "/", "a", -1 },
		{ ".@", "a", -1 },
		{ "\n", "a", -1 },
		{ " ", "a", -1 },
		{ NULL, "", -1 },
		{ NULL, "a:b", -1 },
		{ NULL, "a/b", -1 },
		{ NULL, "a b", -1 },
		{ NULL, "a\nb", -1 },
		{ NULL, "a@b", -1 },
		{ NULL, "..", -1 },
		{ NULL, ".a", -1 },
		{ NULL, "a.", -1 },
		{ NULL, "a..b", -1 },
		{ NULL, "-a", -1 },
		{ NULL, "j\303\266rg", -1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = { "" };
		int result;

		if (rows[i].allowed == NULL)
			unsetenv("ALLOWCHARS");
		else
			setenv("ALLOWCHARS", rows[i].allowed, 1);
		result = names_check_new_user(rows[i].input, &err);
		if (result != rows[i].wanted)
			fail_msg("'%s' with ALLOWCHARS '%s' gave %d (%s)",
			    rows[i].input,
			    rows[i].allowed == NULL ? "-" : rows[i].allowed,
			    result, err.text);
	}
	unsetenv("ALLOWCHARS");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(checks_domains),
		cmocka_unit_test(splits_addresses),
		cmocka_unit_test(checks_new_users),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
