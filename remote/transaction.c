/* SPDX-License-Identifier: ISC */
/* A message by SMTP (RFC 5321) or LMTP (RFC 2033). */
#include "remote/session_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mailbox_text.h"
#include "base/mem.h"
#include "remote/body.h"

enum {
	/* RFC 5321 4.5.3.1.8: every host takes so many */
	RECIPIENTS_AT_ONCE = 100,
	/* A larger message is not sent before we know who wants it. */
	CHUNK_MAX = 65536,
	WRITE_BYTES = 65536
};

enum recipient_state {
	RECIPIENT_WAITING, /* for a transaction */
	RECIPIENT_ASKED,   /* this transaction is about it */
	RECIPIENT_ACCEPTED,
	RECIPIENT_DONE /* its result is made */
};

struct transaction {
	struct session *session;
	const struct session_message *message;
	const struct body_facts *facts;
	struct session_result *results;
	enum recipient_state *states;
	bool *is_asked; /* for each recipient: this transaction is about it */
	size_t accepted_count;
	bool is_utf8;      /* an address is not ASCII */
	bool is_pipelined; /* all commands are sent before a reply is read */
	bool is_chunked;   /* the message with them, by BDAT */
	bool has_sender;   /* MAIL was accepted */
	bool is_sent;      /* the peer may have all of the message */
	bool is_early;     /* it spoke before it had all of it */
};

enum step { STEP_RESET, STEP_MAIL, STEP_RCPT, STEP_DATA, STEP_END };

static const struct {
	enum session_stage stage;
	const char *prefix, *phrase; /* of qmail-remote */
} steps[] = {
	[STEP_RESET] = { STAGE_MAIL, "Connected to ", "but RSET was rejected" },
	[STEP_MAIL] = { STAGE_MAIL, "Connected to ",
	    "but sender was rejected" },
	[STEP_RCPT] = { STAGE_RCPT, "", "does not like recipient" },
	[STEP_DATA] = { STAGE_DATA, "", "failed on DATA command" },
	[STEP_END] = { STAGE_DATA, "", "failed after I sent the message" },
};

static void
fill_step(struct transaction *t, size_t recipient, enum step step,
    enum session_outcome outcome, const struct reply *reply)
{
	session_fill(t->session, &t->results[recipient], outcome,
	    steps[step].stage, reply, steps[step].prefix, steps[step].phrase);
	t->states[recipient] = RECIPIENT_DONE;
}

static bool
is_in_hand(const struct transaction *t, size_t recipient)
{
	return t->states[recipient] == RECIPIENT_ASKED ||
	    t->states[recipient] == RECIPIENT_ACCEPTED;
}

/* The same for all that the transaction is about still. */
static void
fill_all(struct transaction *t, enum step step, enum session_outcome outcome,
    const struct reply *reply)
{
	size_t i;

	for (i = 0; i < t->message->recipient_count; i++)
		if (is_in_hand(t, i))
			fill_step(t, i, step, outcome, reply);
}

static void
fill_all_text(struct transaction *t, enum session_outcome outcome,
    enum session_stage stage, const char *text)
{
	size_t i;

	for (i = 0; i < t->message->recipient_count; i++) {
		if (t->states[i] == RECIPIENT_DONE)
			continue;
		session_fill_text(&t->results[i], outcome, stage, "%s", text);
		t->states[i] = RECIPIENT_DONE;
	}
}

/* The host's last word, which all that is in hand hangs on. */
static void
fill_last_word(struct transaction *t, enum step step, const struct reply *reply)
{
	/* What it says of one recipient is not of the others. */
	bool is_for_all = step != STEP_RESET && step != STEP_RCPT;

	fill_all(t, step,
	    is_for_all ? session_outcome_of(reply) : SESSION_TEMPFAIL, reply);
}

/* False when the session is over, and every result that hangs on it made. */
static bool
read_step(struct transaction *t, enum step step, struct reply *reply)
{
	enum reply_result why = session_read(t->session, reply, NULL, NULL);
	size_t i;

	if (why == REPLY_OK && !t->session->is_over)
		return true;
	if (why == REPLY_OK && reply->code >= 400) {
		fill_last_word(t, step, reply);
		return false;
	}
	for (i = 0; i < t->message->recipient_count; i++) {
		if (!is_in_hand(t, i))
			continue;
		session_fill_lost(t->session, &t->results[i], steps[step].stage,
		    t->is_sent, why == REPLY_OK ? REPLY_CLOSED : why, reply);
		t->states[i] = RECIPIENT_DONE;
	}
	return false;
}

static bool
is_ok(const struct reply *reply)
{
	return reply->code / 100 == 2;
}

/*
 * There are more replies than commands: none is known to be of the command that
 * it was taken for, and no recipient of the transaction keeps its result.
 */
static void
fall_out_of_step(struct transaction *t, const struct reply *reply)
{
	size_t i;

	t->session->is_over = true;
	for (i = 0; i < t->message->recipient_count; i++) {
		if (!t->is_asked[i])
			continue;
		session_result_release(&t->results[i]);
		session_fill_lost(t->session, &t->results[i], STAGE_DATA,
		    t->is_sent, REPLY_GARBAGE, reply);
		t->states[i] = RECIPIENT_DONE;
	}
}

/* Where no reply is awaited. */
static bool
is_in_step(struct transaction *t)
{
	const struct reply nothing = { 0 };

	if (session_is_in_step(t->session))
		return true;
	fall_out_of_step(t, &nothing);
	return false;
}

/* -- commands */

/* Adds <mailbox>; qmail's sender of double bounces is for qmail alone. */
static void
put_path(struct buf *line, const char *mailbox)
{
	buf_addc(line, '<');
	if (strcmp(mailbox, "#@[]") != 0)
		mailbox_put_quoted(line, mailbox);
	buf_addc(line, '>');
}

static void
put_mail(struct transaction *t)
{
	const struct hello *hello = &t->session->hello;
	const struct session_message *message = t->message;
	struct buf line = BUF_INIT;
	char uuid[UUID_TEXT_SIZE];

	buf_adds(&line, "MAIL FROM:");
	put_path(&line, message->sender);
	if (hello->has_size)
		buf_addf(&line, " SIZE=%llu",
		    (unsigned long long)t->facts->sent_bytes);
	if (t->facts->is_8bit || t->is_utf8)
		buf_adds(&line, " BODY=8BITMIME");
	if (t->is_utf8)
		buf_adds(&line, " SMTPUTF8");
	if (message->requires_tls)
		buf_adds(&line, " REQUIRETLS");
	if (hello->has_dsn)
		buf_adds(&line, message->dsn);
	if (t->session->options.is_node && !uuid_is_none(&message->uuid)) {
		uuid_format(&message->uuid, uuid);
		buf_addf(&line, " XUUID=%s XHOPS=%u", uuid,
		    body_cluster_hops(message) + 1);
	}
	session_put(t->session, "%s", line.data);
	buf_release(&line);
	t->session->mail_count++;
}

static void
put_rcpt(struct transaction *t, size_t recipient)
{
	const struct session_recipient *to = &t->message->recipients[recipient];
	struct buf line = BUF_INIT;

	buf_adds(&line, "RCPT TO:");
	put_path(&line, to->address);
	if (t->session->hello.has_dsn)
		buf_adds(&line, to->dsn);
	session_put(t->session, "%s", line.data);
	buf_release(&line);
}

struct sending {
	struct transaction *transaction;
	struct body_writer writer;
	struct buf out;
};

static void
send_piece(void *context, const char *data, size_t length)
{
	struct sending *sending = context;

	body_put(&sending->writer, data, length);
	if (sending->writer.is_dotted && sending->out.length >= WRITE_BYTES) {
		stream_write(sending->transaction->session->stream,
		    sending->out.data, sending->out.length);
		buf_reset(&sending->out);
	}
}

/* The message through the final dot, or as one chunk.  0, or -1: unreadable */
static int
put_message(struct transaction *t)
{
	struct stream *stream = t->session->stream;
	struct sending sending = { .transaction = t,
		.writer = {
		    .is_dotted = !t->is_chunked, .has_cr = t->facts->has_cr } };
	int result;

	buf_init(&sending.out);
	sending.writer.out = &sending.out;
	result = body_read(t->message, send_piece, &sending);
	if (result == 0) {
		body_finish(&sending.writer);
		if (t->is_chunked)
			session_put(
			    t->session, "BDAT %zu LAST", sending.out.length);
		else
			buf_adds(&sending.out, ".\r\n");
		t->is_early = !session_is_in_step(t->session);
		stream_write(stream, sending.out.data, sending.out.length);
		t->is_sent = stream_flush(stream) == STREAM_OK;
	}
	buf_release(&sending.out);
	return result;
}

/* The message changed since it was looked at; without its end it is not sent.
 */
static void
give_up_message(struct transaction *t)
{
	t->session->is_over = true;
	fill_all_text(t, SESSION_TEMPFAIL, STAGE_DATA,
	    "Unable to read message. (#4.3.0)\n");
}

/* -- replies */

static bool
read_reset(struct transaction *t)
{
	struct reply reply;

	if (!read_step(t, STEP_RESET, &reply))
		return false;
	if (is_ok(&reply))
		return true;
	t->session->is_over = true;
	fill_all(t, STEP_RESET, SESSION_TEMPFAIL, &reply);
	return false;
}

static bool
read_mail(struct transaction *t)
{
	struct reply reply;

	if (!read_step(t, STEP_MAIL, &reply))
		return false;
	t->has_sender = is_ok(&reply);
	t->session->needs_reset = t->has_sender;
	/* A node that refuses a sender refuses us: that is our own trouble. */
	if (!t->has_sender)
		fill_all(t, STEP_MAIL,
		    t->session->options.is_node ? SESSION_TEMPFAIL
						: session_outcome_of(&reply),
		    &reply);
	return true;
}

/* RFC 5321 4.5.3.1.10: the others in a transaction of their own */
static bool
is_too_many(const struct transaction *t, const struct reply *reply)
{
	return t->accepted_count > 0 && reply->code == 452 &&
	    (reply->status[0] == '\0' || strcmp(reply->status, "4.5.3") == 0);
}

/* asked: by us, whatever became of it since. */
static bool
read_rcpt(struct transaction *t, size_t recipient)
{
	struct reply reply;

	if (!read_step(t, STEP_RCPT, &reply))
		return false;
	if (t->states[recipient] != RECIPIENT_ASKED)
		return true; /* MAIL decided it */
	if (is_ok(&reply)) {
		t->states[recipient] = RECIPIENT_ACCEPTED;
		t->accepted_count++;
	} else if (is_too_many(t, &reply))
		t->states[recipient] = RECIPIENT_WAITING;
	else
		fill_step(t, recipient, STEP_RCPT, session_outcome_of(&reply),
		    &reply);
	return true;
}

static void
finish_recipient(
    struct transaction *t, size_t recipient, const struct reply *reply)
{
	if (!is_ok(reply)) {
		fill_step(
		    t, recipient, STEP_END, session_outcome_of(reply), reply);
		return;
	}
	session_fill(t->session, &t->results[recipient], SESSION_DELIVERED,
	    STAGE_OVER, reply, "", "accepted message");
	t->results[recipient].is_dsn_passed = t->session->hello.has_dsn;
	t->states[recipient] = RECIPIENT_DONE;
}

/* What became of the message: one reply; LMTP: one for each recipient. */
static void
read_end(struct transaction *t)
{
	bool is_lmtp = t->session->options.transport == SESSION_LMTP;
	bool is_read = false;
	struct reply reply;
	size_t i;

	for (i = 0; i < t->message->recipient_count; i++) {
		if (t->states[i] != RECIPIENT_ACCEPTED)
			continue;
		if ((is_lmtp || !is_read) && !read_step(t, STEP_END, &reply))
			return;
		if (t->is_early && is_ok(&reply)) {
			fall_out_of_step(t, &reply);
			return;
		}
		is_read = true;
		finish_recipient(t, i, &reply);
	}
	if (!is_read && !read_step(t, STEP_END, &reply))
		return; /* nobody wanted it, but there is an answer */
	/* A chunk's reply may have been taken from those of RCPT. */
	if (t->is_chunked && !is_in_step(t))
		return;
	/* RFC 3030 2: after a chunk that failed only RSET is left */
	t->session->needs_reset = t->is_chunked && t->has_sender &&
	    !is_ok(&reply);
}

/* The peer waits for a message. */
static void
answer_go_ahead(struct transaction *t)
{
	if (t->accepted_count == 0) {
		/* RFC 2920 3.1: a dot alone; but not to one who has taken
		 * recipients without a sender */
		if (!t->has_sender) {
			t->session->is_over = true;
			return;
		}
		stream_write(t->session->stream, ".\r\n", 3);
	} else if (put_message(t) == -1) {
		give_up_message(t);
		return;
	}
	read_end(t);
}

static void
read_data(struct transaction *t)
{
	struct reply reply;

	if (!read_step(t, STEP_DATA, &reply))
		return;
	if (reply.code / 100 == 3) {
		answer_go_ahead(t);
		return;
	}
	if (is_ok(&reply))
		fall_out_of_step(t, &reply);
	else if (is_in_step(t))
		fill_all(t, STEP_DATA, session_outcome_of(&reply), &reply);
}

/* -- the way through */

/* All commands as one group (RFC 2920), and all replies. */
static void
converse_pipelined(struct transaction *t)
{
	size_t i, count = t->message->recipient_count;

	if (t->session->needs_reset)
		session_put(t->session, "RSET");
	put_mail(t);
	for (i = 0; i < count; i++)
		if (t->is_asked[i])
			put_rcpt(t, i);
	if (!t->is_chunked)
		session_put(t->session, "DATA");
	else if (put_message(t) == -1) {
		give_up_message(t);
		return;
	}
	if ((t->session->needs_reset && !read_reset(t)) || !read_mail(t))
		return;
	for (i = 0; i < count; i++)
		if (t->is_asked[i] && !read_rcpt(t, i))
			return;
	if (t->is_chunked)
		read_end(t);
	else
		read_data(t);
}

/* One command, one reply. */
static void
converse_in_steps(struct transaction *t)
{
	size_t i;

	if (t->session->needs_reset) {
		session_put(t->session, "RSET");
		if (!read_reset(t))
			return;
	}
	put_mail(t);
	if (!read_mail(t) || !is_in_step(t) || !t->has_sender)
		return;
	for (i = 0; i < t->message->recipient_count; i++) {
		if (!t->is_asked[i])
			continue;
		put_rcpt(t, i);
		if (!read_rcpt(t, i) || !is_in_step(t))
			return;
	}
	if (t->accepted_count == 0)
		return;
	session_put(t->session, "DATA");
	read_data(t);
}

/* Those who wait, as many as the peer takes at once. */
static bool
choose_recipients(struct transaction *t)
{
	size_t max = t->session->hello.rcpt_max, count = 0, i;

	if (max == 0 || max > RECIPIENTS_AT_ONCE)
		max = RECIPIENTS_AT_ONCE;
	for (i = 0; i < t->message->recipient_count; i++) {
		t->is_asked[i] = count < max &&
		    t->states[i] == RECIPIENT_WAITING;
		if (!t->is_asked[i])
			continue;
		t->states[i] = RECIPIENT_ASKED;
		count++;
	}
	return count > 0;
}

static void
run_transactions(struct transaction *t)
{
	const struct hello *hello = &t->session->hello;

	t->is_asked = xcalloc(t->message->recipient_count, sizeof(bool));
	t->is_pipelined = hello->has_pipelining;
	/* in steps it would save nothing */
	t->is_chunked = t->is_pipelined && hello->has_chunking &&
	    t->session->options.transport == SESSION_SMTP &&
	    t->facts->sent_bytes <= CHUNK_MAX;
	while (!t->session->is_over &&
	    (hello->mail_max == 0 ||
		t->session->mail_count < hello->mail_max) &&
	    choose_recipients(t)) {
		t->accepted_count = 0;
		t->has_sender = t->is_sent = t->is_early = false;
		if (t->is_pipelined)
			converse_pipelined(t);
		else
			converse_in_steps(t);
	}
	fill_all_text(t, SESSION_TEMPFAIL, STAGE_MAIL,
	    "Connection is over before this recipient's turn. (#4.4.2)\n");
	free(t->is_asked);
}

/* -- what need not be tried */

static bool
has_control(const char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < ' ' || *text == '\177')
			return true;
	return false;
}

static bool
is_ascii(const char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text >= 0x80)
			return false;
	return true;
}

/* The one that no other host mends. */
static const char control_fault[] =
    "Sorry, an address of the envelope has control characters. (#5.1.3)\n";

/* Of one address; NULL when it can be used. */
static const char *
find_fault(struct transaction *t, const char *address)
{
	if (has_control(address))
		return control_fault;
	if (is_ascii(address))
		return NULL;
	if (t->session->hello.has_smtputf8 && t->session->hello.has_8bitmime) {
		t->is_utf8 = true;
		return NULL;
	}
	return "Sorry, an address of the envelope is not ASCII, and the host "
	       "does not know SMTPUTF8. (#5.6.7)\n";
}

static const char *
find_message_fault(struct transaction *t)
{
	const struct hello *hello = &t->session->hello;
	const char *fault = find_fault(t, t->message->sender);

	if (fault != NULL)
		return fault;
	if (hello->size_max > 0 && t->facts->sent_bytes > hello->size_max)
		return "Sorry, the message is larger than the host takes. "
		       "(#5.3.4)\n";
	if (t->facts->is_8bit && !hello->has_8bitmime)
		return "Sorry, the message is not in 7-bit form, and the host "
		       "does not know 8BITMIME. (#5.6.3)\n";
	/* RFC 8689 4.2.1 */
	if (t->message->requires_tls &&
	    (!hello->has_requiretls ||
		stream_tls_proof(t->session->stream) == TLS_PROOF_NONE))
		return "Sorry, the message may only go to a host that is "
		       "verified by TLS and knows REQUIRETLS. (#5.7.30)\n";
	return NULL;
}

static void
find_faults(struct transaction *t)
{
	const char *fault = find_message_fault(t);
	size_t i;

	if (fault != NULL) {
		fill_all_text(t, SESSION_PERMFAIL, STAGE_MAIL, fault);
		for (i = 0; i < t->message->recipient_count; i++)
			t->results[i].is_of_host = fault != control_fault;
		return;
	}
	for (i = 0; i < t->message->recipient_count; i++) {
		fault = find_fault(t, t->message->recipients[i].address);
		if (fault == NULL)
			continue;
		session_fill_text(
		    &t->results[i], SESSION_PERMFAIL, STAGE_RCPT, "%s", fault);
		t->results[i].is_of_host = fault != control_fault;
		t->states[i] = RECIPIENT_DONE;
	}
}

void
session_send_smtp(struct session *session,
    const struct session_message *message, struct session_result *results_out)
{
	struct body_facts facts;
	struct transaction t = { .session = session,
		.message = message,
		.facts = &facts,
		.results = results_out,
		.states = xcalloc(
		    message->recipient_count, sizeof(*t.states)) };

	if (body_examine(message, &facts) == -1)
		fill_all_text(&t, SESSION_TEMPFAIL, STAGE_MAIL,
		    "Unable to read message. (#4.3.0)\n");
	else
		find_faults(&t);
	run_transactions(&t);
	free(t.states);
}
