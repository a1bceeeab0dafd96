#pragma once
#include "base/buf.h"
#include <stdbool.h>

/*
 * A cell's plan: what the CLI made of creel.yaml, its recipe and its image, and hands to the monitor
 * in a sealed memfd. The monitor keeps it and does nothing for the cell outside of it; the engine gets
 * a copy to decide with. JSON, so that `creel plan --json` and a person can read it; it holds no
 * secret's value. Two plans with the same octets are the same plan.
 */
enum {
	CREEL_PLAN_MAX = 1 << 20,
	CREEL_PLAN_VOLUMES = 8,
	CREEL_PLAN_PORTS = 16,
	CREEL_PLAN_SECRETS = 64,
	CREEL_PLAN_NAME = 33,
	CREEL_PLAN_UPSTREAMS = 8,
};

enum creel_plan_source {
	CREEL_SOURCE_STORE,  /* `creel secret set` */
	CREEL_SOURCE_BASE64, /* made at each start */
	CREEL_SOURCE_HEX,
	CREEL_SOURCE_GIVEN, /* read by the CLI as the user, handed over beside the plan */
};

struct creel_plan {
	char cell[CREEL_PLAN_NAME];
	char recipe[256];
	char image[65];      /* id */
	char image_dir[512]; /* root.erofs, vmlinuz, initramfs.cpio */
	char boot[65];       /* BLAKE2b-256 of the boot configuration that comes beside the plan */
	bool gate;           /* others ask its tool: it may ask a human */
	bool kvm;            /* else emulated */
	unsigned cpus, memory_mib;
	unsigned stop_grace_ms;  /* SHUTDOWN to KILL */
	unsigned ready_limit_ms; /* start to ready; over it `up` gives up waiting */
	struct {
		bool link; /* without it the cell has no network interface at all */
		char address[16], gateway[16], subnet[20]; /* IPv4; "" without a link */
		bool ipv6;
		bool recursive; /* its resolver asks the roots; else the upstreams, or else the host's */
		size_t n_upstreams;
		char upstreams[CREEL_PLAN_UPSTREAMS][64]; /* ADDR or ADDR@PORT */
		char policy
			[65]; /* BLAKE2b-256 of the policy (policy/policytext.h) that comes beside the plan */
	} net;
	size_t n_volumes, n_ports, n_secrets;
	struct {
		char name[19];
		uint64_t octets;
		char at[256];
	} volumes[CREEL_PLAN_VOLUMES];
	struct {
		char address[46]; /* numeric, as inet_pton(3) reads it */
		uint16_t host, guest;
	} ports[CREEL_PLAN_PORTS];
	struct {
		char name[65];
		enum creel_plan_source source;
		unsigned bytes; /* of what is made */
		bool optional;
		bool broker;  /* a broker's: it is staged for that process alone, never for the cell */
		char env[65]; /* its name in gateway-env, "" for none */
	} secrets[CREEL_PLAN_SECRETS];
};

/** Append the plan as JSON. @return 0, CREEL_E_TOOBIG, CREEL_E_NOMEM */
int creel_plan_encode(const struct creel_plan *plan, struct creel_buf *out, struct creel_err *err);

/**
 * Read and check strictly: every key known and there, every name and number within its bounds. What
 * passes is safe to use as a part of a path or an argument.
 *
 * @return 0, CREEL_E_SYNTAX, CREEL_E_INVALID, CREEL_E_NOMEM
 */
int creel_plan_decode(const void *data, size_t len, struct creel_plan *ret, struct creel_err *err);

/**
 * Do two plans differ in nothing but the policy, which a running cell can take on? Its resolver's
 * upstreams are part of that.
 */
bool creel_plan_same_machine(const struct creel_plan *a, const struct creel_plan *b);

/** Has it a secret that the cell sees? */
bool creel_plan_shares(const struct creel_plan *plan);

/** A cell's or a secret's name: letter first, then letters, digits, '-' (and '_' in secrets). */
bool creel_plan_name_ok(const char *name, size_t max);
