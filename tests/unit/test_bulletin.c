/* SPDX-License-Identifier: ISC */
#include "mailbox/bulletin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "tests/unit/tempdir.h"

static char *root;

static char *
path_of(const char *name)
{
	return xasprintf("%s/%s", root, name);
}

/* The only file of a folder: its inode, names and name. */
static void
only_file(const char *folder, struct stat *st_out, char name_out[256])
{
	OWN_TEXT path = path_of(folder);
	DIR *dir = opendir(path);
	struct dirent *entry;
	unsigned count = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		count++;
		snprintf(name_out, 256, "%s", entry->d_name);
		assert_int_equal(
		    fstatat(dirfd(dir), entry->d_name, st_out, 0), 0);
	}
	closedir(dir);
	assert_int_equal(count, 1);
}

static void
one_inode_and_once(void **state)
{
	static const char *const users[] = { "d/al", "d/bo" };
	OWN_TEXT source = NULL;
	struct bulletin *bulletin;
	struct stat first, second;
	char name[256];
	struct error err;

	(void)state;
	root = tempdir_make();
	source = path_of("text");
	assert_int_equal(
	    file_replace(source, "Subject: x\n\ny\n", 14, 0600, &err), 0);
	for (int run = 0; run < 2; run++) {
		bulletin = bulletin_open(source, root, "news-1", "h", &err);
		assert_non_null(bulletin);
		for (size_t i = 0; i < 2; i++) {
			OWN_TEXT user = path_of(users[i]);

			assert_int_equal(file_make_dirs(user, 0700, &err), 0);
			assert_int_equal(
			    bulletin_put(bulletin, user, &err), run == 0);
		}
		bulletin_close(&bulletin);
		if (run == 0) {
			OWN_TEXT from = NULL;
			OWN_TEXT to = NULL;
			OWN_TEXT in_new = NULL;

			only_file("d/al/Maildir/new", &first, name);
			only_file("d/bo/Maildir/new", &second, name);
			assert_int_equal(first.st_ino, second.st_ino);
			assert_int_equal(first.st_nlink, 2);
			assert_int_equal(first.st_size, 14);
			/* bo has read it: it is in cur, with flags */
			in_new = xasprintf("d/bo/Maildir/new/%s", name);
			from = path_of(in_new);
			to = xasprintf(
			    "%s/d/bo/Maildir/cur/%s:2,S", root, name);
			assert_int_equal(rename(from, to), 0);
		}
	}
	bulletin = bulletin_open(source, root, "news-2", "h", &err);
	assert_int_equal(bulletin_put(bulletin, "/elsewhere/x", &err), -1);
	bulletin_close(&bulletin);
	assert_null(bulletin_open(source, root, "a/b", "h", &err));
	tempdir_remove(root);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_inode_and_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
