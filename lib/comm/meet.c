#define _GNU_SOURCE
#include "comm/meet.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECT_MS 5000
#define UNACKED_MS 25000u

void ax_meet_tune(int fd)
{
	unsigned limit = UNACKED_MS;
	int one = 1;

	fcntl(fd, F_SETFD, FD_CLOEXEC);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &limit, sizeof(limit));
}

static void add_addr(struct meeting *m, const struct sockaddr *a)
{
	const struct sockaddr_in *v4 = (const void *)a;
	const struct sockaddr_in6 *v6 = (const void *)a;

	if (m->n_addr == MEET_ADDR_MAX)
		return;
	if (a->sa_family == AF_INET) {
		memcpy(m->addr[m->n_addr++].addr, &v4->sin_addr, 4);
	} else if (a->sa_family == AF_INET6 && !IN6_IS_ADDR_LINKLOCAL(&v6->sin6_addr)) {
		m->addr[m->n_addr].v6 = 1;
		memcpy(m->addr[m->n_addr++].addr, &v6->sin6_addr, 16);
	}
}

static void find_addrs(struct meeting *m)
{
	struct ifaddrs *list, *i;

	if (getifaddrs(&list))
		return;
	for (i = list; i; i = i->ifa_next)
		if (i->ifa_addr && (i->ifa_flags & IFF_UP) && !(i->ifa_flags & IFF_LOOPBACK))
			add_addr(m, i->ifa_addr);
	freeifaddrs(list);
}

static socklen_t make_sockaddr(struct sockaddr_storage *a, bool v6, const uint8_t *addr, uint16_t port)
{
	struct sockaddr_in *v4 = (void *)a;
	struct sockaddr_in6 *six = (void *)a;

	memset(a, 0, sizeof(*a));
	if (v6) {
		six->sin6_family = AF_INET6;
		six->sin6_port = htons(port);
		if (addr)
			memcpy(&six->sin6_addr, addr, 16);
		return sizeof(*six);
	}
	v4->sin_family = AF_INET;
	v4->sin_port = htons(port);
	if (addr)
		memcpy(&v4->sin_addr, addr, 4);
	return sizeof(*v4);
}

static int bind_to(bool v6, const uint8_t *addr)
{
	int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM, 0), zero = 0;
	struct sockaddr_storage a;
	socklen_t n = make_sockaddr(&a, v6, addr, 0);

	if (fd < 0)
		return -1;
	if (v6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
	if (bind(fd, (struct sockaddr *)&a, n)) {
		close(fd);
		return -1;
	}
	return fd;
}

static uint16_t port_of(int fd)
{
	struct sockaddr_storage a;
	socklen_t n = sizeof(a);

	if (getsockname(fd, (struct sockaddr *)&a, &n))
		return 0;
	return ntohs(a.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)(void *)&a)->sin6_port
					     : ((struct sockaddr_in *)(void *)&a)->sin_port);
}

int ax_meet_listen(struct meeting *m, bool one_host, int backlog, struct ax_err *e)
{
	static const uint8_t loopback[4] = {127, 0, 0, 1};
	int fd;

	memset(m, 0, sizeof(*m));
	if (getrandom(m->key, sizeof(m->key), 0) != (ssize_t)sizeof(m->key)) {
		ax_fail(e, AX_ECOMM, "no random bytes:");
		return -1;
	}
	if (one_host) {
		fd = bind_to(false, loopback);
		m->n_addr = 1;
		memcpy(m->addr[0].addr, loopback, sizeof(loopback));
	} else {
		fd = bind_to(true, NULL);
		if (fd < 0)
			fd = bind_to(false, NULL);
		find_addrs(m);
	}
	if (fd < 0 || listen(fd, backlog)) {
		ax_fail(e, AX_ECOMM, "cannot listen:");
		if (fd >= 0)
			close(fd);
		return -1;
	}
	ax_meet_tune(fd);
	m->port = port_of(fd);
	m->open = m->port != 0;
	return fd;
}

static int connect_to(const struct sockaddr_storage *a, socklen_t n)
{
	int fd = socket(a->ss_family, SOCK_STREAM, 0), err = 0;
	socklen_t len = sizeof(err);
	struct pollfd p;

	if (fd < 0)
		return -1;
	ax_meet_tune(fd);
	p.fd = fd;
	p.events = POLLOUT;
	if (connect(fd, (const struct sockaddr *)a, n)) {
		if (errno != EINPROGRESS)
			err = errno;
		else if (poll(&p, 1, CONNECT_MS) <= 0)
			err = ETIMEDOUT;
		else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len))
			err = errno;
	}
	if (!err)
		return fd;
	close(fd);
	errno = err;
	return -1;
}

int ax_meet_connect(const struct meeting *m, struct ax_err *e)
{
	struct sockaddr_storage a;
	socklen_t n;
	int fd;

	errno = ENETUNREACH;
	for (int i = 0; i < m->n_addr && i < MEET_ADDR_MAX; i++) {
		n = make_sockaddr(&a, m->addr[i].v6, m->addr[i].addr, m->port);
		fd = connect_to(&a, n);
		if (fd >= 0)
			return fd;
	}
	ax_fail(e, AX_ECOMM, "no connection to any of %d addresses, port %d:", m->n_addr, m->port);
	return -1;
}
