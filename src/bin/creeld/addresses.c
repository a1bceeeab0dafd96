#include "base/log.h"
#include "monitor.h"
#include "policy/entry.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/*
 * Who has which address: given at a cell's first `up`, in the order of the file, from the second address
 * of the cells' network on, and kept. STATE/addresses has `subnet CIDR` and a line `NAME ADDRESS` each.
 */
enum { NAMES = 1024, FILE_MAX = 65536 };

static struct {
	char subnet[20];
	struct creel_net net;
	size_t n;
	struct {
		char name[CREEL_PLAN_NAME];
		uint32_t addr; /* host order */
	} of[NAMES];
} table;

static uint32_t net_base(const struct creel_net *n)
{
	return (uint32_t)n->addr[0] << 24 | (uint32_t)n->addr[1] << 16 | (uint32_t)n->addr[2] << 8 |
	       n->addr[3];
}

static int subnet_read(const char *text, struct creel_net *ret, struct creel_err *err)
{
	int r = creel_net_parse(text, strlen(text), ret, err);

	if (r < 0)
		return r;
	if (ret->family != 4 || ret->bits < 8 || ret->bits > 29 || !creel_range_private(ret))
		return creel_err_set(err, CREEL_E_INVALID, 0,
				     "the cells' network is a private IPv4 one of /8 to /29, not %.40s",
				     text);
	return 0;
}

static void address_text(uint32_t addr, char ret[16])
{
	(void)snprintf(ret, 16, "%u.%u.%u.%u", addr >> 24, addr >> 16 & 255, addr >> 8 & 255, addr & 255);
}

static int save(struct creel_err *err)
{
	struct creel_buf autoclean(creel_buf_fini) text;
	char a[16];

	creel_buf_init(&text, FILE_MAX);
	int r = creel_buf_addf(&text, err, "subnet %s\n", table.subnet);
	for (size_t i = 0; r == 0 && i < table.n; i++) {
		address_text(table.of[i].addr, a);
		r = creel_buf_addf(&text, err, "%s %s\n", table.of[i].name, a);
	}
	if (r < 0)
		return r;
	autofd int fd = openat(mon.state_fd, "addresses.new",
			       O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0 || write(fd, text.data, text.len) != (ssize_t)text.len || fsync(fd) < 0 ||
	    renameat(mon.state_fd, "addresses.new", mon.state_fd, "addresses") < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "write the addresses of the cells");
	return 0;
}

int addresses_open(struct creel_err *err)
{
	autofd int fd = openat(mon.state_fd, "addresses", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	autofile FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
	char line[128], name[64], addr[32];
	struct in_addr a;

	if (!f)
		return errno == ENOENT ? 0 : creel_err_set(err, CREEL_E_OS, errno, "open the addresses");
	(void)steal_fd(&fd);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%63s %31s", name, addr) != 2)
			continue;
		if (strcmp(name, "subnet") == 0 && !table.subnet[0]) {
			if (subnet_read(addr, &table.net, err) < 0)
				return creel_err_add(err, "addresses");
			(void)snprintf(table.subnet, sizeof(table.subnet), "%.19s", addr);
		} else if (creel_plan_name_ok(name, CREEL_PLAN_NAME - 1) &&
			   inet_pton(AF_INET, addr, &a) == 1 && table.n < NAMES) {
			(void)snprintf(table.of[table.n].name, CREEL_PLAN_NAME, "%.32s", name);
			table.of[table.n++].addr = ntohl(a.s_addr);
		}
	}
	return 0;
}

static bool in_use(const char *name)
{
	return monitor_cell(name) != NULL;
}

/* The lowest address that no name has; else that of the oldest name that no cell has now. */
static int place(const char *name, struct creel_err *err)
{
	uint32_t base = net_base(&table.net), last = base + (1U << (32 - table.net.bits)) - 2;

	for (uint32_t a = base + 2; a <= last && table.n < NAMES; a++) {
		size_t i = 0;
		while (i < table.n && table.of[i].addr != a)
			i++;
		if (i < table.n)
			continue;
		(void)snprintf(table.of[table.n].name, CREEL_PLAN_NAME, "%s", name);
		table.of[table.n++].addr = a;
		return 0;
	}
	for (size_t i = 0; i < table.n; i++)
		if (!in_use(table.of[i].name)) {
			(void)snprintf(table.of[i].name, CREEL_PLAN_NAME, "%s", name);
			return 0;
		}
	return creel_err_set(err, CREEL_E_TOOBIG, 0, "no address is left in %s", table.subnet);
}

static int find(const char *name)
{
	for (size_t i = 0; i < table.n; i++)
		if (strcmp(table.of[i].name, name) == 0)
			return (int)i;
	return -1;
}

static int subnet_take(const char *text, struct creel_err *err)
{
	struct creel_net net;
	int r = subnet_read(text, &net, err);

	if (r < 0 || strcmp(text, table.subnet) == 0)
		return r;
	for (size_t i = 0; i < MON_CELLS; i++)
		if (mon.cells[i].running && mon.cells[i].ran.net.link)
			return creel_err_set(
				err, CREEL_E_BUSY, 0,
				"cells run in %s: `creel down` first, then they get the network %.40s",
				table.subnet, text);
	net_down(); /* what stands is of the other network */
	table.net = net;
	table.n = 0;
	(void)snprintf(table.subnet, sizeof(table.subnet), "%.19s", text);
	return 0;
}

int addresses_give(char *text, struct creel_buf *out, struct creel_err *err)
{
	char *save_at = NULL, *word = strtok_r(text, "\n", &save_at), a[16];
	int r = word ? subnet_take(word, err) : creel_err_set(err, CREEL_E_SYNTAX, 0, "no network");

	for (word = strtok_r(NULL, "\n", &save_at); r == 0 && word; word = strtok_r(NULL, "\n", &save_at)) {
		if (!creel_plan_name_ok(word, CREEL_PLAN_NAME - 1))
			r = creel_err_set(err, CREEL_E_INVALID, 0, "a cell's name");
		else if (find(word) < 0)
			r = place(word, err);
		if (r == 0) {
			address_text(table.of[find(word)].addr, a);
			r = creel_buf_addf(out, err, "%s %s\n", word, a);
		}
	}
	return r < 0 ? r : save(err);
}

bool addresses_right(const char *name, const char *addr)
{
	char a[16];
	int i = find(name);

	if (i < 0)
		return false;
	address_text(table.of[i].addr, a);
	return strcmp(a, addr) == 0;
}

const char *addresses_subnet(char ret_gateway[16])
{
	address_text(net_base(&table.net) + 1, ret_gateway);
	return table.subnet;
}
