/* SPDX-License-Identifier: ISC */
/* What a client has sent of a message, and what is wrong with it. */
#include <stdlib.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/packet.h"
#include "queue/envelope.h"
#include "queue/exitcode.h"
#include "queue/send_client.h"

bool
transaction_add(
    struct transaction *transaction, const struct intake_packet *packet)
{
	struct body_file *file = transaction->file;

	/* One byte is the end that is put behind it. */
	if (transaction->envelope.length + packet->envelope_length >=
	    ENVELOPE_MAX_BYTES)
		return false;
	if (packet->envelope_length > 0)
		buf_add(&transaction->envelope, packet->envelope,
		    packet->envelope_length);
	if (packet->body_length > 0)
		buf_add(file != NULL ? &file->waiting : &transaction->body,
		    packet->body, packet->body_length);
	transaction->size_bytes += packet->body_length;
	return true;
}

void
transaction_set_file(struct transaction *transaction, struct body_file *file)
{
	transaction->file = file;
	file->waiting = transaction->body;
	transaction->body = (struct buf)BUF_INIT;
}

static int
check_envelope(
    const struct transaction *transaction, bool is_import, struct error *err)
{
	struct envelope envelope;
	size_t recipient_count;

	if (is_import && !transaction->is_trusted) {
		error_set(err, "uid %lu may not import messages",
		    (unsigned long)transaction->uid);
		return QQ_REJECTED;
	}
	if (envelope_parse(transaction->envelope.data,
		transaction->envelope.length,
		is_import ? ENVELOPE_IMPORT : ENVELOPE_INPUT, &envelope,
		err) == -1)
		return QQ_ENVELOPE;
	recipient_count = envelope.recipient_count;
	envelope_release(&envelope);
	if (transaction->is_trusted || recipient_count <= STRANGERS_RECIPIENTS)
		return QQ_OK;
	error_set(err,
	    "%zu recipients; %d are allowed in one message (send it in parts)",
	    recipient_count, STRANGERS_RECIPIENTS);
	return QQ_REJECTED;
}

static int
check_transaction(struct transaction *transaction,
    const struct intake_packet *commit, struct error *err)
{
	if (transaction->size_bytes != commit->size_bytes) {
		error_set(err, "%llu bytes of %llu came of the message",
		    (unsigned long long)transaction->size_bytes,
		    (unsigned long long)commit->size_bytes);
		return QQ_BUG;
	}
	buf_addc(&transaction->envelope, '\0'); /* the input's end */
	return check_envelope(transaction, commit->is_import, err);
}

int
transaction_end(struct transaction *transaction,
    const struct intake_packet *commit, struct intake_message **message_out,
    struct error *err)
{
	struct intake_message *message;
	int result = check_transaction(transaction, commit, err);

	if (result != QQ_OK) {
		log_line("warning: message refused: %s", err->text);
		return result;
	}
	message = xcalloc(1, sizeof(*message));
	message->uuid = commit->uuid;
	if (!transaction->is_trusted)
		uuid_bind(&message->uuid, transaction->uid);
	message->uid = transaction->uid;
	message->qp = (uint32_t)commit->qp; /* as large as envelopes have it */
	message->size_bytes = transaction->size_bytes;
	message->is_import = commit->is_import;
	envelope_put_origin(&message->record,
	    &(struct envelope){ .uid = message->uid,
		.qp = message->qp,
		.uuid = message->uuid,
		.has_size = true,
		.size_bytes = message->size_bytes });
	buf_add(&message->record, transaction->envelope.data,
	    transaction->envelope.length - 1);
	message->has_file = transaction->file != NULL;
	if (message->has_file)
		message->id = transaction->file->id;
	message->body = transaction->body;
	transaction->body = (struct buf)BUF_INIT;
	*message_out = message;
	return QQ_OK;
}

void
transaction_reset(struct transaction *transaction)
{
	body_file_remove(&transaction->file);
	buf_release(&transaction->body);
	buf_release(&transaction->envelope);
	transaction->size_bytes = 0;
}

bool
transaction_answer(int fd, uint32_t code, uint64_t id, const char *text)
{
	struct intake_packet packet = {
		.type = INTAKE_ANSWER, .code = code, .id = id, .text = text
	};
	AUTO(buf_release) struct buf buf = BUF_INIT;

	intake_put(&buf, &packet);
	return packet_send(fd, buf.data, buf.length, -1, MSG_DONTWAIT) == 0;
}

void
intake_message_free(struct intake_message **message_in)
{
	struct intake_message *message = *message_in;

	if (message == NULL)
		return;
	buf_release(&message->record);
	buf_release(&message->body);
	free(message);
	*message_in = NULL;
}
