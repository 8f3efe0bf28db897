/* SPDX-License-Identifier: ISC */
/*
 * The node of tests/unit/svc_node.h for the commands that make and remove
 * domains: all of it is one user's.  Include after cmocka.h.
 */
#ifndef TESTS_UNIT_ADMIN_NODE_H
#define TESTS_UNIT_ADMIN_NODE_H

#include "adminsrv/domain.h"
#include "adminsrv/vpasswd_file.h"
#include "tests/unit/svc_node.h"

static struct home *home;

static const struct domain_options standard = { .password_hash = "$6$x",
	.quota = "NOQUOTA" };

static inline int
admin_setup(void **state)
{
	if (svc_setup(state) != 0)
		return -1;
	if (geteuid() == 0)
		setenv("MQMAIL_USER", "root", 1);
	home = node->home;
	svc_put("control/rcpthosts", "");
	svc_put("control/virtualdomains", "");
	svc_put("control/locals", "m.test\n");
	svc_put("users/assign", ".\n");
	return 0;
}

static inline int
admin_teardown(void **state)
{
	unsetenv("MQMAIL_USER");
	return svc_teardown(state);
}

static inline void
add(const char *domain, enum admin_result wanted, const char *reason)
{
	struct error err = { "" };
	enum admin_result got = domain_add(home, domain, &standard, &err);

	if (got != wanted || strstr(err.text, reason) == NULL)
		fail_msg("adding %s: got %d '%s', wanted %d '%s'", domain,
		    (int)got, err.text, (int)wanted, reason);
}

static inline void
add_alias(const char *real, const char *alias, enum admin_result wanted,
    const char *reason)
{
	struct error err = { "" };
	enum admin_result got = domain_add_alias(home, real, alias, &err);

	if (got != wanted || strstr(err.text, reason) == NULL)
		fail_msg("alias %s of %s: got %d '%s', wanted %d '%s'", alias,
		    real, (int)got, err.text, (int)wanted, reason);
}

static inline void
admin_expect_hash(const char *domain, const char *user, const char *wanted)
{
	char path[200];
	struct vpasswd_file *file;
	const struct vpasswd_entry *entry;

	snprintf(path, sizeof(path), "%s/domains/%s", folder, domain);
	assert_int_equal(vpasswd_file_load(path, &file, NULL), 1);
	entry = vpasswd_file_find(file, user);
	if (entry == NULL)
		fail_msg("no %s in %s", user, domain);
	assert_string_equal(entry->hash, wanted);
	vpasswd_file_free(&file);
}

#define ADMIN_TEST(name) \
	cmocka_unit_test_setup_teardown(name, admin_setup, admin_teardown)

#endif
