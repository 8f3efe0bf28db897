/* SPDX-License-Identifier: ISC */
/* A delivery to one recipient of a virtual domain in all that it can be. */
#include "delivery/general.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "control/layout.h"
#include "delivery/dotqmail_find.h"
#include "lookupd/extension.h"
#include "delivery/general_private.h"
#include "delivery/trace.h"
#include "mailbox/over_quota.h"

static const char *
address_domain(const struct general *general)
{
	const char *at = strrchr(general->recipient, '@');

	return at != NULL ? at + 1 : general->domain;
}

static void
defer(struct local_result *result, const struct general *general,
    const struct error *err)
{
	local_result_set(result, JOB_TEMPFAIL,
	    "Unable to deliver to %.300s@%.255s: %.400s. (#4.3.0)",
	    general->extension, address_domain(general), err->text);
}

/* -- the ordinary delivery */

struct answer {
	struct local_result *result;
};

static void
keep_answer(const struct vdeliver_item *item, void *context)
{
	struct answer *answer = context;

	answer->result->outcome = item->outcome == JOB_GENERAL ? JOB_TEMPFAIL
							       : item->outcome;
	memcpy(answer->result->text, item->text, sizeof(item->text));
}

_Static_assert((int)LOCAL_TEXT_SIZE == (int)VDELIVER_TEXT_SIZE,
    "texts of both fit each other");

static struct vdeliver_message *
make_message(const struct general *general, const struct absent_rule *rule,
    const struct vdeliver_target *target, struct error *err)
{
	struct vdeliver_message *message = vdeliver_message_new(1);

	message->job.recipients[0] = (struct job_recipient){
		.extension = general->extension,
		.user = general->domain,
		.recipient = general->recipient,
		.home = general->domain_dir,
		.dash = "-",
	};
	message->job.sender = general->sender;
	message->job.header = "";
	message->job.uuid = general->uuid;
	message->job.size_bytes = general->size_bytes;
	message->rule = rule;
	message->target = target;
	message->fd = dup(general->fd);
	if (message->fd != -1)
		return message;
	error_sys(err, "cannot open the message again");
	free(message);
	return NULL;
}

static struct cluster_leases *
open_general_leases(const struct general *general)
{
	OWN_TEXT path = layout_path(general->home, LAYOUT_cluster_leases);

	return cluster_leases_new(path);
}

static void
deliver_ordinary(const struct general *general, const struct absent_rule *rule,
    const struct vdeliver_target *target, struct local_result *result)
{
	struct answer answer = { result };
	OWN_TEXT path = layout_path(general->home, LAYOUT_over_quota);
	struct over_quota *over_quota = over_quota_open(path, true);
	struct cluster_leases *leases = open_general_leases(general);
	const struct vdeliver_config config = { .store = general->store,
		.leases = leases,
		.domains = general->home->domains,
		.host = general->host,
		.queue = "",
		.over_quota = over_quota,
		.cached_maildirs = 1,
		.options = *general->options,
		.answer = keep_answer,
		.context = &answer };
	struct vdeliver_message *message;
	struct vdeliver *vdeliver;
	struct error err;

	message = make_message(general, rule, target, &err);
	vdeliver = message == NULL ? NULL : vdeliver_new(&config, &err);
	if (vdeliver == NULL) {
		if (message != NULL)
			close(message->fd);
		free(message);
		over_quota_free(&over_quota);
		cluster_leases_free(&leases);
		defer(result, general, &err);
		return;
	}
	vdeliver_begin(vdeliver);
	vdeliver_deliver(vdeliver, message);
	vdeliver_free(&vdeliver); /* with an answer */
	over_quota_free(&over_quota);
	cluster_leases_free(&leases);
}

/* -- lines of .qmail files */

/* A line that names the user's own Maildir. */
static void
deliver_own(void *context, struct local_result *result)
{
	const struct general_user *user = context;
	unsigned files = result->files, forwards = result->forwards;
	unsigned programs = result->programs;

	general_to_folder(user, NULL, result);
	result->files = files;
	result->forwards = forwards;
	result->programs = programs;
}

struct local_delivery
general_local(const struct general *general, const char *home, char **local_out)
{
	size_t length = strlen(general->recipient) -
	    strlen(address_domain(general));

	/* In front of the '@' of the recipient, where there is one. */
	*local_out = xstrndup(general->recipient,
	    strrchr(general->recipient, '@') != NULL
		? length - 1
		: strlen(general->recipient));
	return (struct local_delivery){
		.user = general->domain,
		.home = home,
		.local = *local_out,
		.dash = "-",
		.extension = general->extension,
		.host = address_domain(general),
		.sender = general->sender,
		.forward_sender = general->sender,
		.recipient = general->recipient,
		.fd = general->fd,
		.size_bytes = general->size_bytes,
		.uuid = general->uuid,
		.root = general->home->domains,
		.file_host = general->host,
		.program_dir = general->program_dir,
		.program_timeout_ms = general->options->program_timeout_ms,
		.is_stopping = general->is_stopping,
		.forwarder = general->forwarder,
	};
}

static void
follow_domain_file(const struct general *general,
    const struct dotqmail_file *file, const struct dotqmail_lines *lines,
    struct local_result *result)
{
	OWN_TEXT local = NULL;
	OWN_TEXT new_sender = local_new_sender(general->sender,
	    general->extension, address_domain(general), file->has_owner,
	    file->has_owner_default);
	struct local_delivery delivery = general_local(
	    general, general->domain_dir, &local);
	struct dotqmail_lines own = *lines;

	own.is_list |= file->is_executable;
	delivery.default_part = file->default_part;
	delivery.forward_sender = new_sender;
	local_run(&delivery, &own, result);
}

/* The lines of an alias that the store has. */
static void
follow_alias(const struct general *general, const struct store_alias *alias,
    struct local_result *result)
{
	AUTO(dotqmail_lines_release)
	struct dotqmail_lines lines = { .storage = BUF_INIT };
	AUTO(buf_release) struct buf text = BUF_INIT;
	OWN_TEXT local = NULL;
	struct local_delivery delivery = general_local(
	    general, general->domain_dir, &local);
	struct error err;

	for (size_t i = 0; i < alias->lines.count; i++) {
		buf_adds(&text, alias->lines.items[i]);
		buf_addc(&text, '\n');
	}
	if (dotqmail_lines_read(text.data, text.length, &lines, &err) == -1) {
		error_context(&err, "alias '%.64s'", general->extension);
		defer(result, general, &err);
		return;
	}
	local_run(&delivery, &lines, result);
}

/* -- users */

void
general_to_folder(const struct general_user *user, const char *folder,
    struct local_result *result)
{
	const struct vdeliver_target target = { .dir = user->user->dir,
		.folder = folder,
		.quota = user->user->quota,
		.store = user->user->store,
		.store_epoch = user->user->store_epoch };

	deliver_ordinary(user->general, NULL, &target, result);
}

/* By his own .qmail file.  False: there is none, or it is empty. */
static bool
follow_user_file(const struct general_user *user, struct local_result *result)
{
	const struct general *general = user->general;
	OWN_TEXT path = xasprintf("%s/.qmail", user->user->dir);
	AUTO(dotqmail_file_release)
	struct dotqmail_file file = { .text = BUF_INIT };
	AUTO(dotqmail_lines_release)
	struct dotqmail_lines lines = { .storage = BUF_INIT };
	OWN_TEXT local = NULL;
	struct local_delivery delivery;
	struct error err;
	int found = dotqmail_open(path, &file, &err);

	if (found == 0 || (found == 1 && file.text.length == 0))
		return false;
	if (found == -1 ||
	    dotqmail_lines_read(
		file.text.data, file.text.length, &lines, &err) == -1) {
		if (found == 1)
			error_context(&err, "'%s'", path);
		defer(result, general, &err);
		return true;
	}
	lines.is_list |= file.is_executable;
	delivery = general_local(general, user->user->dir, &local);
	delivery.default_part = user->default_part;
	delivery.own_dir = user->user->dir;
	delivery.deliver_own = deliver_own;
	memcpy(&delivery.context, &user, sizeof(delivery.context));
	local_run(&delivery, &lines, result);
	return true;
}

void
general_to_user(const struct general_user *user, struct local_result *result)
{
	if (!follow_user_file(user, result))
		general_to_folder(user, NULL, result);
}

static bool
is_closed(const struct store_user *user)
{
	return !user->is_active || (user->flags & STORE_BOUNCE_MAIL) != 0;
}

/* Before his .qmail file, filters and programs are looked at: 1; or a reason. */
static int
check_user_store(const struct general *general, const struct store_user *user,
    struct error *err)
{
	struct cluster_leases *leases;
	int result = 1;

	if (*user->store == '\0')
		return 1;
	leases = open_general_leases(general);
	result = cluster_lease_check(
	    leases, user->store, user->store_epoch, err);
	cluster_leases_free(&leases);
	return result;
}

/* To the user name, if there is one.  extension: what is behind it, or NULL. */
static bool
try_user(const struct general *general, const char *name,
    const char *default_part, struct local_result *result)
{
	static const struct absent_rule bounce = { .action = ABSENT_BOUNCE };
	struct store_user found;
	struct general_user user = { general, &found, default_part };
	struct error err;

	switch (store_find_user(
	    general->store, name, general->domain, &found, &err)) {
	case 0:
		return false;
	case -1:
		defer(result, general, &err);
		return true;
	}
	/* The ordinary delivery says why not. */
	if (is_closed(&found))
		deliver_ordinary(general, &bounce, NULL, result);
	else if (check_user_store(general, &found, &err) != 1)
		defer(result, general, &err);
	else if (!general_filter(&user, result))
		general_to_user(&user, result);
	store_user_release(&found);
	return true;
}

static bool
try_alias(const struct general *general, struct local_result *result)
{
	struct store_alias alias;
	struct error err;

	switch (store_find_alias(general->store, general->extension,
	    general->domain, &alias, &err)) {
	case 0:
		return false;
	case -1:
		defer(result, general, &err);
		return true;
	}
	follow_alias(general, &alias, result);
	store_alias_release(&alias);
	return true;
}

static bool
try_extended(const struct general *general, struct local_result *result)
{
	const char *local = general->extension;
	size_t length = strlen(local);

	while (extension_cut(local, general->options->separators, &length)) {
		OWN_TEXT name = xstrndup(local, length);

		if (try_user(general, name, local + length + 1, result))
			return true;
	}
	return false;
}

/* The address of the rule: a user here, or a forward. */
static void
deliver_instead(const struct general *general, const char *address,
    struct local_result *result)
{
	static const struct absent_rule bounce = { .action = ABSENT_BOUNCE };
	const char *at = strrchr(address, '@');
	OWN_TEXT name = xstrndup(address, (size_t)(at - address));
	OWN_TEXT local = NULL;
	struct local_delivery delivery;

	if (strcasecmp(at + 1, general->domain) == 0 ||
	    strcasecmp(at + 1, address_domain(general)) == 0) {
		if (!try_user(general, name, NULL, result))
			deliver_ordinary(general, &bounce, NULL, result);
		return;
	}
	delivery = general_local(general, general->domain_dir, &local);
	local_forward(&delivery, &address, 1, result);
}

/* fault: of a .qmail-default that is broken; then only users get their mail. */
static void
deliver_to_name(const struct general *general, const struct absent_rule *rule,
    const struct error *fault, struct local_result *result)
{
	if (try_user(general, general->extension, NULL, result) ||
	    try_alias(general, result) || try_extended(general, result))
		return;
	if (fault != NULL)
		local_result_set(result, JOB_TEMPFAIL,
		    "There is no account %.300s@%.255s, and what the domain's "
		    ".qmail-default says of such mail cannot be followed: "
		    "%.300s. (#4.3.5)",
		    general->extension, address_domain(general), fault->text);
	else if (rule->action == ABSENT_ADDRESS)
		deliver_instead(general, rule->target, result);
	else
		deliver_ordinary(general, rule, NULL, result);
}

/* -- the domain's files */

static void
follow_default(const struct general *general, const struct dotqmail_file *file,
    struct local_result *result)
{
	AUTO(dotqmail_lines_release)
	struct dotqmail_lines lines = { .storage = BUF_INIT };
	AUTO(dotqmail_release) struct absent_rule rule = ABSENT_RULE_INIT;
	struct dotqmail_fault fault;
	struct error err;

	if (dotqmail_read(file->text.data, file->text.length, &rule, &fault))
		deliver_to_name(general, &rule, NULL, result);
	else if (!general_is_sound(general->domain_dir, general->program_dir,
		     &file->text, &fault))
		deliver_to_name(general, NULL, &fault.reason, result);
	else if (dotqmail_lines_read(
		     file->text.data, file->text.length, &lines, &err) == 0)
		follow_domain_file(general, file, &lines, result);
	else
		defer(result, general, &err);
}

static void
follow_domain(const struct general *general, struct local_result *result)
{
	AUTO(dotqmail_file_release)
	struct dotqmail_file file = { .text = BUF_INIT };
	AUTO(dotqmail_lines_release)
	struct dotqmail_lines lines = { .storage = BUF_INIT };
	struct error err;
	int found = dotqmail_find(
	    general->domain_dir, "-", general->extension, &file, &err);

	if (found == -1) {
		defer(result, general, &err);
	} else if (found == 0) {
		error_set(&err, "it is missing");
		deliver_to_name(general, NULL, &err, result);
	} else if (file.is_domain_default) {
		follow_default(general, &file, result);
	} else if (dotqmail_lines_read(
		       file.text.data, file.text.length, &lines, &err) == -1) {
		error_context(&err, "'%s'", file.path);
		defer(result, general, &err);
	} else {
		follow_domain_file(general, &file, &lines, result);
	}
}

/* Has the message been here before?  1, 0, -1. */
static int
is_looping(const struct general *general, struct error *err)
{
	AUTO(buf_release) struct buf line = BUF_INIT;
	AUTO(mem_free) char *chunk = xmalloc(HEADER_BYTES_MAX);
	struct trace_search search;
	uint64_t offset = 0;

	trace_put_delivered_to(&line, general->recipient);
	trace_search_init(&search, line.data, line.length - 1);
	while (offset < general->size_bytes) {
		ssize_t n = pread(
		    general->fd, chunk, HEADER_BYTES_MAX, (off_t)offset);

		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return error_sys(err, "cannot read the message");
		if (n == 0 || trace_search_feed(&search, chunk, (size_t)n))
			break;
		offset += (uint64_t)n;
	}
	return trace_search_end(&search);
}

void
general_deliver(const struct general *general, const struct absent_rule *rule,
    struct local_result *result_out)
{
	struct error err;
	int looping = is_looping(general, &err);

	*result_out = (struct local_result){ .outcome = JOB_TEMPFAIL };
	if (looping == -1)
		defer(result_out, general, &err);
	else if (looping == 1)
		local_result_set(result_out, JOB_PERMFAIL,
		    "This message is looping: it already has my Delivered-To "
		    "line. (#5.4.6)");
	else if (rule != NULL)
		deliver_to_name(general, rule, NULL, result_out);
	else
		follow_domain(general, result_out);
}
