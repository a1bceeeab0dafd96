#pragma once
#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/*
 * The one way out of a build step: an HTTP proxy that connects to the registries which the builder has
 * configured and to nothing else. CONNECT opens a tunnel; what goes through it to a registry of
 * https:// must begin as TLS that asks for that registry's name. A request in absolute-form (apt's, to
 * http:// mirrors) must be GET or HEAD without a body. Addresses are given: it resolves no names.
 */
enum { CREEL_PROXY_ADDRS = 8, CREEL_PROXY_HOSTS = 32 };

struct creel_proxy_host {
	char name[256]; /* lower case */
	uint16_t port;
	bool tls;       /* https:// */
	bool parent;    /* the addresses are those of the builder's own proxy, to be asked by CONNECT */
	size_t n_addrs; /* 0: the name did not resolve */
	struct {
		struct sockaddr_storage addr;
		socklen_t len;
	} addrs[CREEL_PROXY_ADDRS];
};

/**
 * One host as text, for a command line: NAME:PORT[/tls][/parent]=ADDR:PORT,ADDR:PORT
 * @return 0, CREEL_E_SYNTAX, CREEL_E_TOOBIG
 */
int creel_proxy_host_parse(const char *text, struct creel_proxy_host *ret, struct creel_err *err);
int creel_proxy_host_print(const struct creel_proxy_host *h, char *ret, size_t size, struct creel_err *err);

/**
 * Serve until killed. What is refused or cannot be reached is a line on standard error.
 * @param listen_fd  non-blocking, listening; the proxy's
 * @param counter    octets that came from registries; NULL: not counted
 * @return CREEL_E_*; does not return otherwise
 */
int creel_proxy_serve(int listen_fd, const struct creel_proxy_host *hosts, size_t n, uint64_t *counter,
		      struct creel_err *err);
