/* SPDX-License-Identifier: ISC */
/* The parts of packages. */
#include "smtp/package.h"

#include <stdio.h>
#include <string.h>

#include "base/netstring.h"

static bool
is_no_package(struct package *package)
{
	smtp_log(package->session, "this is no package");
	package->session->is_over = true;
	return false;
}

/* Some bytes, at least 1 and at most what is left. */
static bool
peek(struct package *package, const char **data_out, size_t *length_out)
{
	enum stream_result result;

	if (package->left_bytes == 0)
		return is_no_package(package);
	result = stream_peek(package->session->stream, data_out, length_out);
	if (result != STREAM_OK) {
		smtp_session_lost(package->session, result);
		return false;
	}
	if (*length_out > package->left_bytes)
		*length_out = (size_t)package->left_bytes;
	return true;
}

static void
consume(struct package *package, size_t length)
{
	stream_consume(package->session->stream, length);
	if (package->left_bytes != UINT64_MAX)
		package->left_bytes -= length;
}

bool
package_read_byte(struct package *package, char *byte_out)
{
	const char *data;
	size_t length;

	if (!peek(package, &data, &length))
		return false;
	*byte_out = *data;
	consume(package, 1);
	return true;
}

bool
package_read_length(struct package *package, uint64_t max, uint64_t *length_out)
{
	struct netstring netstring = { 0 };
	enum netstring_result result = NETSTRING_MORE;
	char byte;

	while (result == NETSTRING_MORE) {
		if (!package_read_byte(package, &byte))
			return false;
		result = netstring_read(&netstring, byte, max);
	}
	*length_out = netstring.length;
	return result == NETSTRING_LENGTH || is_no_package(package);
}

bool
package_end(struct package *package)
{
	char byte;

	return package_read_byte(package, &byte) &&
	    (byte == ',' || is_no_package(package));
}

void
package_judge(struct package *package)
{
	const char *answer = package->session->answer;

	if (package->verdict[0] == '\0' && answer[0] != '\0' &&
	    answer[0] != 'K')
		snprintf(
		    package->verdict, sizeof(package->verdict), "%s", answer);
}

void
package_begin(struct package *package)
{
	struct smtp_session *session = package->session;

	session->transaction.is_open = true;
	session->transaction.sender = "";
	session->transaction.dsn = "";
	if (smtp_transaction_set_limits(session) &&
	    !smtp_message_begin(session, false))
		smtp_message_refuse(session);
	package_judge(package);
}

static void
store_piece(
    struct package *package, const char *data, size_t length, bool has_crlf)
{
	struct smtp_body *body = &package->session->transaction.message.body;
	size_t used;

	if (package->verdict[0] != '\0')
		return;
	if (has_crlf)
		smtp_body_read(body, data, length, &used);
	else
		body->emit(body->context, data, length);
}

bool
package_read_message(struct package *package, uint64_t length, bool has_crlf)
{
	struct smtp_session *session = package->session;
	const char *data;
	size_t piece;

	for (; length > 0; length -= piece) {
		if (!peek(package, &data, &piece))
			return false;
		if (piece > length)
			piece = (size_t)length;
		store_piece(package, data, piece, has_crlf);
		consume(package, piece);
	}
	if (package->verdict[0] == '\0') {
		if (has_crlf)
			smtp_body_finish(&session->transaction.message.body);
		smtp_message_refuse(session);
		package_judge(package);
	}
	return package_end(package);
}

/* One address.  What is wrong with it is the reply. */
static bool
read_address(
    struct package *package, struct smtp_address *address_out, bool *is_ok_out)
{
	struct smtp_session *session = package->session;
	enum smtp_address_result result = SMTP_ADDRESS_TOO_LONG;
	char text[SMTP_ADDRESS_MAX];
	uint64_t length, i;
	char byte;

	session->answer[0] = '\0';
	if (!package_read_length(package, SMTP_RECIPIENTS_BYTES_MAX, &length))
		return false;
	for (i = 0; i < length; i++) {
		if (!package_read_byte(package, &byte))
			return false;
		if (i < sizeof(text))
			text[i] = byte;
	}
	if (length <= sizeof(text))
		result = smtp_address_read(text, (size_t)length, address_out);
	*is_ok_out = result == SMTP_ADDRESS_OK;
	if (result == SMTP_ADDRESS_TOO_LONG)
		smtp_reply(
		    session, 501, "5.1.3", "sorry, that address is too long");
	else if (result == SMTP_ADDRESS_SYNTAX)
		smtp_reply(session, 555, "5.1.3", "syntax error in address");
	return package_end(package);
}

bool
package_read_sender(struct package *package)
{
	struct smtp_transaction *transaction = &package->session->transaction;
	struct smtp_address sender;
	bool is_ok;

	if (!read_address(package, &sender, &is_ok))
		return false;
	if (is_ok)
		transaction->sender = arena_strdup(
		    &transaction->arena, sender.text);
	package_judge(package);
	return true;
}

bool
package_read_recipient(struct package *package)
{
	struct smtp_session *session = package->session;
	struct smtp_address address;
	bool is_ok;

	if (!read_address(package, &address, &is_ok))
		return false;
	if (package->verdict[0] != '\0')
		return true;
	if (is_ok && address.text[0] == '\0')
		smtp_reply(session, 555, "5.1.3", "syntax error in address");
	else if (is_ok)
		smtp_recipient_take(session, &address, "");
	return true;
}

void
package_finish(struct package *package)
{
	struct smtp_session *session = package->session;

	session->answer[0] = '\0';
	if (package->verdict[0] == '\0' &&
	    session->transaction.recipient_count > 0)
		smtp_message_finish(session);
	else
		smtp_transaction_reset(session);
	package_judge(package);
}
