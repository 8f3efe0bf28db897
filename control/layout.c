/* SPDX-License-Identifier: ISC */
/* What lies where in a node. */
#include "control/layout.h"

#include <assert.h>
#include <ctype.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"

const struct layout_row layout_rows[LAYOUT_COUNT] = {
#define LAYOUT(name, path, kind, owner, ...) \
	[LAYOUT_##name] = { path, LAYOUT_##kind, LAYOUT_##owner, __VA_ARGS__ },
#include "control/layout.tbl"
#undef LAYOUT
};

/* Where a node's folder is may be a variable's matter.  NULL: below the root.
 */
static const char *
folder_of_part(const struct home *home, const char *path, size_t length)
{
	const struct {
		enum layout_id id;
		const char *path;
	} folders[] = {
		{ LAYOUT_control, home->control },
		{ LAYOUT_queues, home->queue },
		{ LAYOUT_users, home->users },
		{ LAYOUT_domains, home->domains },
		{ LAYOUT_alias, home->alias },
		{ LAYOUT_services, home->service },
		{ LAYOUT_run, home->run },
		{ LAYOUT_logs, home->log },
		{ LAYOUT_tls, home->tls },
	};

	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		const char *other = layout_rows[folders[i].id].path;

		if (strlen(other) == length &&
		    strncmp(other, path, length) == 0)
			return folders[i].path;
	}
	if (length > 0)
		return NULL;
	return *path == '/' ? "" : home->root;
}

/* In capitals, which "Maildir" is not. */
static bool
is_many(const char *part, size_t length)
{
	return isupper((unsigned char)part[0]) &&
	    isupper((unsigned char)part[length - 1]);
}

char *
layout_vpath(const struct home *home, enum layout_id id, va_list names)
{
	const char *at = layout_rows[id].path;
	size_t length = strcspn(at, "/");
	const char *folder = folder_of_part(home, at, length);
	struct buf path = BUF_INIT;

	if (folder != NULL)
		buf_adds(&path, folder);
	else
		buf_addf(&path, "%s/%.*s", home->root, (int)length, at);
	for (at += length; *at != '\0'; at += length) {
		length = 1 + strcspn(at + 1, "/");
		if (is_many(at + 1, length - 1))
			buf_addf(&path, "/%s", va_arg(names, const char *));
		else
			buf_add(&path, at, length);
	}
	return path.data;
}

char *
layout_path(const struct home *home, enum layout_id id, ...)
{
	va_list names;
	char *path;

	va_start(names, id);
	path = layout_vpath(home, id, names);
	va_end(names);
	return path;
}

const char *
layout_below(enum layout_id top, enum layout_id id)
{
	const char *path = layout_rows[top].path;
	size_t length = strlen(path);

	assert(strncmp(layout_rows[id].path, path, length) == 0);
	path = layout_rows[id].path + length;
	return path + (*path == '/');
}

char *
layout_domain_path(const char *domain_dir, enum layout_id id)
{
	return xasprintf("%s/%s", domain_dir, layout_below(LAYOUT_domain, id));
}

int
layout_uid(enum layout_owner owner, uid_t *uid_out, struct error *err)
{
	struct identity identity;

	*uid_out = geteuid(); /* root's, or all of it ours */
	if (owner == LAYOUT_OURS)
		return 0;
	if (identity_find((enum identity_role)owner, &identity, err) != 1)
		return -1;
	*uid_out = identity.uid;
	return 0;
}

const char *
layout_kind_name(enum layout_kind kind)
{
	switch (kind) {
	case LAYOUT_FOLDER:
		return "folder";
	case LAYOUT_FILE:
	case LAYOUT_CDB:
		break;
	case LAYOUT_FIFO:
		return "named pipe";
	case LAYOUT_SOCKET:
		return "socket";
	}
	return "file";
}

static bool
is_kind(enum layout_kind kind, mode_t mode)
{
	return kind == LAYOUT_FOLDER ? S_ISDIR(mode)
	    : kind == LAYOUT_FIFO    ? S_ISFIFO(mode)
	    : kind == LAYOUT_SOCKET  ? S_ISSOCK(mode)
				     : S_ISREG(mode);
}

static void
judge_mode(
    const struct layout_row *row, mode_t mode, struct layout_faults *faults)
{
	mode_t open = mode & row->forbidden;

	faults->is_closed = (mode & row->needed) != row->needed;
	faults->right_mode = faults->is_closed ? row->mode
					       : mode & ~row->forbidden;
	/* Every bit counts where the mode is queue-fix's. */
	if ((row->forbidden & 07000) != 0 && (open != 0 || faults->is_closed))
		snprintf(faults->mode, sizeof(faults->mode),
		    "its mode is %03o, and should be %03o", (unsigned)mode,
		    (unsigned)row->mode);
	else if (open != 0)
		snprintf(faults->mode, sizeof(faults->mode),
		    "its mode is %03o, which lets others %s it", (unsigned)mode,
		    (open & 0222) != 0 ? "change" : "read");
	else if (faults->is_closed)
		snprintf(faults->mode, sizeof(faults->mode),
		    "its mode is %03o, which does not let its owner %s it",
		    (unsigned)mode, row->kind == LAYOUT_FILE ? "run" : "use");
}

bool
layout_judge(enum layout_id id, const struct stat *st, uid_t uid,
    struct layout_faults *faults_out)
{
	const struct layout_row *row = &layout_rows[id];

	*faults_out = (struct layout_faults){ .kind = "" };
	if (!is_kind(row->kind, st->st_mode))
		snprintf(faults_out->kind, sizeof(faults_out->kind),
		    "it is not a %s", layout_kind_name(row->kind));
	else
		judge_mode(row, st->st_mode & 07777, faults_out);
	if (st->st_uid != uid)
		snprintf(faults_out->owner, sizeof(faults_out->owner),
		    "it belongs to uid %lu, and should to uid %lu",
		    (unsigned long)st->st_uid, (unsigned long)uid);
	return *faults_out->kind == '\0' && *faults_out->mode == '\0' &&
	    *faults_out->owner == '\0';
}
