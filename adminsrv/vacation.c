/* SPDX-License-Identifier: ISC */
/* A user's answer in absence. */
#include "adminsrv/vacation.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

enum { TEXT_MAX = 64 * 1024, QMAIL_MAX = 64 * 1024 };

/* A week between two answers to the same sender (RFC 3834 2). */
static const char qmail_text[] =
    "| autoresponder -t 604800 vacation/.vacation.msg vacation/answered\n"
    "./Maildir/\n";

int
vacation_read(const char *path, struct buf *text_out, struct error *err)
{
	int found;

	buf_reset(text_out);
	if (strcmp(path, "-") == 0)
		return 0;
	found = file_read(strcmp(path, "+") == 0 ? "/dev/stdin" : path,
	    TEXT_MAX, text_out, err);
	if (found == 1 && text_out->length == 0)
		return error_set(err, "the answer has no text");
	return found == 0 ? error_set(err, "there is no file '%s'", path)
	    : found == -1 ? -1
			  : 0;
}

/* Is there a .qmail that is not of ours?  1; 0; -1. */
static int
has_other_qmail(const char *path, struct error *err)
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	int found = file_read(path, QMAIL_MAX, &text, err);

	return found == 1 ? strcmp(text.data, qmail_text) != 0 : found;
}

static enum admin_result
put_answer(const char *dir, const char *qmail, const struct buf *text,
    struct error *err)
{
	OWN_TEXT folder = xasprintf("%s/vacation", dir);
	OWN_TEXT message = xasprintf("%s/.vacation.msg", folder);

	/* The answer before what sends it. */
	if (file_make_dirs(folder, 0700, err) == -1 ||
	    file_replace(message, text->data, text->length, 0600, err) == -1 ||
	    file_replace(
		qmail, qmail_text, sizeof(qmail_text) - 1, 0600, err) == -1)
		return ADMIN_FAILED;
	return ADMIN_OK;
}

/* Who was answered is forgotten: the next absence is another. */
static enum admin_result
take_answer(const char *dir, const char *qmail, struct error *err)
{
	OWN_TEXT folder = xasprintf("%s/vacation", dir);

	if (unlink(qmail) == -1 && errno != ENOENT)
		return admin_fail(err, "cannot remove '%s'", qmail);
	if (file_sync_parent(qmail, err) == -1)
		return ADMIN_FAILED;
	return admin_result_of(file_remove_tree(folder, err));
}

enum admin_result
vacation_put(struct users *users, const char *name, const struct buf *text,
    struct error *err)
{
	const struct vpasswd_entry *entry;
	enum admin_result result = users_find(users, name, &entry, err);
	OWN_TEXT qmail = NULL;
	int is_other;

	if (result != ADMIN_OK)
		return result;
	qmail = xasprintf("%s/.qmail", entry->dir);
	is_other = has_other_qmail(qmail, err);
	if (is_other == -1)
		return ADMIN_FAILED;
	if (is_other == 1)
		return admin_refuse(err,
		    "the user has a '%s' with other lines: change it by hand",
		    qmail);
	return text->length > 0 ? put_answer(entry->dir, qmail, text, err)
				: take_answer(entry->dir, qmail, err);
}
