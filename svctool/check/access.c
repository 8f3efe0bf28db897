/* SPDX-License-Identifier: ISC */
/*
 * Rules for addresses that no listener ever finds: tcprules takes any text for
 * an address, and says nothing.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/scan.h"
#include "control/access.h"
#include "svctool/check/access.h"
#include "svctool/check/cdb.h"

enum { SOURCE_MAX = 16 * 1024 * 1024 };

/* One cdb, and the text that it was made from. */
struct access {
	struct check *check;
	const char *cdb, *source;
	struct buf text;
	struct check_crowd crowd;
};

bool
check_access_suggest(const char *key, char *out, size_t size)
{
	const char *slash = strchr(key, '/');
	unsigned char ip[4];
	char address[INET_ADDRSTRLEN];
	struct buf text;
	uint64_t bits;
	bool is_network = slash != NULL &&
	    (size_t)(slash - key) < sizeof(address) &&
	    scan_u64(slash + 1, 32, &bits);

	if (is_network) {
		snprintf(
		    address, sizeof(address), "%.*s", (int)(slash - key), key);
		is_network = inet_pton(AF_INET, address, ip) == 1;
	}
	if (!is_network)
		return false;
	buf_init(&text);
	for (unsigned i = 0; i < 4 && i * 8 < bits; i++) {
		unsigned left = (unsigned)bits - i * 8;
		unsigned span = left >= 8 ? 0 : 255U >> left;

		buf_addf(&text, "%u", ip[i] & ~span);
		if (span > 0)
			buf_addf(&text, "-%u", ip[i] | span);
		if (i < 3)
			buf_addc(&text, '.');
	}
	snprintf(out, size, "%s", text.length > 0 ? text.data : "");
	buf_release(&text);
	return true;
}

/* The line of the source that begins with the key; 0: it is not known. */
static unsigned
find_line(const struct access *access, const char *key)
{
	size_t length = strlen(key);
	const char *at = access->text.data;

	for (unsigned line = 1; at != NULL; line++) {
		if (strncmp(at, key, length) == 0 && at[length] == ':')
			return line;
		at = strchr(at, '\n');
		if (at != NULL)
			at++;
	}
	return 0;
}

static void
find_useless(struct access *access, enum access_key kind, const char *key)
{
	struct check *check = access->check;
	unsigned line = find_line(access, key);
	const char *file = line > 0 ? access->source : access->cdb;
	char better[64];

	if (kind == ACCESS_KEY_NAME) {
		check_find(check, CHECK_WARNING, file, line,
		    "rule '%.100s' is for a name, which listeners do not look "
		    "up, so it never counts",
		    key);
		check_remedy(check, "write an address, then run tcprules");
		return;
	}
	check_find(check, CHECK_ERROR, file, line,
	    "rule '%.100s' is for no address that there can be, so it never "
	    "counts",
	    key);
	if (check_access_suggest(key, better, sizeof(better)))
		check_remedy(check,
		    "tcprules has prefixes and ranges in place of '/': write "
		    "'%s:', then run tcprules",
		    better);
	else
		check_remedy(check,
		    "write an address in full, or its begin with a dot behind "
		    "it ('10.'), then run tcprules");
}

static void
see_rule(const struct check_cdb_record *record, void *context)
{
	struct access *access = context;
	char *key = xstrndup(record->key, record->key_length);
	enum access_key kind = access_judge_key(key);

	if (kind != ACCESS_KEY_ADDRESS && check_crowd_has_room(&access->crowd))
		find_useless(access, kind, key);
	free(key);
}

static void
check_cdb_keys(struct check *check, const char *path)
{
	size_t length = strlen(path);
	bool has_source = length > 4 && strcmp(path + length - 4, ".cdb") == 0;
	char *source = xstrndup(path, has_source ? length - 4 : 0);
	struct access access = {
		.check = check, .cdb = path, .source = source
	};

	buf_init(&access.text);
	if (has_source)
		file_read(source, SOURCE_MAX, &access.text, NULL);
	/* What is wrong with the file itself is found by others. */
	check_cdb_file(path, see_rule, &access, NULL);
	check_crowd_end(check, &access.crowd, path, "correct the lines");
	buf_release(&access.text);
	free(source);
}

void
check_access(struct check *check)
{
	char *standard = xasprintf(
	    "%s/tcp.smtp.cdb", check->node->home->control);
	struct arg_list paths;

	check_listener_files(check, "TCPRULES", standard, &paths);
	for (size_t i = 0; i < paths.count; i++)
		check_cdb_keys(check, paths.items[i]);
	arg_list_release(&paths);
	free(standard);
}
