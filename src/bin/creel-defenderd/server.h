#pragma once
#include "pool.h"
#include <event2/event.h>
#include <event2/http.h>

/* HTTP on a loopback address: one thread, which only moves octets. */
struct server {
	struct event_base *base;
	struct evhttp *http;
	struct evhttp_bound_socket *bound;
	struct event *done, *accept_again, *drain_end;
	struct pool *pool;
	unsigned open; /* jobs not answered yet */
	unsigned connections_max;
	unsigned drain_s;
	bool draining;
	uint64_t codes[6]; /* answers by hundred */
	uint64_t gone;     /* whoever asked went away first */
	uint64_t refused, busy;
	uint64_t bucket[8], sum_us;
};

/** @param address  "127.0.0.1:8000" or "[::1]:8000"; another is refused; port 0: any. @return 0 or negative */
int server_start(struct server *s, const char *address, size_t body_max, unsigned timeout_s,
		 struct creel_err *err);
/** Accept no more, answer what was asked, then leave the loop; after drain_s leave it in any case. */
void server_drain(struct server *s);
void server_end(struct server *s);
/** The port that it listens on. */
unsigned server_port(const struct server *s);
