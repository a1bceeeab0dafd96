#include "engine/plan.h"
#include <arpa/inet.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static const char *const sources[] = {"store", "base64", "hex", "given"};

int creel_plan_encode(const struct creel_plan *p, struct creel_buf *out, struct creel_err *err)
{
	json_t *volumes = json_array(), *ports = json_array(), *secrets = json_array();
	json_t *upstreams = json_array();
	int bad = 0;

	for (size_t i = 0; i < p->n_volumes; i++)
		bad |= json_array_append_new(volumes, json_pack("{s:s,s:I,s:s}", "name", p->volumes[i].name,
								"octets", (json_int_t)p->volumes[i].octets,
								"at", p->volumes[i].at));
	for (size_t i = 0; i < p->n_ports; i++)
		bad |= json_array_append_new(ports,
					     json_pack("{s:s,s:i,s:i}", "address", p->ports[i].address,
						       "host", p->ports[i].host, "guest", p->ports[i].guest));
	for (size_t i = 0; i < p->n_secrets; i++)
		bad |= json_array_append_new(
			secrets, json_pack("{s:s,s:s,s:i,s:b,s:b,s:s}", "name", p->secrets[i].name, "source",
					   sources[p->secrets[i].source], "bytes", (int)p->secrets[i].bytes,
					   "optional", (int)p->secrets[i].optional, "broker",
					   (int)p->secrets[i].broker, "env", p->secrets[i].env));
	for (size_t i = 0; i < p->net.n_upstreams; i++)
		bad |= json_array_append_new(upstreams, json_string(p->net.upstreams[i]));
	json_t *net = json_pack("{s:b,s:s,s:s,s:s,s:b,s:b,s:o,s:s}", "link", (int)p->net.link, "address",
				p->net.address, "gateway", p->net.gateway, "subnet", p->net.subnet, "ipv6",
				(int)p->net.ipv6, "recursive", (int)p->net.recursive, "upstreams", upstreams,
				"policy", p->net.policy);
	json_t *j = json_pack("{s:s,s:s,s:s,s:s,s:s,s:b,s:b,s:i,s:i,s:i,s:i,s:o,s:o,s:o,s:o}", "cell",
			      p->cell, "recipe", p->recipe, "image", p->image, "image_dir", p->image_dir,
			      "boot", p->boot, "gate", (int)p->gate, "kvm", (int)p->kvm, "cpus", (int)p->cpus,
			      "memory_mib", (int)p->memory_mib, "stop_grace_ms", (int)p->stop_grace_ms,
			      "ready_limit_ms", (int)p->ready_limit_ms, "volumes", volumes, "publish", ports,
			      "secrets", secrets, "net", net);
	autofree char *text = j && bad == 0 ? json_dumps(j, JSON_COMPACT) : NULL;
	json_decref(j);
	return text ? creel_buf_adds(out, text, err) : creel_err_nomem(err);
}

bool creel_plan_name_ok(const char *name, size_t max)
{
	size_t n = strlen(name);

	return n > 0 && n <= max && name[0] != '-' && name[0] != '_' &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == n;
}

static bool copy(char *to, size_t size, const char *from)
{
	size_t n = strlen(from);

	if (n >= size)
		return false;
	memcpy(to, from, n + 1);
	return true;
}

static bool path_ok(const char *p)
{
	size_t n = strlen(p);

	return p[0] == '/' && !strstr(p, "/../") && !(n >= 3 && strcmp(p + n - 3, "/..") == 0) &&
	       !strpbrk(p, ",:\n");
}

static int invalid(struct creel_err *err, const char *what)
{
	return creel_err_set(err, CREEL_E_INVALID, 0, "plan: %s", what);
}

static int volumes_read(json_t *a, struct creel_plan *p, struct creel_err *err)
{
	json_t *v;
	size_t i;

	if (json_array_size(a) > CREEL_PLAN_VOLUMES)
		return invalid(err, "too many volumes");
	json_array_foreach (a, i, v) {
		const char *name = NULL, *at = NULL;
		json_int_t octets = 0;
		if (json_unpack(v, "{s:s,s:I,s:s!}", "name", &name, "octets", &octets, "at", &at) < 0 ||
		    !creel_plan_name_ok(name, 18) || !copy(p->volumes[i].name, 19, name) ||
		    octets < 1 << 20 || octets > (json_int_t)1 << 44 || !path_ok(at) ||
		    !copy(p->volumes[i].at, sizeof(p->volumes[i].at), at))
			return invalid(err, "a volume's name, size or mount point");
		p->volumes[i].octets = (uint64_t)octets;
	}
	p->n_volumes = json_array_size(a);
	return 0;
}

static int ports_read(json_t *a, struct creel_plan *p, struct creel_err *err)
{
	uint8_t raw[16];
	json_t *v;
	size_t i;

	if (json_array_size(a) > CREEL_PLAN_PORTS)
		return invalid(err, "too many published ports");
	json_array_foreach (a, i, v) {
		const char *address = NULL;
		int host = 0, guest = 0;
		if (json_unpack(v, "{s:s,s:i,s:i!}", "address", &address, "host", &host, "guest", &guest) <
			    0 ||
		    host < 1 || host > 65535 || guest < 1 || guest > 65535 ||
		    !copy(p->ports[i].address, sizeof(p->ports[i].address), address) ||
		    (inet_pton(AF_INET, address, raw) != 1 && inet_pton(AF_INET6, address, raw) != 1))
			return invalid(err, "a published port");
		p->ports[i].host = (uint16_t)host;
		p->ports[i].guest = (uint16_t)guest;
	}
	p->n_ports = json_array_size(a);
	return 0;
}

static int secrets_read(json_t *a, struct creel_plan *p, struct creel_err *err)
{
	json_t *v;
	size_t i;

	if (json_array_size(a) > CREEL_PLAN_SECRETS)
		return invalid(err, "too many secrets");
	json_array_foreach (a, i, v) {
		const char *name = NULL, *source = NULL, *env = NULL;
		int bytes = 0, optional = 0, broker = 0;
		size_t s = 0;
		if (json_unpack(v, "{s:s,s:s,s:i,s:b,s:b,s:s!}", "name", &name, "source", &source, "bytes",
				&bytes, "optional", &optional, "broker", &broker, "env", &env) < 0 ||
		    !creel_plan_name_ok(name, 64) || !copy(p->secrets[i].name, 65, name) || bytes < 0 ||
		    bytes > 1024 || (env[0] && !creel_plan_name_ok(env, 64)) ||
		    !copy(p->secrets[i].env, 65, env))
			return invalid(err, "a secret");
		while (s < ELEMENTSOF(sources) && strcmp(source, sources[s]) != 0)
			s++;
		if (s == ELEMENTSOF(sources))
			return invalid(err, "a secret's source");
		p->secrets[i].source = (enum creel_plan_source)s;
		p->secrets[i].bytes = (unsigned)bytes;
		p->secrets[i].optional = optional;
		p->secrets[i].broker = broker;
	}
	p->n_secrets = json_array_size(a);
	return 0;
}

static bool ipv4(const char *s)
{
	uint8_t raw[4];

	return inet_pton(AF_INET, s, raw) == 1;
}

/* A word of creel-dns's configuration: no blank, no line's end. */
static bool upstream_ok(const char *s)
{
	return s[0] && strspn(s, "0123456789abcdefABCDEF.:@%") == strlen(s);
}

static bool hex64(const char *s)
{
	return strlen(s) == 64 && strspn(s, "0123456789abcdef") == 64;
}

static int net_read(json_t *n, struct creel_plan *p, struct creel_err *err)
{
	const char *address = NULL, *gateway = NULL, *subnet = NULL, *policy = NULL;
	json_t *upstreams = NULL, *v;
	int link = 0, ipv6 = 0, recursive = 0;
	size_t i;

	if (json_unpack(n, "{s:b,s:s,s:s,s:s,s:b,s:b,s:o,s:s!}", "link", &link, "address", &address,
			"gateway", &gateway, "subnet", &subnet, "ipv6", &ipv6, "recursive", &recursive,
			"upstreams", &upstreams, "policy", &policy) < 0)
		return creel_err_set(err, CREEL_E_SYNTAX, 0,
				     "plan: net: keys missing, unknown or of a wrong type");
	const char *slash = strchr(subnet, '/');
	bool none = !link && !address[0] && !gateway[0] && !subnet[0];
	if ((!none && (!ipv4(address) || !ipv4(gateway) || !slash ||
		       strspn(subnet, "0123456789./") != strlen(subnet))) ||
	    !copy(p->net.address, sizeof(p->net.address), address) ||
	    !copy(p->net.gateway, sizeof(p->net.gateway), gateway) ||
	    !copy(p->net.subnet, sizeof(p->net.subnet), subnet) || !hex64(policy) ||
	    !copy(p->net.policy, 65, policy) || json_array_size(upstreams) > CREEL_PLAN_UPSTREAMS)
		return invalid(err, "the network");
	json_array_foreach (upstreams, i, v) {
		const char *s = json_string_value(v);
		if (!s || !upstream_ok(s) || !copy(p->net.upstreams[i], sizeof(p->net.upstreams[i]), s))
			return invalid(err, "an upstream resolver");
	}
	p->net.n_upstreams = json_array_size(upstreams);
	p->net.link = link;
	p->net.ipv6 = ipv6;
	p->net.recursive = recursive;
	return 0;
}

static int plan_read(json_t *j, struct creel_plan *p, struct creel_err *err)
{
	const char *cell = NULL, *recipe = NULL, *image = NULL, *dir = NULL, *boot = NULL;
	json_t *volumes = NULL, *ports = NULL, *secrets = NULL, *net = NULL;
	int gate = 0, kvm = 0, cpus = 0, memory = 0, grace = 0, limit = 0;

	if (json_unpack(j, "{s:s,s:s,s:s,s:s,s:s,s:b,s:b,s:i,s:i,s:i,s:i,s:o,s:o,s:o,s:o!}", "cell", &cell,
			"recipe", &recipe, "image", &image, "image_dir", &dir, "boot", &boot, "gate", &gate,
			"kvm", &kvm, "cpus", &cpus, "memory_mib", &memory, "stop_grace_ms", &grace,
			"ready_limit_ms", &limit, "volumes", &volumes, "publish", &ports, "secrets", &secrets,
			"net", &net) < 0)
		return creel_err_set(err, CREEL_E_SYNTAX, 0,
				     "plan: keys missing, unknown or of a wrong type");
	if (!creel_plan_name_ok(cell, CREEL_PLAN_NAME - 1) || !copy(p->cell, sizeof(p->cell), cell))
		return invalid(err, "the cell's name");
	if (!copy(p->recipe, sizeof(p->recipe), recipe) || !hex64(image) || !copy(p->image, 65, image) ||
	    !path_ok(dir) || !copy(p->image_dir, sizeof(p->image_dir), dir) || !hex64(boot) ||
	    !copy(p->boot, 65, boot))
		return invalid(err, "the image");
	if (cpus < 1 || cpus > 64 || memory < 64 || memory > 1 << 20 || grace < 1 || grace > 3600000 ||
	    limit < 1 || limit > 24 * 3600000)
		return invalid(err, "cpus, memory or a time out of range");
	p->gate = gate;
	p->kvm = kvm;
	p->cpus = (unsigned)cpus;
	p->memory_mib = (unsigned)memory;
	p->stop_grace_ms = (unsigned)grace;
	p->ready_limit_ms = (unsigned)limit;
	int r = volumes_read(volumes, p, err);
	if (r == 0)
		r = ports_read(ports, p, err);
	if (r == 0)
		r = secrets_read(secrets, p, err);
	return r < 0 ? r : net_read(net, p, err);
}

int creel_plan_decode(const void *data, size_t len, struct creel_plan *ret, struct creel_err *err)
{
	autofree struct creel_plan *p = calloc(1, sizeof(*p));
	json_error_t why;

	if (!p)
		return creel_err_nomem(err);
	if (len > CREEL_PLAN_MAX)
		return creel_err_set(err, CREEL_E_INVALID, 0, "plan: over %d octets", CREEL_PLAN_MAX);
	json_t *j = json_loadb(data, len, JSON_REJECT_DUPLICATES, &why);
	if (!j)
		return creel_err_set(err, CREEL_E_SYNTAX, 0, "plan: %s", why.text);
	int r = plan_read(j, p, err);
	json_decref(j);
	if (r == 0)
		*ret = *p;
	return r;
}

static int machine_text(const struct creel_plan *p, struct creel_buf *out)
{
	struct creel_err err = {0};
	autofree struct creel_plan *copy = malloc(sizeof(*copy));

	if (!copy)
		return CREEL_E_NOMEM;
	*copy = *p;
	copy->net.policy[0] = '\0';
	copy->net.n_upstreams = 0;
	copy->net.recursive = false;
	return creel_plan_encode(copy, out, &err);
}

bool creel_plan_shares(const struct creel_plan *p)
{
	for (size_t i = 0; i < p->n_secrets; i++)
		if (!p->secrets[i].broker)
			return true;
	return false;
}

bool creel_plan_same_machine(const struct creel_plan *a, const struct creel_plan *b)
{
	struct creel_buf autoclean(creel_buf_fini) x, autoclean(creel_buf_fini) y;

	creel_buf_init(&x, CREEL_PLAN_MAX);
	creel_buf_init(&y, CREEL_PLAN_MAX);
	return machine_text(a, &x) == 0 && machine_text(b, &y) == 0 && x.len == y.len &&
	       memcmp(x.data, y.data, x.len) == 0;
}
