#include "gateplan.h"
#include "base/buf.h"
#include "engine/cellgate.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct out {
	struct creel_boot *boot;
	const char *(*keep)(void *ctx, char *text);
	void *ctx;
};

static int file_add(struct out *o, const char *path, uint32_t mode, struct creel_buf *text,
		    struct creel_err *err)
{
	size_t len = text->len;
	const char *kept = o->keep(o->ctx, creel_buf_steal(text));

	if (!kept)
		return creel_err_nomem(err);
	if (o->boot->n_files == CREEL_BOOT_FILES)
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "over %d files", CREEL_BOOT_FILES);
	o->boot->files[o->boot->n_files++] = (struct creel_boot_file){
		.path = path, .content = kept, .content_len = len, .mode = mode, .declared = true};
	return 0;
}

/* The rules are checked here, where their lines are known, and read again by creel-gate. */
static int rules_check(const struct creel_config *config, const struct creel_cell_cfg *cell,
		       struct creel_err *err)
{
	struct creel_gate autoclean(creel_gate_fini) gate = {0};
	struct creel_diags autoclean(creel_diags_fini) diags = {0};
	int r = creel_cellgate_init(&gate, config, cell, &diags, err);

	if (r < 0 && diags.n > 0)
		return creel_err_set(err, CREEL_E_CONFIG, 0, "%s:%u:%u: %.150s", config->file,
				     diags.v[0].pos.line, diags.v[0].pos.column, diags.v[0].msg);
	return r;
}

static int rules_add(struct creel_buf *text, const char *word, const struct creel_strs *rules,
		     struct creel_err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < rules->n; i++)
		r = creel_buf_addf(text, err, "%s %s\n", word, rules->v[i].s);
	return r;
}

static int tool_files(const struct pairs *pairs, const struct creel_config *config,
		      const struct creel_cell_cfg *cell, struct out *o, struct creel_err *err)
{
	struct creel_buf autoclean(creel_buf_fini) conf, autoclean(creel_buf_fini) keys;
	int r = rules_check(config, cell, err);

	creel_buf_init(&conf, 1 << 20);
	creel_buf_init(&keys, 1 << 16);
	if (r == 0)
		r = creel_buf_addf(&conf, err, "program %s\nhost /run/creel/host.sock\n",
				   cell->gate.program.s);
	if (r == 0 && cell->gate.shared.v > 0)
		r = creel_buf_addf(&conf, err, "shared %" PRId64 "\n", cell->gate.shared.v);
	if (r == 0)
		r = rules_add(&conf, "allow", &cell->gate.allow, err);
	if (r == 0)
		r = rules_add(&conf, "ask", &cell->gate.ask, err);
	if (r == 0)
		r = rules_add(&conf, "deny", &cell->gate.deny, err);
	if (r == 0)
		r = file_add(o, "/etc/creel/gate.conf", 0644, &conf, err);
	for (size_t i = 0; r == 0 && i < pairs->n; i++) {
		const struct pair *p = &pairs->v[i];
		bool client = false;
		for (size_t k = 0; k < cell->gate.clients.n; k++)
			client |= strcmp(cell->gate.clients.v[k].s, p->client) == 0;
		/* who is no client has a key that opens nothing */
		if (strcmp(p->tool, cell->name.s) == 0 && client && p->client_pub[0])
			r = creel_buf_addf(&keys, err,
					   "restrict,command=\"/usr/lib/creel/creel-gate\" %s %s\n",
					   p->client_pub, p->client);
	}
	return r < 0 ? r : file_add(o, "/etc/creel/authorized_keys", 0644, &keys, err);
}

/* "/usr/local/bin/gog", whose interpreter is creel-call: it knows by its name what to run there */
static int command_add(const struct pair *p, const char *address, const char *program, const char *suffix,
		       struct out *o, struct creel_err *err)
{
	struct creel_buf autoclean(creel_buf_fini) text, autoclean(creel_buf_fini) path;

	creel_buf_init(&text, 1024);
	creel_buf_init(&path, 256);
	int r = creel_buf_addf(&text, err, "#!/usr/lib/creel/creel-call %s %s %s %s\n", p->tool, address,
			       p->secret, program);
	if (r == 0)
		r = creel_buf_addf(&path, err, "/usr/local/bin/%s%s", program, suffix);
	if (r < 0)
		return r;
	const char *kept = o->keep(o->ctx, creel_buf_steal(&path));
	return kept ? file_add(o, kept, 0755, &text, err) : creel_err_nomem(err);
}

static int caller_files(const struct netplan *net, const struct pairs *pairs,
			const struct creel_config *config, const struct creel_cell_cfg *cell, struct out *o,
			struct creel_err *err)
{
	struct creel_buf autoclean(creel_buf_fini) known;
	int r = 0;

	creel_buf_init(&known, 1 << 16);
	for (size_t i = 0; r == 0 && i < pairs->n; i++) {
		const struct pair *p = &pairs->v[i];
		char address[16];
		if (strcmp(p->client, cell->name.s) != 0)
			continue;
		const struct creel_cell_cfg *tool = creel_config_cell(config, p->tool);
		if (!netplan_address(net, p->tool, address))
			return creel_err_set(err, CREEL_E_NOTFOUND, 0, "cell '%s' has no address", p->tool);
		r = command_add(p, address, tool->gate.program.s, "", o, err);
		if (r == 0 && tool->gate.shared.v > 0)
			r = command_add(p, address, tool->gate.program.s, "-files", o, err);
		if (r == 0)
			r = creel_buf_addf(&known, err, "%s %s\n", p->tool, p->host_pub);
	}
	return r < 0 || known.len == 0 ? r : file_add(o, "/etc/creel/known_hosts", 0644, &known, err);
}

int gateplan_files(const struct netplan *net, const struct pairs *pairs, const struct creel_config *config,
		   const struct creel_cell_cfg *cell, struct creel_boot *boot,
		   const char *(*keep)(void *ctx, char *text), void *ctx, struct creel_err *err)
{
	struct out o = {boot, keep, ctx};
	int r = cell->gate.pos.line == 0 ? 0 : tool_files(pairs, config, cell, &o, err);

	return r < 0 ? r : caller_files(net, pairs, config, cell, &o, err);
}
