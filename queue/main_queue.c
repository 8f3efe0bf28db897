/* SPDX-License-Identifier: ISC */
/*
 * qmail-queue: queues one message, fd 0, with its envelope, fd 1
 * (qmail-queue(8)).  The exit code is the whole answer.
 */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/usage.h"
#include "base/uuid.h"
#include "control/home.h"
#include "control/identity.h"
#include "control/settings.h"
#include "queue/direct.h"
#include "queue/envelope.h"
#include "queue/exitcode.h"
#include "queue/sink.h"
#include "queue/sink_settings.h"
#include "queue/tls_wish.h"

enum { DEATH_S = 86400, READ_BYTES = 65536 };

static const char usage[] =
    "usage: qmail-queue, with a message on descriptor 0 and its envelope on 1";

/* Where the message goes: a running queue, or its files. */
struct way {
	struct sink *sink;
	struct direct *direct;
	struct error err;
	struct uuid uuid;
	uint64_t size_bytes; /* written so far */
	struct tls_wish tls_wish;
	uid_t uid;           /* who called us, as logged */
	uid_t owner; /* whom a set-user-id bit makes us, for the files alone */
};

static void
die(int signal_number)
{
	(void)signal_number;
	_exit(QQ_TIMEOUT); /* the client that goes away leaves nothing */
}

static int
write_way(struct way *way, const char *data, size_t length)
{
	way->size_bytes += length;
	if (way->sink == NULL)
		tls_wish_read(&way->tls_wish, data, length);
	return way->sink != NULL
	    ? sink_write(way->sink, data, length)
	    : direct_write(way->direct, data, length, &way->err);
}

/* Did qmail-smtpd call us, as a user of its own? */
static bool
is_smtpd(uid_t uid)
{
	const char *name = identity_name(IDENTITY_SMTPD);
	const struct passwd *pw = getpwnam(name);

	return uid != 0 && pw != NULL && pw->pw_uid == uid &&
	    strcmp(name, identity_name(IDENTITY_QUEUE)) != 0;
}

/* qmail's own Received line, with the UUID behind what it always had. */
static int
write_way_received(struct way *way)
{
	char date[CLOCK_DATE_SIZE], uuid[UUID_TEXT_SIZE],
	    who[40] = "from network";
	char line[200];
	int length;

	clock_date(time(NULL), date);
	uuid_format(
	    way->sink != NULL ? sink_uuid(way->sink) : &way->uuid, uuid);
	if (!is_smtpd(way->uid))
		snprintf(
		    who, sizeof(who), "by uid %lu", (unsigned long)way->uid);
	length = snprintf(line, sizeof(line),
	    "Received: (qmail %ld invoked %s)\n  id %s; %s\n", (long)getpid(),
	    who, uuid, date);
	return write_way(way, line, (size_t)length);
}

/*
 * The message that we are called for may have a UUID already (qmail-smtpd's,
 * when a filter hands it on to us).  A filter may send other mail besides, so
 * that two could not be told apart if they had the same one.
 */
static void
name_message(struct uuid *uuid_out)
{
	const char *text = getenv("MQMAIL_UUID");
	struct uuid other;

	if (text != NULL && uuid_parse(text, &other))
		uuid_make_beside(uuid_out, &other);
	else
		uuid_make(uuid_out);
}

static ssize_t
read_some(int fd, char *data)
{
	ssize_t n;

	do
		n = read(fd, data, READ_BYTES);
	while (n == -1 && errno == EINTR);
	return n;
}

static int
copy_message(struct way *way)
{
	char buffer[READ_BYTES];
	int result = write_way_received(way);
	ssize_t n = 1;

	while (result == QQ_OK && (n = read_some(0, buffer)) > 0)
		result = write_way(way, buffer, (size_t)n);
	return n == -1 ? QQ_READ_ERROR : result;
}

static int
read_envelope(struct buf *record)
{
	ssize_t n;

	do {
		buf_reserve(record, READ_BYTES);
		n = read_some(1, record->data + record->length);
		if (n > 0)
			record->length += (size_t)n;
		if (record->length > ENVELOPE_MAX_BYTES)
			return QQ_ADDRESS_TOO_LONG;
	} while (n > 0);
	return n == -1 ? QQ_READ_ERROR : QQ_OK;
}

/* Is some address over the limit, which has an exit code of its own? */
static bool
has_long_address(const struct buf *record)
{
	const char *at = record->data, *end = at + record->length;

	while (at < end) {
		size_t length = strnlen(at, (size_t)(end - at));

		if (length > ENVELOPE_ADDRESS_MAX)
			return true;
		at += length + 1;
	}
	return false;
}

static int
commit_direct(struct way *way, struct envelope *envelope)
{
	AUTO(buf_release) struct buf record = BUF_INIT;
	AUTO(buf_release) struct buf dsn = BUF_INIT;
	const char *header = getenv("QQEH");
	struct envelope checked;

	envelope->uid = way->uid;
	envelope->qp = (unsigned long)getpid();
	envelope->uuid = way->uuid;
	envelope->has_size = true;
	envelope->size_bytes = way->size_bytes;
	if (header != NULL)
		envelope->header = header;
	tls_wish_put_dsn(&way->tls_wish, envelope->dsn, &dsn);
	envelope->dsn = dsn.data;
	envelope_format(&record, envelope);
	/* Nothing is accepted that qmail-send would not take up later. */
	if (envelope_parse(record.data, record.length, ENVELOPE_TODO, &checked,
		&way->err) == -1)
		return QQ_ENVELOPE;
	envelope_release(&checked);
	return direct_commit(
	    &way->direct, record.data, record.length, &way->err);
}

static int
commit_way(struct way *way)
{
	AUTO(buf_release) struct buf record = BUF_INIT;
	struct envelope envelope;
	struct sink_outcome outcome;
	int result = read_envelope(&record);

	if (result != QQ_OK)
		return result;
	if (has_long_address(&record))
		return QQ_ADDRESS_TOO_LONG;
	if (envelope_parse(record.data, record.length, ENVELOPE_INPUT,
		&envelope, &way->err) == -1)
		return QQ_ENVELOPE;
	if (way->sink != NULL) {
		struct sink_envelope accepted = { .sender = envelope.sender,
			.recipients = envelope.recipients,
			.recipient_count = envelope.recipient_count,
			.extra_header = envelope.header[0] != '\0'
			    ? envelope.header
			    : NULL,
			.dsn = envelope.dsn,
			.recipient_dsn = envelope.recipient_dsn,
			.qp = (unsigned long)getpid() };

		result = sink_commit(&way->sink, &accepted, &outcome);
	} else
		result = commit_direct(way, &envelope);
	envelope_release(&envelope);
	return result;
}

/* No queue's process answers: its files, if we may. */
static int
open_direct(struct way *way, const struct sink_options *options)
{
	const char *queue_dir = getenv("QUEUEDIR");

	if (queue_dir != NULL && queue_dir[0] != '\0')
		return direct_open(queue_dir, &way->direct, &way->err);
	for (unsigned i = 0; i < options->queue_count; i++) {
		AUTO(mem_free)
		char *path = xasprintf("%s/queue%u", options->queue_base,
		    options->queue_start + i);

		if (direct_open(path, &way->direct, &way->err) == QQ_OK)
			return QQ_OK;
	}
	return QQ_UNAVAILABLE;
}

static int
open_way(
    struct way *way, struct sink_pool *pool, const struct sink_options *options)
{
	int result = sink_open(pool, NULL, &way->uuid, &way->sink);

	if (result == QQ_OK || result == QQ_WRITE_ERROR)
		return result;
	if (seteuid(way->owner) == -1) {
		error_sys(&way->err, "cannot become the queue's user");
		return QQ_UNAVAILABLE;
	}
	/* qmail-send must be able to read what root writes. */
	if (identity_become(IDENTITY_QUEUE, &way->err) == -1)
		return QQ_UNAVAILABLE;
	return open_direct(way, options);
}

/*
 * A descriptor that is closed would be the next file that we open: an empty
 * message, or one with our log lines in it.
 */
static void
check_descriptors(void)
{
	if (fcntl(2, F_GETFD) == -1 && open("/dev/null", O_WRONLY) == -1)
		_exit(QQ_READ_ERROR);
	if (fcntl(0, F_GETFD) == -1)
		fatal(QQ_READ_ERROR,
		    "cannot read the message: descriptor 0 is closed");
	if (fcntl(1, F_GETFD) == -1)
		fatal(QQ_READ_ERROR,
		    "cannot read the envelope: descriptor 1 is closed");
}

int
main(int argc, char **argv)
{
	struct home *home;
	struct settings *settings;
	struct sink_options options;
	struct sink_pool *pool;
	struct way way = { .uid = getuid(), .owner = geteuid() };
	int result;

	log_open("qmail-queue");
	usage_answer(argv, "qmail-queue", usage);
	if (argc > 1)
		fatal(QQ_MISCONFIGURED, "%s", usage);
	check_descriptors();
	name_message(&way.uuid);
	home = home_new();
	/* The environment names folders: they are read as the caller. */
	if (seteuid(way.uid) == -1)
		fatal(QQ_BUG, "cannot act as the caller");
	signal(SIGALRM, die);
	signal(SIGPIPE, SIG_IGN);
	alarm(DEATH_S);
	/* It is itself what QMAILQUEUE of a session would have run. */
	unsetenv("QMAILQUEUE");
	settings = settings_load(home->control, "qmail-queue", NULL, &way.err);
	if (settings == NULL) {
		log_line("fatal: %s", way.err.text);
		home_free(&home);
		return QQ_BAD_CONFIG;
	}
	sink_options_set(&options, settings, home);
	options.is_smtpd = is_smtpd(way.uid);
	pool = sink_pool_new(&options);
	result = open_way(&way, pool, &options);
	if (result == QQ_OK)
		result = copy_message(&way);
	if (result == QQ_OK)
		result = commit_way(&way);
	sink_abort(&way.sink);
	direct_abort(&way.direct);
	if (result != QQ_OK && way.err.text[0] != '\0')
		log_line("fatal: %s", way.err.text);
	sink_pool_free(&pool);
	settings_free(&settings);
	home_free(&home);
	return result;
}
