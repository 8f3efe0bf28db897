/* SPDX-License-Identifier: ISC */
/* Tests of base/vars.c. */
#include "base/vars.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

static int
setup(void **state)
{
	(void)state;
	setenv("UNIT_A", "environment", 1);
	setenv("UNIT_AB", "other", 1);
	unsetenv("UNIT_B");
	return 0;
}

static void
check(const struct vars *vars, const char *name, const char *wanted)
{
	const char *got = vars_get(vars, name);

	if ((got == NULL) != (wanted == NULL) ||
	    (got != NULL && strcmp(got, wanted) != 0))
		fail_msg("%s: got '%s', wanted '%s'", name,
		    got != NULL ? got : "(unset)",
		    wanted != NULL ? wanted : "(unset)");
}

static void
lies_over_the_environment(void **state)
{
	struct vars vars = VARS_INIT;

	(void)state;
	check(NULL, "UNIT_A", "environment");
	check(NULL, "UNIT_B", NULL);
	check(&vars, "UNIT_A", "environment");
	vars_set(&vars, "UNIT_A", "session");
	vars_set(&vars, "UNIT_B", "");
	check(&vars, "UNIT_A", "session");
	check(&vars, "UNIT_AB", "other");
	check(&vars, "UNIT_B", "");
	vars_set(&vars, "UNIT_A", NULL);
	check(&vars, "UNIT_A", NULL);
	check(NULL, "UNIT_A", "environment");
	vars_set(&vars, "UNIT_A", "again");
	check(&vars, "UNIT_A", "again");
	assert_int_equal(vars.count, 2);
	vars_release(&vars);
	check(&vars, "UNIT_A", "environment");
}

static void
texts_are_copied(void **state)
{
	struct vars vars = VARS_INIT;
	char name[] = "UNIT_C", value[] = "x";

	(void)state;
	vars_set(&vars, name, value);
	name[5] = 'D';
	value[0] = 'y';
	check(&vars, "UNIT_C", "x");
	check(&vars, "UNIT_D", NULL);
	vars_release(&vars);
}

/* How often text is in an environment. */
static unsigned
count(char **environment, const char *text)
{
	unsigned found = 0;

	for (; *environment != NULL; environment++)
		found += strcmp(*environment, text) == 0;
	return found;
}

static void
environment_of_a_program(void **state)
{
	struct vars vars = VARS_INIT;
	char **environment;

	(void)state;
	vars_set(&vars, "UNIT_A", "session");
	vars_set(&vars, "UNIT_AB", NULL);
	vars_set(&vars, "UNIT_B", "a=b");
	vars_set(&vars, "UNIT_C", NULL);
	setenv("UNIT_E", "kept", 1);
	environment = vars_make_environment(&vars);
	assert_int_equal(count(environment, "UNIT_A=session"), 1);
	assert_int_equal(count(environment, "UNIT_A=environment"), 0);
	assert_int_equal(count(environment, "UNIT_AB=other"), 0);
	assert_int_equal(count(environment, "UNIT_B=a=b"), 1);
	assert_int_equal(count(environment, "UNIT_E=kept"), 1);
	for (char **at = environment; *at != NULL; at++)
		assert_true(strncmp(*at, "UNIT_C", 6) != 0);
	vars_free_environment(environment);
	vars_release(&vars);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(lies_over_the_environment, setup),
		cmocka_unit_test_setup(texts_are_copied, setup),
		cmocka_unit_test_setup(environment_of_a_program, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
