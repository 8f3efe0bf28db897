/* SPDX-License-Identifier: ISC */
/* The outcomes of a delivery to a virtual user, and their texts. */
#include "delivery/outcome.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "delivery/message_file.h"
#include "delivery/vdeliver_private.h"

#define ADDRESS_FORMAT "%.300s@%.255s"

static void set(struct vdeliver_item *item, enum job_outcome outcome,
    const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Writes the text, in one line of printable bytes and a newline. */
static void
set(struct vdeliver_item *item, enum job_outcome outcome, const char *format,
    ...)
{
	size_t length;
	va_list args;

	item->outcome = outcome;
	va_start(args, format);
	vsnprintf(item->text, sizeof(item->text) - 1, format, args);
	va_end(args);
	length = strlen(item->text);
	for (size_t i = 0; i < length; i++)
		if ((unsigned char)item->text[i] < ' ' || item->text[i] == 127)
			item->text[i] = '?';
	item->text[length] = '\n';
	item->text[length + 1] = '\0';
}

void
outcome_delivered(struct vdeliver_item *item)
{
	set(item, JOB_DELIVERED, "did 1+0+0");
}

void
outcome_deleted(struct vdeliver_item *item)
{
	set(item, JOB_DELIVERED,
	    "deleted: no account " ADDRESS_FORMAT " here by that name",
	    item->to->extension, vdeliver_domain(item));
}

void
outcome_general(struct vdeliver_item *item)
{
	set(item, JOB_GENERAL,
	    "Address " ADDRESS_FORMAT " needs a process of its own. (#4.3.5)",
	    item->to->extension, vdeliver_domain(item));
}

void
outcome_process(
    struct vdeliver_item *item, enum job_outcome outcome, const char *text)
{
	size_t length = strnlen(text, sizeof(item->text) - 2);

	item->outcome = outcome;
	memcpy(item->text, text, length);
	if (length == 0 || text[length - 1] != '\n')
		item->text[length++] = '\n';
	item->text[length] = '\0';
}

void
outcome_duplicate(struct vdeliver_item *item)
{
	set(item, JOB_DELIVERED,
	    "did 0+0+0: a message with this Message-ID was delivered before");
}

void
outcome_day_full(struct vdeliver_item *item)
{
	set(item, JOB_TEMPFAIL,
	    "account " ADDRESS_FORMAT
	    " has had as much mail today as it may have. (#4.2.2)",
	    item->to->extension, vdeliver_domain(item));
}

/* What the operator says to senders, behind the text that programs know. */
static void
add_message(struct vdeliver_item *item, const char *name)
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	size_t used = strlen(item->text);

	if (item->outcome != JOB_PERMFAIL ||
	    !message_file_read(item->message->vdeliver->config.domains,
		item->to->home, name, &text))
		return;
	for (size_t i = 0; i < text.length && used < VDELIVER_TEXT_SIZE - 2;
	     i++) {
		unsigned char c = (unsigned char)text.data[i];

		/* A blank line would end the paragraph of the report. */
		if (c == '\r' || (c == '\n' && item->text[used - 1] == '\n'))
			continue;
		item->text[used++] = (char)(c == '\n' ? '\n'
			: c < ' ' || c == 127         ? '?'
						      : c);
	}
	if (item->text[used - 1] != '\n')
		item->text[used++] = '\n';
	item->text[used] = '\0';
}

void
outcome_no_account(struct vdeliver_item *item)
{
	set(item, JOB_PERMFAIL,
	    "no account " ADDRESS_FORMAT " here by that name. (#5.1.1)",
	    item->to->extension, vdeliver_domain(item));
	add_message(item, ".no-user.msg");
}

void
outcome_inactive(struct vdeliver_item *item)
{
	set(item, JOB_PERMFAIL,
	    "account " ADDRESS_FORMAT " is inactive. (#5.2.1)",
	    item->to->extension, vdeliver_domain(item));
}

void
outcome_locked(struct vdeliver_item *item)
{
	set(item, JOB_PERMFAIL,
	    "account " ADDRESS_FORMAT " locked/overquota. (#5.2.1)",
	    item->to->extension, vdeliver_domain(item));
}

void
outcome_looping(struct vdeliver_item *item)
{
	set(item, JOB_PERMFAIL,
	    "This message is looping: it already has my Delivered-To line. "
	    "(#5.4.6)");
}

void
outcome_over_quota(
    struct vdeliver_item *item, const struct quota_usage *usage, bool is_held)
{
	set(item, is_held ? JOB_TEMPFAIL : JOB_PERMFAIL,
	    "account " ADDRESS_FORMAT
	    " has insufficient quota. %llu/%lld/%lld:%llu/%llu. "
	    "(bytes of this message/bytes kept/messages kept:most messages/"
	    "most bytes; 0 is no limit) (#%d.2.2)",
	    item->to->extension, vdeliver_domain(item),
	    (unsigned long long)item->size, (long long)usage->bytes,
	    (long long)usage->count, (unsigned long long)item->quota.count,
	    (unsigned long long)item->quota.bytes, is_held ? 4 : 5);
	add_message(item, ".over-quota.msg");
}

void
outcome_domain_full(struct vdeliver_item *item, const struct quota_usage *usage,
    const struct quota *quota, bool is_held)
{
	set(item, is_held ? JOB_TEMPFAIL : JOB_PERMFAIL,
	    "domain %.255s has insufficient quota. "
	    "%llu/%lld/%lld:%llu/%llu. (#%d.2.2)",
	    vdeliver_domain(item), (unsigned long long)item->size,
	    (long long)usage->bytes, (long long)usage->count,
	    (unsigned long long)quota->count, (unsigned long long)quota->bytes,
	    is_held ? 4 : 5);
	add_message(item, ".over-quota.msg");
}

void
outcome_trouble(
    struct vdeliver_item *item, int error_number, const struct error *err)
{
	const char *status = error_number == ENOSPC ? "4.3.1"
	    : error_number == EDQUOT                ? "4.2.2"
	    : error_number == EXDEV                 ? "4.3.5"
						    : "4.3.0";

	set(item, JOB_TEMPFAIL,
	    "Unable to deliver to " ADDRESS_FORMAT ": %.400s. (#%s)",
	    item->to->extension, vdeliver_domain(item), err->text, status);
}

void
outcome_unreadable(struct vdeliver_item *item, const struct error *err)
{
	set(item, JOB_TEMPFAIL, "Unable to read message: %.400s. (#4.3.0)",
	    err->text);
}

void
outcome_postmaster(
    struct vdeliver_item *item, const char *name, bool is_inactive)
{
	const char *domain = item->to->user;

	set(item, JOB_TEMPFAIL,
	    "account " ADDRESS_FORMAT
	    " is %s, but every domain's postmaster gets mail: 'vmoduser "
	    "%s " ADDRESS_FORMAT "' mends it. (#4.2.1)",
	    name, domain, is_inactive ? "inactive" : "marked to bounce",
	    is_inactive ? "-n" : "-tb", name, domain);
}

void
outcome_no_postmaster(struct vdeliver_item *item)
{
	set(item, JOB_TEMPFAIL,
	    "there is no account postmaster@%.255s, but every domain's "
	    "postmaster gets mail: 'vadduser -n postmaster@%.255s' mends it. "
	    "(#4.3.5)",
	    item->to->user, item->to->user);
}

void
outcome_bad_home(struct vdeliver_item *item, const char *domains)
{
	set(item, JOB_TEMPFAIL,
	    "Folder '%.300s' of users/assign is not below '%.300s'. (#4.3.5)",
	    item->to->home, domains);
}
