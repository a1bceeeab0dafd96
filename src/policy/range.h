#pragma once
#include <stdbool.h>
#include <stdint.h>

/** An address or a network; 4 octets of addr are used for IPv4. Host bits are zero. */
struct creel_net {
	uint8_t addr[16]; /* network order */
	uint8_t family;   /* 4 or 6; 0: none */
	uint8_t bits;
};

/** One address of either family, of 16 octets (base/mapped.h). */
struct creel_net creel_net_of(const uint8_t addr[16]);
/** Is the address @p a (its bits do not matter) in @p net? An IPv4-mapped IPv6 address is IPv4. */
bool creel_net_has(const struct creel_net *net, const struct creel_net *a);
/** Does @p inner lie wholly in @p outer? */
bool creel_net_within(const struct creel_net *inner, const struct creel_net *outer);

/*
 * What kind of address it is to us. PUBLIC includes the documentation ranges. PRIVATE is opened
 * only by an entry that itself lies in a private range; NEVER by none: this host, link-local with
 * the metadata service, multicast, reserved.
 */
enum creel_range {
	CREEL_RANGE_PUBLIC,
	CREEL_RANGE_PRIVATE, /* 10/8 172.16/12 192.168/16 100.64/10 198.18/15 fc00::/7 fec0::/10 */
	CREEL_RANGE_NEVER,   /* 0/8 127/8 169.254/16 192.0.0/24 224/4 240/4 :: ::1 fe80::/10 ff00::/8 */
};

/**
 * The range of an address. IPv6 forms that carry an IPv4 address (mapped, compatible, NAT64,
 * 6to4, Teredo) have the stricter range of the two; Teredo, whose server picks the way, is NEVER.
 *
 * @param ret_net  the range's network as text, such as "169.254.0.0/16"; may be NULL
 */
enum creel_range creel_range_of(const struct creel_net *a, const char **ret_net);
/** Does a network lie wholly in one private range? */
bool creel_range_private(const struct creel_net *net);
/** The ranges as text, for whoever writes them into a packet filter: i = 0.. until NULL. */
const char *creel_range_at(unsigned i, enum creel_range *ret_range);
