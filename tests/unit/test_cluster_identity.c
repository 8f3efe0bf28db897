/* SPDX-License-Identifier: ISC */
/* Tests of cluster/identity.c, with the keys of cluster/keys.c. */
#include "cluster/identity.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "cluster/keys.h"
#include "tests/unit/tempdir.h"

static char *root;
static struct home *home;

static void
put_file(const char *name, const char *text)
{
	OWN_TEXT path = xasprintf("%s/%s", root, name);

	assert_int_equal(
	    file_replace(path, text, strlen(text), 0600, NULL), 0);
}

static int
set_up(void **state)
{
	OWN_TEXT control = NULL;
	OWN_TEXT tls = NULL;

	(void)state;
	root = tempdir_make();
	control = xasprintf("%s/control", root);
	tls = xasprintf("%s/tls", root);
	home = home_at(root);
	return file_make_dirs(control, 0755, NULL) == 0
	    ? file_make_dirs(tls, 0755, NULL)
	    : -1;
}

static int
tear_down(void **state)
{
	(void)state;
	home_free(&home);
	tempdir_remove(root);
	return 0;
}

/* A node becomes one, file by file, and what is missing is never "in none". */
static void
all_of_it(void **state)
{
	AUTO(buf_release) struct buf pem = BUF_INIT;
	AUTO(buf_release) struct buf key = BUF_INIT;
	AUTO(cluster_identity_release) struct cluster_identity identity;
	char pin[CERTIFICATE_PIN_SIZE], public_key[CLUSTER_KEY_SIZE];
	struct error err;

	(void)state;
	assert_int_equal(cluster_identity_read(home, &identity, &err), 0);
	put_file("control/nodename", "mail1\n");
	assert_int_equal(cluster_identity_read(home, &identity, &err), -1);
	assert_non_null(strstr(err.text, "nodecert.pem"));
	assert_int_equal(certificate_make("mail1", 1, &pem, pin, &err), 0);
	put_file("tls/nodecert.pem", pem.data);
	assert_int_equal(cluster_identity_read(home, &identity, &err), -1);
	assert_non_null(strstr(err.text, "cluster.key' is missing"));
	assert_int_equal(cluster_key_make(public_key, &key, &err), 0);
	put_file("tls/cluster.key", key.data);
	assert_int_equal(cluster_identity_read(home, &identity, &err), 1);
	assert_string_equal(identity.name, "mail1");
	assert_string_equal(identity.pin, pin);
	assert_string_equal(identity.public_key, public_key);
	assert_memory_equal(identity.secret_key, key.data, 40);
	assert_int_equal(strlen(identity.secret_key), 40);
	put_file("control/nodename", "Mail_1\n");
	assert_int_equal(cluster_identity_read(home, &identity, &err), -1);
	assert_non_null(strstr(err.text, "is not a node's name"));
}

static void
broken_keys(void **state)
{
	static const char *const texts[] = { "", "\n", "x\n",
		"0123456789012345678901234567890123456789\n",
		"0123456789012345678901234567890123456789\n"
		"012345678901234567890123456789012345678\n",
		"0123456789012345678901234567890123456789\n"
		"0123456789012345678901234567890123456789",
		"0123456789012345678901234567890123456789\n"
		"0123456789012345678901234567890123456789\nx\n" };
	OWN_TEXT path = xasprintf("%s/tls/cluster.key", root);
	char public_key[CLUSTER_KEY_SIZE], secret_key[CLUSTER_KEY_SIZE];
	struct error err;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		put_file("tls/cluster.key", texts[i]);
		assert_int_equal(
		    cluster_key_read(path, public_key, secret_key, &err), -1);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(all_of_it, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    broken_keys, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
