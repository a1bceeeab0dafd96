#pragma once
#include "base/buf.h"
#include "linux/flowsum.h"
#include "wire/flowmsg.h"

/*
 * Flow messages on their way to the engine: a bounded queue before a SOCK_SEQPACKET socket, sent many
 * in a packet and never blocking.
 */
struct creel_flowsend {
	int fd; /* -1: nobody listens, messages wait; not owned */
	struct creel_buf q;
	size_t head;               /* octets of q that were sent */
	struct creel_flowsum *sum; /* NULL, or where it is written what was told of the filter's packets */
};

/** @param max  octets that may wait */
void creel_flowsend_init(struct creel_flowsend *s, int fd, size_t max);
void creel_flowsend_fini(struct creel_flowsend *s);
/** @return false: it is full and the message is not in it; the caller counts */
bool creel_flowsend_put(struct creel_flowsend *s, const struct creel_flowmsg *m);
/** Octets that wait. */
size_t creel_flowsend_waiting(const struct creel_flowsend *s);
/** @return 0 all is sent, 1 some waits for the socket, CREEL_E_CLOSED (fd is -1 from then on) */
int creel_flowsend_flush(struct creel_flowsend *s, struct creel_err *err);
