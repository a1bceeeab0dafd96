#pragma once
#include "base/err.h"
#include <stdbool.h>
#include <stdint.h>

/*
 * Flows that the kernel tracks (nf_conntrack, by ctnetlink), in the network namespace of the calling
 * thread: those that began at an address, and the end of the ones that are permitted no more. With
 * tcp_loose off, a TCP flow that was cut does not come back.
 */
struct creel_ct_flow {
	uint8_t src[16], dst[16]; /* as the first packet had them; IPv4 mapped */
	uint16_t sport, dport;
	uint8_t proto; /* IPPROTO_TCP, IPPROTO_UDP */
};

/**
 * Cut each flow of @p src for which @p keep says no.
 * @param ret_cut  how many
 * @return 0, CREEL_E_OS, CREEL_E_NOMEM
 */
int creel_ct_cut(const uint8_t src[16], bool (*keep)(void *ctx, const struct creel_ct_flow *flow), void *ctx,
		 uint64_t *ret_cut, struct creel_err *err);
