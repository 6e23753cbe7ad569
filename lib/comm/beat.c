#include "comm/beat.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void ax_conn_close(struct conn *k)
{
	if (k->fd >= 0)
		close(k->fd);
	memset(k, 0, sizeof(*k));
	k->fd = -1;
	k->rank = -1;
}

static void conn_flush(struct conn *k)
{
	ssize_t n;

	while (k->fd >= 0 && k->out_n > 0) {
		n = send(k->fd, (char *)&k->out + (sizeof(k->out) - k->out_n), k->out_n, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n <= 0)
			return;
		k->out_n -= (size_t)n;
	}
}

void ax_conn_send(struct conn *k, const struct msg *m)
{
	conn_flush(k);
	if (k->fd < 0 || k->out_n > 0)
		return;
	k->out = *m;
	k->out_n = sizeof(k->out);
	conn_flush(k);
}

int ax_conn_read(struct conn *k)
{
	ssize_t n;

	if (k->in_n == sizeof(k->in))
		k->in_n = 0;
	n = recv(k->fd, (char *)&k->in + k->in_n, sizeof(k->in) - k->in_n, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0)
		return -1;
	k->in_n += (size_t)n;
	if (k->in_n < sizeof(k->in))
		return 0;
	k->in.what[sizeof(k->in.what) - 1] = k->in.host[sizeof(k->in.host) - 1] = k->in.text[sizeof(k->in.text) - 1] =
	    '\0';
	return k->in.magic == MAGIC ? 1 : -1;
}
