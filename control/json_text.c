/* SPDX-License-Identifier: ISC */
/* Texts of any bytes as JSON. */
#include "control/json_text.h"

#include "base/buf.h"

json_t *
json_text(const char *text)
{
	json_t *json = json_string(text);
	struct buf shown = BUF_INIT;

	if (json != NULL)
		return json;
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < 128)
			buf_addc(&shown, *text);
		else
			buf_adds(&shown, "\xef\xbf\xbd");
	json = json_string(shown.data);
	buf_release(&shown);
	return json;
}
