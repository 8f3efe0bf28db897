/* SPDX-License-Identifier: ISC */
/* Where in a domain's folder the users' folders are. */
#include "adminsrv/dirhash.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/*
 * The folders of all levels are numbered in the order they are filled: the
 * domain's own, the 62 of one character, the 62^2 of two, the 62^3 of three.
 */
enum {
	WIDTH = 62,
	LEVELS_MAX = 3,
	FOLDERS = 1 + WIDTH + WIDTH * WIDTH + WIDTH * WIDTH * WIDTH
};

static const char characters[WIDTH + 1] =
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

struct dirhash {
	char *domain_dir;
	size_t domain_dir_length;
	unsigned limit;
	size_t first_free;      /* no folder before it has room */
	uint8_t users[FOLDERS]; /* stops at 255 */
};

struct dirhash *
dirhash_new(const char *domain_dir, unsigned limit)
{
	struct dirhash *hash = xcalloc(1, sizeof(*hash));

	assert(limit >= 1 && limit <= DIRHASH_LIMIT_MAX);
	hash->domain_dir = xstrdup(domain_dir);
	hash->domain_dir_length = strlen(domain_dir);
	hash->limit = limit;
	return hash;
}

void
dirhash_free(struct dirhash **hash)
{
	if (*hash == NULL)
		return;
	free((*hash)->domain_dir);
	free(*hash);
	*hash = NULL;
}

/* The number of the folder that holds user_dir; false: none of ours. */
static bool
folder_of_user(
    const struct dirhash *hash, const char *user_dir, size_t *folder_out)
{
	const char *at = user_dir + hash->domain_dir_length;
	size_t within = 0;
	size_t before = 0;
	size_t size = 1;

	if (strncmp(user_dir, hash->domain_dir, hash->domain_dir_length) != 0)
		return false;
	for (unsigned level = 0; *at == '/' && at[1] != '\0'; level++) {
		const char *slash = strchr(at + 1, '/');
		const char *found;

		if (slash == NULL) {
			*folder_out = before + within;
			return true;
		}
		if (slash != at + 2 || level == LEVELS_MAX)
			return false;
		found = memchr(characters, at[1], WIDTH);
		if (found == NULL)
			return false;
		before += size;
		size *= WIDTH;
		within = within * WIDTH + (size_t)(found - characters);
		at = slash;
	}
	return false;
}

void
dirhash_count(struct dirhash *hash, const char *user_dir)
{
	size_t folder;

	if (folder_of_user(hash, user_dir, &folder) &&
	    hash->users[folder] < 255)
		hash->users[folder]++;
}

void
dirhash_count_folder(struct dirhash *hash, const char *folder, uint64_t users)
{
	OWN_TEXT user_dir = xasprintf("%s/user", folder);
	size_t number;

	if (!folder_of_user(hash, user_dir, &number))
		return;
	users += hash->users[number];
	hash->users[number] = users < 255 ? (uint8_t)users : 255;
}

/* Adds the levels of a folder: nothing, "/0", "/0/0" or "/0/0/0". */
static void
put_levels(size_t folder, struct buf *dir)
{
	size_t size = 1; /* of the folder's level */

	for (; folder >= size; size *= WIDTH)
		folder -= size;
	while ((size /= WIDTH) > 0) {
		buf_addc(dir, '/');
		buf_addc(dir, characters[folder / size % WIDTH]);
	}
}

const char *
dirhash_suffix(const char *user)
{
	return strlen(user) == 1 || strcmp(user, "vpasswd") == 0 ||
		strncmp(user, "vpasswd.", 8) == 0
	    ? "@"
	    : "";
}

int
dirhash_place(struct dirhash *hash, const char *user, struct buf *dir_out,
    struct error *err)
{
	size_t folder = hash->first_free;

	while (folder < FOLDERS && hash->users[folder] >= hash->limit)
		folder++;
	hash->first_free = folder;
	if (folder == FOLDERS)
		return error_set(err,
		    "the folders of '%s' are full: %d "
		    "folders of %u users",
		    hash->domain_dir, FOLDERS, hash->limit);
	hash->users[folder]++;
	buf_reset(dir_out);
	buf_adds(dir_out, hash->domain_dir);
	put_levels(folder, dir_out);
	buf_addf(dir_out, "/%s%s", user, dirhash_suffix(user));
	return 0;
}
