#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/*
 * An address of either family as messages and tables have it: 16 octets in network order, IPv4 mapped into
 * IPv6 (RFC 4291, 2.5.5.2).
 */
static inline bool creel_mapped_four(const uint8_t addr[16])
{
	static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};

	return memcmp(addr, prefix, sizeof(prefix)) == 0;
}

/** @param four  4 octets */
static inline void creel_mapped_put(uint8_t ret[16], const void *four)
{
	memset(ret, 0, 16);
	ret[10] = ret[11] = 0xff;
	memcpy(ret + 12, four, 4);
}
