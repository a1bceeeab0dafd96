#pragma once
#include "base/err.h"
#include <stdint.h>

/*
 * The two sockets that creel-flowlog reads, opened by who may (CAP_NET_ADMIN in the namespace that the
 * calling thread is in) and given to who may not: it can only receive on them.
 */

/**
 * NFLOG of one group: headers alone, numbered, so that what was lost is known by number.
 * @return the socket, non-blocking; CREEL_E_BUSY (the group is read already), CREEL_E_OS
 */
int creel_nflog_open(uint16_t group, struct creel_err *err);

/**
 * Flows that ended (conntrack's destroy events). An event that the socket cannot take is kept by the
 * kernel and tried again (NETLINK_BROADCAST_ERROR): none is lost. Only flows that began while somebody
 * listened have one, unless nf_conntrack_events is 1; counts need nf_conntrack_acct.
 */
int creel_flowends_open(struct creel_err *err);
