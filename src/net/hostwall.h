#pragma once
#include "net/nft.h"
#include "policy/range.h"

/*
 * Where the uplink is a process on this host (slirp4netns), what it is asked to connect to it connects to
 * from this host: also to this host itself. So the cells' namespace has, beside the cells' own filter, a
 * table `inet creel-uplink` that drops what would leave for an address of this host, or for one that the
 * process answers itself.
 */
enum { CREEL_HOSTWALL_MAX = 1024 };

/**
 * This host's own and its broadcast addresses, as networks, by the routing table `local` of the caller's namespace.
 * @return 0, CREEL_E_TOOBIG (over @p max), CREEL_E_OS
 */
int creel_hostwall_list(struct creel_net *ret, size_t max, size_t *ret_n, struct creel_err *err);
/** Write the table anew, in one batch. To be called in the cells' namespace. @param uplink  the interface */
int creel_hostwall_write(const char *uplink, const struct creel_net *nets, size_t n, struct creel_err *err);
