/* SPDX-License-Identifier: ISC */
/* Tests of svctool/run/service_env.c. */
#include "svctool/run/service_env.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "tests/unit/svc_node.h"

/* What the service gets, and which file has to be changed for that. */
static void
its_own_goes_over_everybodys(void **state)
{
	static const struct {
		const char *name, *global, *own; /* files, or NULL */
		const char *value;               /* or NULL */
		const char *file;
	} rows[] = {
		{ "NONE", NULL, NULL, NULL, "service/s/variables" },
		{ "GLOBAL", "a\n", NULL, "a", "control/global_vars" },
		{ "OWN", NULL, "b \t\nmore\n", "b", "service/s/variables" },
		{ "BOTH", "a\n", "b\n", "b", "service/s/variables" },
		{ "UNSET", "a\n", "", NULL, "service/s/variables" },
		{ "EMPTY", "a\n", "\n", NULL, "service/s/variables" },
		{ ".hidden", "a\n", NULL, NULL, "service/s/variables" },
	};
	struct service_env env;

	(void)state;
	svc_dir("service/s/variables/folder");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char path[100];

		snprintf(
		    path, sizeof(path), "control/global_vars/%s", rows[i].name);
		if (rows[i].global != NULL)
			svc_put(path, rows[i].global);
		snprintf(
		    path, sizeof(path), "service/s/variables/%s", rows[i].name);
		if (rows[i].own != NULL)
			svc_put(path, rows[i].own);
	}
	service_env_read(node, "s", &env);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *value = service_env_get(&env, rows[i].name);
		char *file = service_env_file(&env, rows[i].name);
		char *wanted = xasprintf(
		    "%s/%s", folder_path(rows[i].file), rows[i].name);

		if (strcmp(value != NULL ? value : "-",
			rows[i].value != NULL ? rows[i].value : "-") != 0)
			fail_msg("%s: '%s'", rows[i].name, value);
		assert_string_equal(file, wanted);
		free(wanted);
		free(file);
	}
	setenv("GLOBAL", "shell", 1);
	setenv("SHELLS", "x", 1);
	service_env_take(&env, node);
	assert_string_equal(getenv("GLOBAL"), "a");
	assert_string_equal(getenv("EMPTY"), "");
	assert_null(getenv("UNSET"));
	assert_null(getenv("SHELLS"));
	assert_string_equal(getenv("MQMAIL_HOME"), folder);
	service_env_release(&env);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		SVC_TEST(its_own_goes_over_everybodys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
