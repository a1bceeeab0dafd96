#include "wire/auditrec.h"
#include <linux/audit.h>
#include <stdio.h>
#include <string.h>

struct span {
	const char *p;
	size_t len;
};

/* The values of keys that we ask for, each where it stands first. */
struct field {
	const char *key;
	struct span value;
};

static void fields(const char *text, size_t len, struct field *f, size_t n)
{
	const char *end = text + len;

	for (const char *p = text; p < end;) {
		const char *stop = memchr(p, ' ', (size_t)(end - p));
		if (!stop)
			stop = end;
		const char *eq = memchr(p, '=', (size_t)(stop - p));
		for (size_t i = 0; eq && i < n; i++)
			if (!f[i].value.p && strlen(f[i].key) == (size_t)(eq - p) &&
			    memcmp(f[i].key, p, (size_t)(eq - p)) == 0)
				f[i].value = (struct span){eq + 1, (size_t)(stop - eq - 1)};
		p = stop + 1;
	}
}

static bool number(struct span s, uint64_t *ret)
{
	uint64_t v = 0;

	if (s.len == 0 || s.len > 19)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
		v = v * 10 + (uint64_t)(s.p[i] - '0');
	}
	*ret = v;
	return true;
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* @return octets written, less than @p size; a NUL stands behind them */
static size_t text_of(struct span s, char *ret, size_t size)
{
	size_t n = 0;

	if (s.len >= 2 && s.p[0] == '"' && s.p[s.len - 1] == '"') {
		n = s.len - 2 < size - 1 ? s.len - 2 : size - 1;
		memcpy(ret, s.p + 1, n);
	} else if (s.len % 2 == 0) { /* (null) has 6 octets and no digit at its begin */
		for (size_t i = 0; i < s.len && n < size - 1; i += 2) {
			int hi = digit(s.p[i]), lo = digit(s.p[i + 1]);
			if (hi < 0 || lo < 0) {
				n = 0;
				break;
			}
			ret[n++] = (char)(hi << 4 | lo);
		}
	}
	ret[n] = '\0';
	return n;
}

/* A name: a NUL in it would hide what follows, so it ends there for us as it does for the kernel. */
static void name_of(struct span s, char *ret)
{
	(void)text_of(s, ret, CREEL_AUDIT_TEXT);
}

static bool cell_ok(const char *s, size_t n)
{
	return n > 0 && n < 33 &&
	       strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") >= n;
}

/* Our key among those of the rule. @return false: the rule is not ours */
static bool key_of(const char *prefix, struct span s, struct creel_audit_access *a)
{
	char key[520];
	size_t len = text_of(s, key, sizeof(key)), plen = strlen(prefix);

	for (size_t at = 0; at < len;) {
		const char *p = key + at, *sep = memchr(p, 1, len - at);
		size_t n = sep ? (size_t)(sep - p) : len - at;
		at += n + 1;
		if (n <= plen || memcmp(p, prefix, plen) != 0)
			continue;
		p += plen;
		n -= plen;
		bool staged = n > 9 && memcmp(p, "staged-", 7) == 0 && p[8] == '-';
		a->store = n == 7 && memcmp(p, "store-", 6) == 0;
		if (!staged && !a->store)
			continue;
		char access = p[staged ? 7 : 6];
		if (access != 'r' && access != 'w')
			continue;
		a->write = access == 'w';
		if (a->store)
			return true;
		if (!cell_ok(p + 9, n - 9))
			continue;
		memcpy(a->cell, p + 9, n - 9);
		a->cell[n - 9] = '\0';
		return true;
	}
	return false;
}

static struct creel_audit_open *find(struct creel_audit_join *j, uint64_t serial)
{
	for (size_t i = 0; i < CREEL_AUDIT_OPEN; i++)
		if (j->open[i].used && j->open[i].a.serial == serial)
			return &j->open[i];
	return NULL;
}

static struct creel_audit_open *take(struct creel_audit_join *j)
{
	struct creel_audit_open *o = &j->open[0];

	for (size_t i = 0; i < CREEL_AUDIT_OPEN; i++) {
		if (!j->open[i].used)
			return &j->open[i];
		if (j->open[i].age < o->age)
			o = &j->open[i];
	}
	j->dropped++;
	return o;
}

static void syscall_record(struct creel_audit_join *j, uint64_t serial, const char *text, size_t len)
{
	static const char no_entry[] = "-2"; /* ENOENT */
	struct field f[] = {{"success", {NULL, 0}}, {"pid", {NULL, 0}}, {"auid", {NULL, 0}},
			    {"uid", {NULL, 0}},     {"exe", {NULL, 0}}, {"key", {NULL, 0}},
			    {"exit", {NULL, 0}}};
	struct creel_audit_access a = {.serial = serial};
	uint64_t pid = 0, auid = UINT32_MAX, uid = UINT32_MAX;

	fields(text, len, f, sizeof(f) / sizeof(f[0]));
	if (!f[5].value.p || !key_of(j->prefix, f[5].value, &a))
		return;
	if (f[6].value.len == 2 && memcmp(f[6].value.p, no_entry, 2) == 0)
		return;
	(void)number(f[1].value, &pid);
	(void)number(f[2].value, &auid);
	(void)number(f[3].value, &uid);
	a.pid = (uint32_t)pid;
	a.auid = (uint32_t)auid;
	a.uid = (uint32_t)uid;
	a.success = f[0].value.len == 3 && memcmp(f[0].value.p, "yes", 3) == 0;
	name_of(f[4].value, a.exe);
	struct creel_audit_open *o = find(j, serial);
	if (!o)
		o = take(j);
	*o = (struct creel_audit_open){.used = true, .age = ++j->age, .a = a};
}

static uint8_t rank_of(struct span nametype)
{
	static const char *const types[] = {"PARENT", "DELETE", "NORMAL", "CREATE"};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (strlen(types[i]) == nametype.len && memcmp(types[i], nametype.p, nametype.len) == 0)
			return (uint8_t)(i + 1);
	return 0;
}

static void path_record(struct creel_audit_open *o, const char *text, size_t len)
{
	struct field f[] = {
		{"name", {NULL, 0}}, {"inode", {NULL, 0}}, {"nametype", {NULL, 0}}, {"mode", {NULL, 0}}};
	uint64_t mode = 0;

	fields(text, len, f, sizeof(f) / sizeof(f[0]));
	uint8_t rank = f[2].value.p ? rank_of(f[2].value) : 0;
	if (!f[0].value.p || rank <= o->rank)
		return;
	o->rank = rank;
	name_of(f[0].value, o->a.path);
	o->a.inode = 0;
	(void)number(f[1].value, &o->a.inode);
	/* in octal, six digits or seven: 040755 is a folder */
	o->a.folder = number(f[3].value, &mode) && mode >= 40000 && mode < 50000;
}

void creel_audit_join_init(struct creel_audit_join *j, const char *prefix)
{
	memset(j, 0, sizeof(*j));
	(void)snprintf(j->prefix, sizeof(j->prefix), "%s", prefix);
}

/* `audit(1795604133.523:5): `. @return octets of it, 0: it is none */
static size_t stamp(const char *text, size_t len, uint64_t *ret_serial)
{
	static const char begin[] = "audit(";
	size_t n = sizeof(begin) - 1;

	if (len < n || memcmp(text, begin, n) != 0)
		return 0;
	const char *colon = memchr(text, ':', len), *close = memchr(text, ')', len);
	if (!colon || !close || close < colon ||
	    !number((struct span){colon + 1, (size_t)(close - colon - 1)}, ret_serial))
		return 0;
	n = (size_t)(close - text) + 1;
	if (n < len && text[n] == ':')
		n++;
	return n;
}

int creel_audit_join(struct creel_audit_join *j, unsigned type, const char *text, size_t len,
		     struct creel_audit_access *ret, struct creel_err *err)
{
	uint64_t serial;

	if (len > CREEL_AUDIT_RECORD)
		return creel_err_set(err, CREEL_E_SYNTAX, 0, "an audit record of %zu octets", len);
	while (len > 0 && (text[len - 1] == '\0' || text[len - 1] == '\n'))
		len--;
	size_t at = stamp(text, len, &serial);
	if (at == 0)
		return creel_err_set(err, CREEL_E_SYNTAX, 0, "an audit record without time and number");
	if (type == AUDIT_SYSCALL) {
		syscall_record(j, serial, text + at, len - at);
		return 0;
	}
	struct creel_audit_open *o = find(j, serial);
	if (!o)
		return 0;
	if (type == AUDIT_PATH)
		path_record(o, text + at, len - at);
	if (type != AUDIT_EOE)
		return 0;
	*ret = o->a;
	o->used = false;
	return 1;
}

void creel_audit_secret(const struct creel_audit_access *a, char ret[65], char ret_cell[33])
{
	const char *base = strrchr(a->path, '/'), *name = base ? base + 1 : a->path;
	size_t n = strlen(name);

	ret[0] = '\0';
	(void)snprintf(ret_cell, 33, "%s", a->cell);
	if (a->folder || n == 0 || n > 64 ||
	    strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != n)
		return;
	if (!a->store) {
		(void)snprintf(ret, 65, "%s", name);
		return;
	}
	if (!base) { /* from a cell's folder that it had open: of which one is not said */
		(void)snprintf(ret, 65, "%s", name);
		return;
	}
	/* of the store: CELL/NAME; a path that ends in the store's folder is none */
	const char *cell = base;
	while (cell > a->path && cell[-1] != '/')
		cell--;
	if (!cell_ok(cell, (size_t)(base - cell)) ||
	    (cell > a->path && !(cell - a->path >= 9 && memcmp(cell - 9, "/secrets/", 9) == 0)))
		return;
	(void)snprintf(ret_cell, 33, "%.*s", (int)(base - cell), cell);
	(void)snprintf(ret, 65, "%s", name);
}
