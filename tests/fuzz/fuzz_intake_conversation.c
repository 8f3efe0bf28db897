/* SPDX-License-Identifier: ISC */
/*
 * What a trusted client of the intake may say: packets, each with its length
 * (two bytes) in front.  What is handed to qmail-send is as promised, and
 * nothing is left of the rest.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/packet.h"
#include "queue/envelope.h"
#include "queue/exitcode.h"
#include "queue/send_client.h"

enum { BODY_MAX = 200 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct intake_options options = { .body_max_bytes = BODY_MAX };
static struct intake *intake;
static struct intake_message *waiting; /* a half of them is done later */
static uint64_t next_id = 1;
static char base[] = "/dev/shm/mqmail-fuzz.XXXXXX";

static void
check_message(const struct intake_message *message)
{
	struct envelope envelope;
	struct error err;

	assert(envelope_parse(message->record.data, message->record.length,
		   ENVELOPE_TODO, &envelope, &err) == 0);
	assert(uuid_is_equal(&envelope.uuid, &message->uuid));
	assert(envelope.uid == message->uid);
	assert(message->is_import || envelope.is_done == NULL);
	envelope_release(&envelope);
	assert(message->has_file == (message->size_bytes > BODY_MAX));
	if (!message->has_file)
		assert(message->body.length == message->size_bytes);
}

void
intake_submit(struct send *send, struct intake_message *message)
{
	(void)send;
	check_message(message);
	if (waiting == NULL && message->qp % 2 == 1)
		waiting = message;
	else
		message->done(message, QQ_OK, message->id, "");
}

enum intake_known
intake_find(struct send *send, const struct uuid *uuid, uint64_t *id_out)
{
	(void)send;
	*id_out = 5;
	return uuid->bytes[0] % 2 == 0 ? INTAKE_KNOWN : INTAKE_UNKNOWN;
}

void
intake_operate(struct send *send, const struct intake_packet *packet, uid_t uid,
    void (*answer)(void *context, uint32_t code, uint64_t id, const char *text),
    void *context, struct operation **operation_out)
{
	static struct operation operation;

	(void)send;
	(void)uid;
	*operation_out = &operation;
	answer(context, QQ_OK, packet->id, "");
}

uint64_t
intake_next_id(struct send *send)
{
	(void)send;
	return next_id++;
}

static void
remove_base(void)
{
	file_remove_tree(base, NULL);
}

static void
make_queue(void)
{
	enum queue_folder folder;
	struct error err;
	char path[100];

	if (mkdtemp(base) == NULL)
		abort();
	atexit(remove_base);
	for (folder = 0; folder < QUEUE_FOLDER_COUNT; folder++) {
		snprintf(path, sizeof(path), "%s/%s", base,
		    queue_folder_name(folder));
		mkdir(path, 0700);
		snprintf(path, sizeof(path), "%s/%s/0", base,
		    queue_folder_name(folder));
		if (folder < QUEUE_FOLDER_SPLIT_END)
			mkdir(path, 0700);
	}
	options.dir = queue_dir_open(base, &err);
	options.loop = loop_new();
	options.bodies = work_pool_new(
	    1, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	intake = intake_open(NULL, &options, &err);
	if (options.dir == NULL || intake == NULL)
		abort();
}

static void
run_all(void)
{
	loop_wait(options.loop, 0);
	while (work_pool_count(options.bodies) > 0) {
		work_pool_reap(options.bodies);
		loop_wait(options.loop, 0);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int pair[2];
	char name[QUEUE_NAME_SIZE];

	if (intake == NULL)
		make_queue();
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK,
		0, pair) == -1)
		abort();
	client_new(intake, pair[1], 0);
	while (size >= 2) {
		size_t length = data[0] | (size_t)data[1] << 8;

		data += 2;
		size -= 2;
		if (length > size)
			length = size;
		packet_send(pair[0], data, length, -1, MSG_DONTWAIT);
		data += length;
		size -= length;
		run_all();
	}
	close(pair[0]);
	run_all();
	assert(LIST_EMPTY(&intake->clients) && LIST_EMPTY(&intake->asks));
	if (waiting != NULL) {
		struct intake_message *message = waiting;

		waiting = NULL;
		message->done(message, QQ_SYNC, 0, "as planned");
	}
	run_all();
	assert(intake_is_idle(intake));
	/* Files are those of messages, which are not looked for here. */
	for (; next_id > 1; next_id--) {
		queue_name(name, next_id - 1);
		unlinkat(queue_dir_fd(options.dir, QUEUE_MESS, 0), name, 0);
	}
	return 0;
}
