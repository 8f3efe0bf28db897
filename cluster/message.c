/* SPDX-License-Identifier: ISC */
/* What nodes say on the bus. */
#include "cluster/message.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

const char *
message_fault_name(enum message_fault fault)
{
	static const char *const names[MESSAGE_FAULT_COUNT] = {
		[MESSAGE_FINE] = "fine",
		[MESSAGE_TOO_LARGE] = "too_large",
		[MESSAGE_NOT_JSON] = "not_json",
		[MESSAGE_OTHER_VERSION] = "other_version",
		[MESSAGE_INCOMPLETE] = "incomplete",
		[MESSAGE_OTHER_NODE] = "other_node",
		[MESSAGE_OLD] = "old",
		[MESSAGE_REPLAYED] = "replayed",
	};

	return names[fault];
}

/* A number that is not negative. */
static bool
get_count(const json_t *object, const char *name, uint64_t *value_out)
{
	const json_t *value = json_object_get(object, name);

	if (!json_is_integer(value) || json_integer_value(value) < 0)
		return false;
	*value_out = (uint64_t)json_integer_value(value);
	return true;
}

static bool
get_names(const json_t *object, struct message *message)
{
	const char *node = json_string_value(json_object_get(object, "node"));
	const char *instance = json_string_value(
	    json_object_get(object, "instance"));

	if (node == NULL || *node == '\0' ||
	    strlen(node) >= sizeof(message->node) || instance == NULL ||
	    strlen(instance) != UUID_TEXT_SIZE - 1 ||
	    !uuid_parse(instance, &message->instance))
		return false;
	snprintf(message->node, sizeof(message->node), "%s", node);
	return true;
}

static enum message_fault
take_object(const json_t *object, struct message *message)
{
	uint64_t version, at_ms;

	if (!get_count(object, "v", &version))
		return MESSAGE_INCOMPLETE;
	if (version == 0 || version > CLUSTER_PROTOCOL + 1 ||
	    version + 1 < CLUSTER_PROTOCOL)
		return MESSAGE_OTHER_VERSION;
	message->version = (unsigned)version;
	message->health = json_object_get(object, "health");
	if (!get_names(object, message) ||
	    !get_count(object, "epoch", &message->epoch) ||
	    !get_count(object, "seq", &message->sequence) ||
	    message->sequence == 0 || !get_count(object, "at", &at_ms) ||
	    !json_is_object(message->health))
		return MESSAGE_INCOMPLETE;
	message->at_ms = (int64_t)at_ms;
	json_incref(message->health);
	return MESSAGE_FINE;
}

enum message_fault
message_read(const void *data, size_t length, struct message *message_out)
{
	enum message_fault fault;
	json_t *object;

	if (length > MESSAGE_MAX)
		return MESSAGE_TOO_LARGE;
	object = json_loadb(data, length, JSON_REJECT_DUPLICATES, NULL);
	if (object == NULL)
		return MESSAGE_NOT_JSON;
	fault = take_object(object, message_out);
	json_decref(object);
	return fault;
}

void
message_release(struct message *message)
{
	json_decref(message->health);
	message->health = NULL;
}

int
message_write(const struct message *message, struct buf *out)
{
	char instance[UUID_TEXT_SIZE];
	json_t *object;
	char *text;
	size_t length;

	uuid_format(&message->instance, instance);
	object = json_pack("{s:i, s:s, s:s, s:I, s:I, s:I, s:O}", "v",
	    (int)message->version, "node", message->node, "instance", instance,
	    "epoch", (json_int_t)message->epoch, "seq",
	    (json_int_t)message->sequence, "at", (json_int_t)message->at_ms,
	    "health", message->health);
	text = json_dumps(object, JSON_COMPACT);
	length = text == NULL ? SIZE_MAX : strlen(text);
	if (length <= MESSAGE_MAX)
		buf_add(out, text, length);
	free(text);
	json_decref(object);
	return length <= MESSAGE_MAX ? 0 : -1;
}

enum message_fault
message_judge(const struct message *last, const struct message *message)
{
	if (last->sequence == 0)
		return MESSAGE_FINE;
	if (uuid_is_equal(&last->instance, &message->instance))
		return message->sequence > last->sequence ? MESSAGE_FINE
							  : MESSAGE_REPLAYED;
	/* Another process, which comes later by its epoch or its start. */
	return message->epoch > last->epoch ||
		uuid_time_ms(&message->instance) >
		    uuid_time_ms(&last->instance)
	    ? MESSAGE_FINE
	    : MESSAGE_OLD;
}
