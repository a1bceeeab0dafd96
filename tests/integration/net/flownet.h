#pragma once
#include "net/nft.h"
#include "policy/policytext.h"
#include "wire/flowmsg.h"
#include <stdbool.h>
#include <sys/types.h>

/*
 * For tests: two cells, the cells' namespace (the process's own) with the packet filter, and an internet,
 * joined by veth pairs. Sockets of each can be had in one process, so a test plays guest, server and
 * monitor at once, step by step. And what tests of the network have in common besides.
 */
enum flownet_ns { NET_A, NET_B, NET_INTERNET, NET_HOST };
enum { FLOWNET_PORT = 8999, FLOWNET_UID = 54321, FLOWNET_WAIT_MS = 60000 };

struct flownet {
	struct creel_nft nft;
	pid_t holder[3]; /* of the namespaces, NET_A and on */
	int ns[4];
	bool six;
	struct {
		struct creel_policytext policy;
		const char *text;
		bool added, named; /* named: names are checked */
		pid_t flow;
		int monitor, events; /* our ends of creel-flow's sockets */
	} cell[2];
	/* events that came and were not asked for yet */
	struct creel_flowmsg seen[8192];
	size_t n_seen;
};

/** Fails the test when it cannot be made. @param seconds  after which everything ends by itself */
void flownet_up(struct flownet *n, unsigned seconds);
/** IPv6, too: cells FLOWNET_ULA "c0a8:5302" and "...03", the gateway "...01", and what the text of flownet.c lists. */
void flownet_six(struct flownet *n);
#define FLOWNET_ULA "fd12:3456:789a::"
void flownet_down(struct flownet *n);
void flownet_sh(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/** Does a line of what a command prints have that in it? */
bool flownet_output_has(const char *command, const char *needle);
/** A process that holds a network namespace of its own for so long, and ends with us. */
pid_t flownet_holder(unsigned seconds, int *ret_ns);

/** Add or change cell @p i (0, 1): policy as policytext, not copied. @p named false: the weakened filter, no creel-flow */
void flownet_cell(struct flownet *n, int i, const char *policy, bool named, uint16_t log_group);
/** Start creel-flow ($CREEL_FLOW) for cell @p i, whose policy is set. */
void flownet_flow_start(struct flownet *n, int i);
void flownet_flow_kill(struct flownet *n, int i);
/** As the monitor would: into the filter, and to creel-flow. */
void flownet_pin(struct flownet *n, int i, const char *name, const char *addr, uint32_t ttl);

void flownet_enter(const struct flownet *n, enum flownet_ns ns);
/** A socket of that namespace, close-on-exec; timeouts of FLOWNET_WAIT_MS. */
int flownet_socket(const struct flownet *n, enum flownet_ns ns, int family, int type, int proto);
/** IPv6 where flownet_six() was called: it takes both. */
int flownet_listen(const struct flownet *n, enum flownet_ns ns, uint16_t port);
/** @return a connected socket, or -errno */
int flownet_connect(const struct flownet *n, enum flownet_ns ns, const char *addr, uint16_t port,
		    int wait_ms);
/** accept(2), or fail the test; @p wait_ms 0 and more: -1 when nobody comes in that time */
int flownet_accept(int fd, int wait_ms);

void flownet_send(int fd, const void *data, size_t len);
/** Read exactly @p len octets, or fail the test. */
void flownet_expect(int fd, const void *data, size_t len);
/** How the other side ended: 'F' by FIN, 'R' by RST, '.' not in @p wait_ms, 'D' it sent something */
char flownet_end(int fd, int wait_ms);

/** A sanitizer keeps what was freed: there memory is not bounded so. */
#if defined(__SANITIZE_ADDRESS__)
#define FLOWNET_SANITIZED 1
#elif defined(__has_feature)
#define FLOWNET_SANITIZED __has_feature(address_sanitizer)
#else
#define FLOWNET_SANITIZED 0
#endif
/** Of a process, resident. */
long flownet_memory_kb(pid_t pid);
/** The port at our end of a socket. */
uint16_t flownet_port(int fd);
/**
 * The next event of this type from cell @p i's creel-flow about a connection from that port, 0: any;
 * fails the test when none comes.
 */
struct creel_flowmsg flownet_event(struct flownet *n, int i, uint8_t type, uint16_t port);

/** A name as a DNS message has it, uncompressed. @return its octets, 255 at most where the name is one */
size_t flownet_labels(uint8_t *out, const char *name);
/** A TLS hello as records of @p record octets at most. @param pad  octets more, as an extension */
size_t flownet_hello(uint8_t *buf, size_t size, const char *name, bool ech, size_t pad, size_t record);
