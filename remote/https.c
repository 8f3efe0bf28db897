/* SPDX-License-Identifier: ISC */
/* One request by HTTPS. */
#include "remote/https.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <curl/curl.h>

#include "base/mem.h"

enum { ADDRESSES_MAX = 10 }; /* of each kind */

static void
start_curl(void)
{
	curl_global_init(CURL_GLOBAL_DEFAULT);
}

void
https_start(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, start_curl);
}

struct taking {
	struct buf *text;
	size_t max;
};

static size_t
take_bytes(char *data, size_t size, size_t count, void *context)
{
	const struct taking *taking = context;

	if (taking->text->length + size * count > taking->max)
		return 0; /* curl gives up */
	buf_add(taking->text, data, size * count);
	return size * count;
}

static size_t
put_addresses(const struct https_request *request, const char *host,
    enum dns_type type, size_t count, struct buf *text)
{
	struct dns_answer answer;
	size_t i;

	dns_client_ask(request->dns, type, host, request->timeout_ms, &answer);
	for (i = 0; i < answer.record_count && i < ADDRESSES_MAX; i++) {
		struct sockaddr_storage address;
		const struct sockaddr_in *ip4 = (void *)&address;
		const struct sockaddr_in6 *ip6 = (void *)&address;
		char ip[INET6_ADDRSTRLEN];

		if (!dns_read_address(&answer.records[i], 0, &address))
			continue;
		inet_ntop(address.ss_family,
		    type == DNS_A ? (const void *)&ip4->sin_addr
				  : &ip6->sin6_addr,
		    ip, sizeof(ip));
		buf_addf(text, type == DNS_A ? "%s%s" : "%s[%s]",
		    count++ == 0 ? "" : ",", ip);
	}
	dns_answer_release(&answer);
	return count;
}

/* "HOST:PORT:ADDRESS,ADDRESS": no other resolver is asked.  NULL: none. */
static struct curl_slist *
find_addresses(const struct https_request *request, const char *host,
    const char *port, struct error *err)
{
	AUTO(buf_release) struct buf text = BUF_INIT;
	size_t count;

	buf_addf(&text, "%s:%s:", host, port);
	count = put_addresses(request, host, DNS_A, 0, &text);
	count = put_addresses(request, host, DNS_AAAA, count, &text);
	if (count > 0)
		return curl_slist_append(NULL, text.data);
	error_set(err, "no address of '%s'", host);
	return NULL;
}

static struct curl_slist *
resolve_url(const struct https_request *request, struct error *err)
{
	CURLU *url = curl_url();
	struct curl_slist *addresses = NULL;
	char *host = NULL, *port = NULL;

	/* An address instead of a name is refused: nobody has one there. */
	if (url == NULL ||
	    curl_url_set(url, CURLUPART_URL, request->url, 0) != CURLUE_OK ||
	    curl_url_get(url, CURLUPART_HOST, &host, 0) != CURLUE_OK ||
	    curl_url_get(url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) !=
		CURLUE_OK ||
	    strlen(host) >= DNS_NAME_SIZE)
		error_set(err, "it has no URL of a host");
	else
		addresses = find_addresses(request, host, port, err);
	curl_free(host);
	curl_free(port);
	curl_url_cleanup(url);
	return addresses;
}

/* 0, or -1 with the reason. */
static int
perform(CURL *curl, struct https_answer *answer, struct error *err)
{
	CURLcode done = curl_easy_perform(curl);
	char *type = NULL;

	if (done != CURLE_OK)
		return error_set(err, "%s", curl_easy_strerror(done));
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &answer->code);
	curl_easy_getinfo(curl, CURLINFO_CONTENT_TYPE, &type);
	snprintf(
	    answer->type, sizeof(answer->type), "%s", type == NULL ? "" : type);
	return 0;
}

static int
ask_addresses(const struct https_request *request, struct curl_slist *addresses,
    struct https_answer *answer, struct error *err)
{
	struct taking taking = { &answer->text, request->answer_max };
	struct curl_slist *headers = NULL;
	CURL *curl = curl_easy_init();
	int result;

	if (curl == NULL)
		return error_set(err, "cannot start curl");
	curl_easy_setopt(curl, CURLOPT_URL, request->url);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https");
	curl_easy_setopt(curl, CURLOPT_RESOLVE, addresses);
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)request->timeout_ms);
	curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 2L);
	curl_easy_setopt(curl, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2);
	if (request->ca_file[0] != '\0')
		curl_easy_setopt(curl, CURLOPT_CAINFO, request->ca_file);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_bytes);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, &taking);
	if (request->post != NULL) {
		AUTO(mem_free)
		char *type = xasprintf("Content-Type: %s", request->post_type);

		headers = curl_slist_append(NULL, type);
		curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE,
		    (curl_off_t)request->post->length);
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->post->data);
	}
	result = perform(curl, answer, err);
	curl_easy_cleanup(curl);
	curl_slist_free_all(headers);
	return result;
}

int
https_ask(const struct https_request *request, struct https_answer *answer_out,
    struct error *err)
{
	struct curl_slist *addresses;
	int result;

	*answer_out = (struct https_answer){ .text = BUF_INIT };
	https_start();
	addresses = resolve_url(request, err);
	if (addresses == NULL)
		return -1;
	result = ask_addresses(request, addresses, answer_out, err);
	curl_slist_free_all(addresses);
	return result;
}
