/* SPDX-License-Identifier: ISC */
/* adminsrv/quota_text.c: a quota as operators give it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "adminsrv/quota_text.h"
#include "base/mem.h"
#include "mailbox/quota.h"

static void
reads_quotas(void **state)
{
	static const struct {
		const char *input, *wanted; /* NULL: refused */
	} rows[] = {
		{ "NOQUOTA", "NOQUOTA" },
		{ "noquota", "NOQUOTA" },
		{ "1000", "1000S" },
		{ "1000S", "1000S" },
		{ "1000S,50C", "1000S,50C" },
		{ "50C", "50C" },
		{ "50C,1000S", "1000S,50C" },
		{ "10k", "10240S" },
		{ "10K", "10240S" },
		{ "10M", "10485760S" },
		{ "10MS", "10485760S" },
		{ "10MB", "10485760S" },
		{ "unlimited", "NOQUOTA" },
		{ "1T", "1099511627776S" },
		{ "2g,9C", "2147483648S,9C" },
		{ "9223372036854775807", "9223372036854775807S" },
		{ "9223372036854775808", NULL },
		{ "9007199254740991k", "9223372036854774784S" },
		{ "9007199254740992k", NULL },
		{ "", NULL },
		{ "0", NULL },
		{ "0C", NULL },
		{ "0S,0C", NULL },
		{ "S", NULL },
		{ "M", NULL },
		{ "C", NULL },
		{ "-1", NULL },
		{ "1.5M", NULL },
		{ "10P", NULL },
		{ "10MM", NULL },
		{ "1000S,", NULL },
		{ ",50C", NULL },
		{ "1S,2S", NULL },
		{ "1C,2C", NULL },
		{ "1S,2C,3C", NULL },
		{ "1S:2C", NULL },
		{ " 1000", NULL },
		{ "1000\n", NULL },
	};
	struct buf quota;

	(void)state;
	buf_init(&quota);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = { "" };
		int result = quota_text_read(rows[i].input, &quota, &err);
		struct quota read;

		if ((result == 0) != (rows[i].wanted != NULL) ||
		    (result == 0 && strcmp(quota.data, rows[i].wanted) != 0))
			fail_msg("'%s' gave %d '%s' (%s), wanted '%s'",
			    rows[i].input, result, quota.data, err.text,
			    rows[i].wanted == NULL ? "refused"
						   : rows[i].wanted);
		/* What we write, deliveries must understand. */
		if (result == 0 && quota_read(quota.data, &read, NULL) == -1)
			fail_msg("'%s' became '%s', which is no quota",
			    rows[i].input, quota.data);
	}
	buf_release(&quota);
}

static void
changes_quotas(void **state)
{
	static const struct {
		const char *input, *old;
		const char *wanted; /* NULL: refused */
	} rows[] = {
		{ "+10k", "10240S", "20480S" },
		{ "-4k", "10240S,5C", "6144S,5C" },
		{ "5M", "10240S", "5242880S" },
		{ "NOQUOTA", "10240S", "NOQUOTA" },
		{ "-10k", "10240S", NULL },
		{ "+10k", "NOQUOTA", NULL },
		{ "+10C", "10240S", NULL },
		{ "+", "10240S", NULL },
		{ "+9223372036854775807", "9223372036854775807S", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		AUTO(buf_release) struct buf quota = BUF_INIT;
		struct error err = { "" };
		int result = quota_text_change(
		    rows[i].input, rows[i].old, &quota, &err);

		if ((result == 0) != (rows[i].wanted != NULL) ||
		    (result == 0 && strcmp(quota.data, rows[i].wanted) != 0))
			fail_msg("'%s' of '%s' gave %d '%s' (%s)",
			    rows[i].input, rows[i].old, result, quota.data,
			    err.text);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_quotas),
		cmocka_unit_test(changes_quotas),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
