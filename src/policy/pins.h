#pragma once
#include "base/err.h"
#include "policy/name.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What a cell's names resolved to, and until when: the memory of creel-flow (may this name be asked of
 * that address?), of creel-flowlog (which name was it?) and of the monitor (is this flow still
 * permitted?). Bounded; two hash tables; time is the caller's, in seconds of a monotonic clock.
 */
enum { CREEL_PINS_NAMES = 10000, CREEL_PINS_ADDRS = 100000 };

struct creel_pins {
	struct creel_pin_name **names; /* by name */
	struct creel_pin **addrs;      /* by address */
	size_t n_names, n_addrs;
	size_t max_names, max_addrs;
	uint64_t seed;
	int64_t pruned; /* when what had ended was last looked for */
};

/** @return 0, CREEL_E_NOMEM, CREEL_E_OS */
int creel_pins_init(struct creel_pins *p, size_t max_names, size_t max_addrs, struct creel_err *err);
/** NULL is allowed. */
void creel_pins_fini(struct creel_pins *p);

/**
 * @p name (as creel_name_parse() gives it) resolved to @p addr (IPv4 as ::ffff:a.b.c.d); one that is
 * there gets the new end. When a table is full, what has ended is forgotten first, once in each second.
 *
 * @return 0, CREEL_E_TOOBIG, CREEL_E_NOMEM
 */
int creel_pins_add(struct creel_pins *p, const char *name, const uint8_t addr[16], int64_t until,
		   bool granted, int64_t now, struct creel_err *err);
/** Forget a name and its addresses. */
void creel_pins_drop(struct creel_pins *p, const char *name);

/** Did @p name resolve to @p addr, and has that not ended? @param ret_granted may be NULL */
bool creel_pins_has(const struct creel_pins *p, const char *name, const uint8_t addr[16], int64_t now,
		    bool *ret_granted);
/**
 * The names of an address, the last resolved first, those that have ended too.
 * @param i  from 0
 * @return the name, valid until the next change; NULL: no more
 */
const char *creel_pins_name(const struct creel_pins *p, const uint8_t addr[16], size_t i, int64_t *ret_until,
			    bool *ret_granted);
/** Every name with each of its addresses. The table must not change meanwhile. */
void creel_pins_each(const struct creel_pins *p,
		     void (*each)(void *ctx, const char *name, const uint8_t addr[16], int64_t until,
				  bool granted),
		     void *ctx);
