#pragma once
#include "policy/name.h"
#include "policy/range.h"

/*
 * One line of `egress: allow:` or `deny:` (docs/network.md, "Entries"):
 *
 *   NAME            TLS on TCP 443 with that name       *.NAME   its subdomains, any depth
 *   NAME:80         HTTP, its Host checked              NAME:PORT       TLS on that port
 *   NAME:PORT/raw   whatever runs on that TCP port      NAME:PORT/udp   on that UDP port
 *   CIDR:PORT[/udp] by address; an IPv6 one stands in brackets: [2001:db8::/32]:443
 *
 * In a deny list an entry without a port covers every port and protocol, and one with a port and
 * no suffix covers that port of TCP and UDP.
 */
enum creel_way {
	CREEL_WAY_ANY,  /* deny only */
	CREEL_WAY_TLS,  /* TCP, the name in the hello is checked */
	CREEL_WAY_HTTP, /* TCP, the Host of every request is checked */
	CREEL_WAY_TCP,  /* raw */
	CREEL_WAY_UDP,
};

struct creel_entry {
	struct creel_name name; /* of a name entry, without "*." */
	bool subdomains;        /* written "*.NAME" */
	struct creel_net net;   /* family 0: a name entry */
	uint16_t port;          /* 0: every port, deny only */
	enum creel_way way;
};

/**
 * Parse an entry. Host bits behind a CIDR's length are refused, as are ports outside 1 to 65535,
 * and in an allow list an address without a port.
 *
 * @param deny  it stands in a deny list
 * @return 0, CREEL_E_SYNTAX, CREEL_E_TOOBIG, CREEL_E_INVALID, CREEL_E_NOMEM
 */
int creel_entry_parse(const char *text, bool deny, struct creel_entry *ret_entry, struct creel_err *err);

/** Parse an IPv4 or IPv6 address or CIDR without brackets. @return 0, CREEL_E_SYNTAX, _INVALID */
int creel_net_parse(const char *text, size_t len, struct creel_net *ret_net, struct creel_err *err);

/** What is asked for, as a person writes it: NAME[:PORT], ADDR:PORT, each with /udp if so. */
struct creel_target {
	struct creel_name name; /* "" when by address */
	struct creel_net addr;  /* family 0 when by name */
	uint16_t port;          /* 443 when not written */
	bool udp;
};

/** @return as creel_entry_parse(); an address without a port is CREEL_E_SYNTAX */
int creel_target_parse(const char *text, struct creel_target *ret_target, struct creel_err *err);
