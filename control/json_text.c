/* SPDX-License-Identifier: ISC */
/* Texts of any bytes as JSON. */
#include "control/json_text.h"

#include "base/buf.h"
#include "base/mem.h"

json_t *
json_text(const char *text)
{
	json_t *json = json_string(text);
	AUTO(buf_release) struct buf shown = BUF_INIT;

	if (json != NULL)
		return json;
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < 128)
			buf_addc(&shown, *text);
		else
			buf_adds(&shown, "\xef\xbf\xbd");
	return json_string(shown.data);
}
