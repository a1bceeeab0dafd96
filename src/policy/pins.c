#include "policy/pins.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BUCKETS 16384

struct creel_pin {
	struct creel_pin *next, **at; /* in the bucket of its address, the newest first */
	struct creel_pin *of_name;    /* the name's next */
	struct creel_pin_name *name;
	int64_t until;
	uint8_t addr[16];
};

struct creel_pin_name {
	struct creel_pin_name *next;
	struct creel_pin *pins;
	bool granted;
	char text[];
};

/*
 * FNV-1a from a secret start, mixed once more: who resolves chooses names and addresses of a table that
 * the monitor walks for all cells, and must not make them meet in one bucket.
 */
static size_t hash(const struct creel_pins *p, const void *data, size_t len)
{
	const uint8_t *d = data;
	uint64_t h = p->seed;

	for (size_t i = 0; i < len; i++)
		h = (h ^ d[i]) * 0x100000001b3U;
	h = (h ^ h >> 33) * 0xff51afd7ed558ccdU;
	h = (h ^ h >> 33) * 0xc4ceb9fe1a85ec53U;
	return (size_t)(h ^ h >> 33) % BUCKETS;
}

int creel_pins_init(struct creel_pins *p, size_t max_names, size_t max_addrs, struct creel_err *err)
{
	struct creel_pins out = {.max_names = max_names, .max_addrs = max_addrs, .pruned = INT64_MIN};

	if (getentropy(&out.seed, sizeof(out.seed)) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "a random number");
	out.names = calloc(BUCKETS, sizeof(struct creel_pin_name *));
	out.addrs = calloc(BUCKETS, sizeof(struct creel_pin *));
	if (!out.names || !out.addrs) {
		free(out.names);
		free(out.addrs);
		return creel_err_nomem(err);
	}
	*p = out;
	return 0;
}

static struct creel_pin_name **name_at(const struct creel_pins *p, const char *text)
{
	struct creel_pin_name **at = &p->names[hash(p, text, strlen(text))];

	while (*at && strcmp((*at)->text, text) != 0)
		at = &(*at)->next;
	return at;
}

static void unlink_addr(struct creel_pin *pin)
{
	*pin->at = pin->next;
	if (pin->next)
		pin->next->at = pin->at;
}

static void link_addr(struct creel_pins *p, struct creel_pin *pin)
{
	pin->at = &p->addrs[hash(p, pin->addr, 16)];
	pin->next = *pin->at;
	if (pin->next)
		pin->next->at = &pin->next;
	*pin->at = pin;
}

/* Forget the pins of a name that ended before @p before. @return true: the name went with its last */
static bool name_prune(struct creel_pins *p, struct creel_pin_name **at, int64_t before)
{
	struct creel_pin_name *n = *at;

	for (struct creel_pin **pp = &n->pins; *pp;) {
		struct creel_pin *pin = *pp;
		if (pin->until >= before) {
			pp = &pin->of_name;
			continue;
		}
		*pp = pin->of_name;
		unlink_addr(pin);
		free(pin);
		p->n_addrs--;
	}
	if (n->pins)
		return false;
	*at = n->next;
	free(n);
	p->n_names--;
	return true;
}

static void prune(struct creel_pins *p, int64_t before)
{
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct creel_pin_name **at = &p->names[i]; *at;) {
			if (!name_prune(p, at, before))
				at = &(*at)->next;
		}
}

void creel_pins_fini(struct creel_pins *p)
{
	if (!p || !p->names)
		return;
	prune(p, INT64_MAX);
	free(p->names);
	free(p->addrs);
	*p = (struct creel_pins){0};
}

static struct creel_pin_name *name_make(struct creel_pins *p, const char *text)
{
	struct creel_pin_name **at = name_at(p, text);

	if (!*at) {
		size_t len = strlen(text) + 1;
		*at = calloc(1, sizeof(**at) + len);
		if (*at) {
			memcpy((*at)->text, text, len);
			p->n_names++;
		}
	}
	return *at;
}

/* Along both lists at once: a name may have many addresses and an address many names, and the shorter list
 * knows as well. */
static struct creel_pin *pin_of(const struct creel_pins *p, const struct creel_pin_name *n,
				const uint8_t addr[16])
{
	struct creel_pin *a = p->addrs[hash(p, addr, 16)], *b = n->pins;

	for (; a && b; a = a->next, b = b->of_name) {
		if (a->name == n && memcmp(a->addr, addr, 16) == 0)
			return a;
		if (memcmp(b->addr, addr, 16) == 0)
			return b;
	}
	return NULL;
}

static bool has_room(const struct creel_pins *p, const char *name, const uint8_t addr[16])
{
	const struct creel_pin_name *n = *name_at(p, name);

	return (n || p->n_names < p->max_names) && ((n && pin_of(p, n, addr)) || p->n_addrs < p->max_addrs);
}

int creel_pins_add(struct creel_pins *p, const char *name, const uint8_t addr[16], int64_t until,
		   bool granted, int64_t now, struct creel_err *err)
{
	if (!has_room(p, name, addr)) {
		/* all of it is walked: once a second, or a cell that fills its table holds up the others */
		if (p->pruned != now)
			prune(p, now);
		p->pruned = now;
		if (!has_room(p, name, addr))
			return creel_err_set(err, CREEL_E_TOOBIG, 0, "over %zu names or %zu addresses",
					     p->max_names, p->max_addrs);
	}
	struct creel_pin_name *n = name_make(p, name);
	if (!n)
		return creel_err_nomem(err);
	struct creel_pin *pin = pin_of(p, n, addr);
	if (!pin) {
		pin = calloc(1, sizeof(*pin));
		if (!pin) {
			(void)name_prune(p, name_at(p, name), INT64_MIN);
			return creel_err_nomem(err);
		}
		pin->name = n;
		memcpy(pin->addr, addr, 16);
		pin->of_name = n->pins;
		n->pins = pin;
		p->n_addrs++;
	} else {
		unlink_addr(pin);
	}
	link_addr(p, pin);
	pin->until = until;
	n->granted = granted;
	return 0;
}

void creel_pins_drop(struct creel_pins *p, const char *name)
{
	struct creel_pin_name **at = name_at(p, name);

	if (*at)
		(void)name_prune(p, at, INT64_MAX);
}

bool creel_pins_has(const struct creel_pins *p, const char *name, const uint8_t addr[16], int64_t now,
		    bool *ret_granted)
{
	const struct creel_pin_name *n = *name_at(p, name);
	const struct creel_pin *pin = n ? pin_of(p, n, addr) : NULL;

	if (!pin || pin->until < now)
		return false;
	if (ret_granted)
		*ret_granted = n->granted;
	return true;
}

const char *creel_pins_name(const struct creel_pins *p, const uint8_t addr[16], size_t i, int64_t *ret_until,
			    bool *ret_granted)
{
	for (const struct creel_pin *pin = p->addrs[hash(p, addr, 16)]; pin; pin = pin->next) {
		if (memcmp(pin->addr, addr, 16) != 0 || i-- > 0)
			continue;
		if (ret_until)
			*ret_until = pin->until;
		if (ret_granted)
			*ret_granted = pin->name->granted;
		return pin->name->text;
	}
	return NULL;
}

void creel_pins_each(const struct creel_pins *p,
		     void (*each)(void *ctx, const char *name, const uint8_t addr[16], int64_t until,
				  bool granted),
		     void *ctx)
{
	for (size_t i = 0; i < BUCKETS; i++)
		for (const struct creel_pin_name *n = p->names[i]; n; n = n->next)
			for (const struct creel_pin *pin = n->pins; pin; pin = pin->of_name)
				each(ctx, n->text, pin->addr, pin->until, n->granted);
}
