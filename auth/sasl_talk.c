/* SPDX-License-Identifier: ISC */
/* An exchange of SASL over a connection. */
#include "auth/sasl_talk.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static void
free_answer(char **answer)
{
	if (*answer != NULL)
		explicit_bzero(*answer, strlen(*answer));
	free(*answer);
	*answer = NULL;
}

/* SASL_TALK_FINISHED and the client's answer, without line end. */
static enum sasl_talk
ask_client(struct stream *stream, const char *prompt,
    const struct buf *challenge, char **answer_out,
    enum stream_result *lost_out)
{
	enum stream_result result;
	const char *line;
	size_t length;

	stream_write(stream, prompt, strlen(prompt));
	stream_write(stream, challenge->data, challenge->length);
	stream_write(stream, "\r\n", 2);
	result = stream_read_line(stream, SASL_LINE_MAX, &line, &length);
	if (result == STREAM_TOO_LONG)
		return SASL_TALK_TOO_LONG;
	if (result != STREAM_OK) {
		*lost_out = result;
		return SASL_TALK_LOST;
	}
	while (length > 0 &&
	    (line[length - 1] == '\n' || line[length - 1] == '\r'))
		length--;
	if (memchr(line, '\0', length) != NULL)
		return SASL_TALK_MALFORMED;
	if (length == 1 && *line == '*')
		return SASL_TALK_CANCELLED;
	*answer_out = xstrndup(line, length);
	return SASL_TALK_FINISHED;
}

enum sasl_talk
sasl_talk(struct sasl *sasl, struct stream *stream, const char *prompt,
    const char *initial, size_t initial_length, enum stream_result *lost_out)
{
	AUTO(buf_release) struct buf challenge = BUF_INIT;
	AUTO(free_answer) char *answer = NULL;
	enum sasl_talk result;
	enum sasl_step step;

	if (initial != NULL)
		answer = initial_length == 1 && *initial == '='
		    ? xstrdup("")
		    : xstrndup(initial, initial_length);
	while ((step = sasl_step(sasl, answer, &challenge)) == SASL_CHALLENGE) {
		free_answer(&answer);
		result = ask_client(
		    stream, prompt, &challenge, &answer, lost_out);
		if (result != SASL_TALK_FINISHED)
			return result;
	}
	return step == SASL_MALFORMED ? SASL_TALK_MALFORMED
	    : step == SASL_PASSWORD   ? SASL_TALK_PASSWORD
				      : SASL_TALK_FINISHED;
}
