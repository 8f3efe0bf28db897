/* SPDX-License-Identifier: ISC */
/* New keys of a node. */
#include "cluster/keys.h"

#include <string.h>
#include <zmq.h>

int
cluster_key_make(
    char public_out[CLUSTER_KEY_SIZE], struct buf *file_out, struct error *err)
{
	char secret[CLUSTER_KEY_SIZE];

	if (zmq_curve_keypair(public_out, secret) == -1)
		return error_set(err, "this ZeroMQ has no CURVE");
	buf_addf(file_out, "%s\n%s\n", secret, public_out);
	explicit_bzero(secret, sizeof(secret));
	return 0;
}
