/* SPDX-License-Identifier: ISC */
/*
 * The warning that a Maildir is nearly full: once, until it is less full
 * again, which the file QuotaWarn in the user's folder remembers.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "delivery/message_file.h"
#include "delivery/trace.h"
#include "delivery/vdeliver_private.h"
#include "mailbox/maildir_file.h"

enum { WARN_PERCENT = 90 };

static const char mark[] = "../QuotaWarn";

static bool
is_over(uint64_t limit, int64_t used)
{
	return limit > 0 && used > 0 &&
	    (uint64_t)used >= limit - limit / 100 * (100 - WARN_PERCENT);
}

/* The message's own fields, if it begins with some, come first. */
static void
make_warning(
    const struct vdeliver_item *item, const struct buf *text, struct buf *out)
{
	const char *domain = vdeliver_domain(item);
	size_t name = strcspn(text->data, ": \t\r\n");
	bool has_fields = name > 0 && text->data[name] == ':';
	char date[CLOCK_DATE_SIZE];

	clock_date(time(NULL), date);
	trace_put_return_path(out, "");
	buf_add(out, item->front.data + item->line_at, item->line_length + 1);
	buf_addf(out, "Date: %s\nTo: ", date);
	trace_put_address(out, item->to->extension, domain);
	buf_adds(out, "\nAuto-Submitted: auto-generated\n");
	if (!has_fields)
		buf_addf(out,
		    "From: <postmaster@%s>\n"
		    "Subject: Your mailbox is nearly full\n"
		    "MIME-Version: 1.0\n"
		    "Content-Type: text/plain; charset=utf-8\n\n",
		    domain);
	buf_add(out, text->data, text->length);
}

/* It is no mail that anybody has handed in: a crash may lose it. */
static void
put_warning(struct vdeliver_item *item, const struct buf *text)
{
	AUTO(buf_release) struct buf out = BUF_INIT;
	char name[MAILDIR_NAME_SIZE];
	struct maildir_file file;
	struct iovec part;

	make_warning(item, text, &out);
	maildir_make_name(name, item->message->vdeliver->host);
	if (maildir_file_create(&file, item->maildir, name, NULL) == -1)
		return;
	part = (struct iovec){ out.data, out.length };
	if (maildir_file_add(&file, &part, 1, NULL) == -1 ||
	    maildir_file_publish(&file, NULL) == -1) {
		maildir_file_discard(&file);
		return;
	}
	item->maildir->delivered.bytes += (int64_t)out.length;
	item->maildir->delivered.count++;
}

void
quota_warn(struct vdeliver_item *item)
{
	struct maildir *maildir = item->maildir;
	AUTO(buf_release) struct buf text = BUF_INIT;
	AUTO(file_close) int fd = -1;

	if (!item->has_usage)
		return;
	if (!is_over(item->quota.bytes, item->usage.bytes) &&
	    !is_over(item->quota.count, item->usage.count)) {
		if (maildir->warned != MAILDIR_NOT_WARNED)
			unlinkat(maildir->dir_fd, mark, 0);
		maildir->warned = MAILDIR_NOT_WARNED;
		return;
	}
	if (maildir->warned == MAILDIR_WARNED)
		return;
	if (!message_file_read(item->message->vdeliver->domains, item->to->home,
		".quotawarn.msg", &text))
		return;
	fd = openat(maildir->dir_fd, mark,
	    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd != -1)
		put_warning(item, &text);
	if (fd != -1 || errno == EEXIST)
		maildir->warned = MAILDIR_WARNED;
}
