#include "match.h"
#include "base/cleanup.h"
#include "place.h"
#include "tree.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Patterns on their way to the compiler, for one database. */
struct set {
	const def_mem *mem;
	char **expr;
	unsigned *flags, *id;
	const struct def_pattern **from;
	struct def_id *ids;
	size_t n, cap;
};

static void set_fini(struct set *s)
{
	for (size_t i = 0; i < s->n; i++)
		def_free(s->mem, s->expr[i]);
	def_free(s->mem, s->expr);
	def_free(s->mem, s->flags);
	def_free(s->mem, s->id);
	def_free(s->mem, s->from);
	def_free(s->mem, s->ids);
}

static char *joined(const def_mem *mem, const char *before, const char *expr, const char *after)
{
	size_t a = strlen(before), n = strlen(expr), b = strlen(after);
	char *e = def_alloc(mem, a + n + b + 1);

	if (!e)
		return NULL;
	memcpy(e, before, a);
	memcpy(e + a, expr, n);
	memcpy(e + a + n, after, b);
	return e;
}

/* @p expr becomes the set's; NULL: out of memory */
static int set_add(struct set *s, const struct def_pattern *from, char *expr, unsigned flags,
		   struct def_id id)
{
	if (expr && s->n == s->cap) {
		size_t cap = s->cap ? s->cap * 2 : 64;
		void *p[5] = {def_realloc(s->mem, s->expr, cap * sizeof(*s->expr))};
		if (p[0])
			s->expr = p[0];
		if (p[0] && (p[1] = def_realloc(s->mem, s->flags, cap * sizeof(*s->flags))))
			s->flags = p[1];
		if (p[1] && (p[2] = def_realloc(s->mem, s->id, cap * sizeof(*s->id))))
			s->id = p[2];
		if (p[2] && (p[3] = def_realloc(s->mem, s->from, cap * sizeof(const struct def_pattern *))))
			s->from = p[3];
		if (p[3] && (p[4] = def_realloc(s->mem, s->ids, cap * sizeof(*s->ids))))
			s->ids = p[4];
		if (p[4])
			s->cap = cap;
	}
	if (!expr || s->n == s->cap) {
		def_free(s->mem, expr);
		return CREEL_E_NOMEM;
	}
	s->expr[s->n] = expr;
	s->flags[s->n] = flags;
	s->id[s->n] = (unsigned)s->n;
	s->from[s->n] = from;
	s->ids[s->n++] = id;
	return 0;
}

/* The pattern for letters written together: without blanks. */
static char *dense_of(const def_mem *mem, const char *expr)
{
	size_t n = strlen(expr), k = 0;
	char *d = def_alloc(mem, n + 1);

	for (size_t i = 0; d && i < n; i++) {
		if (expr[i] != ' ') {
			d[k++] = expr[i];
		} else if (i + 1 < n && strchr("?*+{", expr[i + 1])) {
			/* a quantified blank goes with its quantifier */
			i++;
			if (expr[i] == '{')
				while (i + 1 < n && expr[i] != '}')
					i++;
		}
	}
	return d;
}

/* Words that say that a text wants to be turned: in rot13, and backwards. */
static const struct {
	const char *word;
	uint8_t turn;
} triggers[] = {
	{"vtaber", DEF_TURN_ROT13},        {"qvfertneq", DEF_TURN_ROT13},
	{"vafgehpgvba", DEF_TURN_ROT13},   {"vafgehpgvbaf", DEF_TURN_ROT13},
	{"cerivbhf", DEF_TURN_ROT13},      {"sbetrg", DEF_TURN_ROT13},
	{"flfgrz", DEF_TURN_ROT13},        {"cebzcg", DEF_TURN_ROT13},
	{"cebzcgf", DEF_TURN_ROT13},       {"cnffjbeq", DEF_TURN_ROT13},
	{"cnffjbeqf", DEF_TURN_ROT13},     {"erirny", DEF_TURN_ROT13},
	{"bireevqr", DEF_TURN_ROT13},      {"haerfgevpgrq", DEF_TURN_ROT13},
	{"lbh", DEF_TURN_ROT13},           {"gur", DEF_TURN_ROT13},
	{"zbqr", DEF_TURN_ROT13},          {"qrirybcre", DEF_TURN_ROT13},
	{"erongi", DEF_TURN_REVERSE},      {"dragersid", DEF_TURN_REVERSE},
	{"noitcurtsni", DEF_TURN_REVERSE}, {"snoitcurtsni", DEF_TURN_REVERSE},
	{"suoiverp", DEF_TURN_REVERSE},    {"tegrof", DEF_TURN_REVERSE},
	{"metsys", DEF_TURN_REVERSE},      {"tpmorp", DEF_TURN_REVERSE},
	{"stpmorp", DEF_TURN_REVERSE},     {"drowssap", DEF_TURN_REVERSE},
	{"sdrowssap", DEF_TURN_REVERSE},   {"laever", DEF_TURN_REVERSE},
	{"edirrevo", DEF_TURN_REVERSE},    {"detcirtsernu", DEF_TURN_REVERSE},
	{"uoy", DEF_TURN_REVERSE},         {"eht", DEF_TURN_REVERSE},
	{"edom", DEF_TURN_REVERSE},        {"repoleved", DEF_TURN_REVERSE},
};

#define GROUP 12 /* patterns */

/* The database of the next pattern that the sieve takes: neighbours stand together, as they match together. */
static enum def_db words_db(const struct set set[DEF_DBS])
{
	size_t n = 0;

	for (int k = DEF_DB_WORDS; k < DEF_DB_WORDS_END; k++)
		n += set[k].n;
	return (enum def_db)(DEF_DB_WORDS + n / GROUP % DEF_GROUPS);
}

/* A pattern of words: into the database where it costs least. */
static int words_add(struct def_matcher *m, struct set set[DEF_DBS], const struct def_pattern *p,
		     struct def_id id)
{
	char *e = id.padded ? joined(m->mem, " (?:", p->expr, ") ") : joined(m->mem, "", p->expr, "");
	enum def_db db = words_db(set);

	int r = e ? def_sieve_add(m->sieve, e, db - DEF_DB_WORDS) : CREEL_E_NOMEM;
	if (r == 0)
		db = def_sieve_high(m->sieve, e) ? DEF_DB_HIGH : DEF_DB_REST;
	if (r >= 0)
		return set_add(&set[db], p, e, 0, id);
	def_free(m->mem, e);
	return r;
}

static int pattern_add(struct def_matcher *m, struct set set[DEF_DBS], const struct def_pattern *p,
		       const struct def_rule *u)
{
	struct def_id id = {(uint32_t)p->rule, p->kind == DEF_WORDS};
	int e;

	switch (p->kind) {
	case DEF_TEXT:
		return set_add(&set[u->in ? DEF_DB_TEXT : DEF_DB_TEXT_OUT], p,
			       joined(m->mem, "", p->expr, ""), HS_FLAG_MULTILINE, id);
	case DEF_CONTEXT:
		e = set_add(&set[DEF_DB_MARKS], p, joined(m->mem, " (?:", p->expr, ") "), 0, id);
		return e < 0 ? e
			     : set_add(&set[DEF_DB_MARKS_TEXT], p, joined(m->mem, "\\b(?:", p->expr, ")\\b"),
				       0, id);
	case DEF_UNLESS:
		return set_add(&set[DEF_DB_UNLESS], p, joined(m->mem, " (?:", p->expr, ") "), 0, id);
	case DEF_WORDS:
	case DEF_ANY:
		break;
	}
	e = words_add(m, set, p, id);
	/* a pattern with a gap for any words means nothing where words have no ends */
	if (e < 0 || !u->split || strstr(p->expr, "]+") || strstr(p->expr, "[^ ]"))
		return e;
	id.padded = false;
	return set_add(&set[DEF_DB_DENSE], p, dense_of(m->mem, p->expr), 0, id);
}

static int sets_fill(struct def_matcher *m, struct set set[DEF_DBS], const struct def_rules *r)
{
	int e = 0;

	for (size_t i = 0; e == 0 && i < r->n_patterns; i++) {
		const struct def_pattern *p = &r->patterns[i];
		const struct def_rule *u = &r->rules[p->rule];
		if (!p->gone && u->enabled)
			e = pattern_add(m, set, p, u);
	}
	for (size_t i = 0; e == 0 && i < ELEMENTSOF(triggers); i++)
		e = def_sieve_turn(m->sieve, triggers[i].word, triggers[i].turn);
	return e < 0 ? e : def_sieve_seal(m->sieve);
}

/* What the rules of text have side by side; a pattern that is not understood has anything. */
static int beside_fill(struct def_matcher *m, const struct set set[DEF_DBS])
{
	struct node *nodes = def_realloc(m->mem, NULL, TREE_NODES * sizeof(*nodes));

	m->beside = def_alloc(m->mem, sizeof(*m->beside));
	for (int k = DEF_DB_TEXT; nodes && m->beside && k <= DEF_DB_TEXT_OUT; k++)
		for (size_t i = 0; i < set[k].n; i++) {
			struct node *top = def_tree_read(nodes, set[k].expr[i]);
			if (top)
				def_tree_pairs(top, m->beside);
			else
				memset(m->beside, 0xff, sizeof(*m->beside));
		}
	def_free(m->mem, nodes);
	return nodes && m->beside ? 0 : CREEL_E_NOMEM;
}

static int compile(struct def_matcher *m, int k, const struct set *s, struct creel_err *err)
{
	hs_compile_error_t *why = NULL;

	if (s->n == 0)
		return 0;
	/* for any processor of the kind, so that what one machine compiled another can load */
	hs_platform_info_t any = {.tune = HS_TUNE_FAMILY_GENERIC};
	hs_error_t e = hs_compile_multi((const char *const *)s->expr, s->flags, s->id, (unsigned)s->n,
					HS_MODE_BLOCK, &any, &m->db[k], &why);
	if (e == HS_SUCCESS)
		return 0;
	if (e == HS_NOMEM)
		return creel_err_nomem(err);
	const struct def_pattern *p = why && why->expression >= 0 ? s->from[why->expression] : NULL;
	int r = p ? creel_err_set(err, CREEL_E_INVALID, 0, "%s:%u: %s", p->file, p->line, why->message)
		  : creel_err_set(err, CREEL_E_INVALID, 0, "compile rules: %s",
				  why ? why->message : "failed");
	hs_free_compile_error(why);
	return r;
}

/* The cache: one file a set of rules. A header, then the databases as Vectorscan wrote them. */
struct head {
	char magic[16];
	char library[48];
	uint64_t hash;
	uint64_t len[DEF_DBS];
	uint64_t sum; /* FNV-1a over the databases */
};

static uint64_t fnv(uint64_t h, const uint8_t *p, size_t n)
{
	/* eight octets a step: a torn or changed file is to be found, not an enemy (he owns the folder) */
	for (; n >= 8; n -= 8, p += 8) {
		uint64_t w;
		memcpy(&w, p, 8);
		h = (h ^ w) * 0x100000001b3u;
	}
	while (n-- > 0)
		h = (h ^ *p++) * 0x100000001b3u;
	return h;
}

/* The same of megabytes: in four lanes, as a step waits for the one before. */
static uint64_t fnv_much(uint64_t h, const uint8_t *p, size_t n)
{
	uint64_t lane[4] = {h, h + 1, h + 2, h + 3};

	for (; n >= sizeof(lane); n -= sizeof(lane), p += sizeof(lane))
		for (size_t k = 0; k < ELEMENTSOF(lane); k++)
			lane[k] = fnv(lane[k], p + k * sizeof(lane[0]), sizeof(lane[0]));
	return fnv(fnv(0, (const uint8_t *)lane, sizeof(lane)), p, n);
}

static void head_make(struct head *h, uint64_t hash)
{
	*h = (struct head){.magic = "creel-rules-4", .hash = hash};
	(void)snprintf(h->library, sizeof(h->library), "%s", hs_version());
}

/* The folder, if nobody else may write into it; -1 otherwise. */
static int cache_open(const char *dir)
{
	struct stat st;
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0 &&
	    (fstat(fd, &st) < 0 || (st.st_mode & 022) || (st.st_uid != 0 && st.st_uid != geteuid()))) {
		close(fd);
		return -1;
	}
	return fd;
}

static void cache_name(char name[64], uint64_t hash)
{
	(void)snprintf(name, 64, "creel-rules-%016llx", (unsigned long long)hash);
}

static bool read_all(int fd, void *buf, size_t n)
{
	for (size_t at = 0; at < n;) {
		ssize_t k = read(fd, (char *)buf + at, n - at);
		if (k <= 0)
			return false;
		at += (size_t)k;
	}
	return true;
}

static bool write_all(int fd, const void *buf, size_t n)
{
	for (size_t at = 0; at < n;) {
		ssize_t k = write(fd, (const char *)buf + at, n - at);
		if (k < 0)
			return false;
		at += (size_t)k;
	}
	return true;
}

static bool cache_load(struct def_matcher *m, int dir, uint64_t hash)
{
	struct head want, h;
	char name[64];
	struct stat st;

	cache_name(name, hash);
	autofd int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	head_make(&want, hash);
	if (fd < 0 || fstat(fd, &st) < 0 || (st.st_uid != 0 && st.st_uid != geteuid()) ||
	    (st.st_mode & 022) || !read_all(fd, &h, sizeof(h)) ||
	    memcmp(h.magic, want.magic, sizeof(h.magic)) != 0 ||
	    memcmp(h.library, want.library, sizeof(h.library)) != 0 || h.hash != hash)
		return false;
	uint64_t size = sizeof(h), most = 0, sum = 0;
	for (int k = 0; k < DEF_DBS; k++) {
		if (h.len[k] > (1u << 30))
			return false;
		size += h.len[k];
		most = MAX(most, h.len[k]);
	}
	if ((uint64_t)st.st_size != size)
		return false;
	/* one buffer for all, not zeroed: its pages cost more than what is done with them */
	uint8_t *p = def_realloc(m->mem, NULL, most + 1);
	bool ok = p != NULL;
	for (int k = 0; ok && k < DEF_DBS; k++) {
		ok = (h.len[k] == 0) == (m->n_ids[k] == 0);
		if (!ok || h.len[k] == 0)
			continue;
		ok = read_all(fd, p, h.len[k]);
		sum = ok ? fnv_much(sum, p, h.len[k]) : sum;
		ok = ok && hs_deserialize_database((char *)p, h.len[k], &m->db[k]) == HS_SUCCESS;
	}
	ok = ok && sum == h.sum; /* before any of them is used */
	def_free(m->mem, p);
	for (int k = 0; !ok && k < DEF_DBS; k++) {
		hs_free_database(m->db[k]);
		m->db[k] = NULL;
	}
	return ok;
}

/* Keep what was compiled: a temporary, then a rename. What fails here only costs time. */
static void cache_store(const struct def_matcher *m, int dir, uint64_t hash)
{
	struct head h;
	char *data[DEF_DBS] = {NULL}, name[64], tmp[96];
	size_t len;
	bool ok = true;

	head_make(&h, hash);
	for (int k = 0; ok && k < DEF_DBS; k++) {
		len = 0;
		ok = !m->db[k] || hs_serialize_database(m->db[k], &data[k], &len) == HS_SUCCESS;
		h.len[k] = len;
		if (ok && data[k])
			h.sum = fnv_much(h.sum, (uint8_t *)data[k], len);
	}
	cache_name(name, hash);
	(void)snprintf(tmp, sizeof(tmp), "%s.%ld.%p", name, (long)getpid(), (const void *)m);
	autofd int fd = ok ? openat(dir, tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644)
			   : -1;
	if (fd >= 0) {
		ok = write_all(fd, &h, sizeof(h));
		for (int k = 0; ok && k < DEF_DBS; k++)
			ok = write_all(fd, data[k], h.len[k]);
		if (!ok || renameat(dir, tmp, dir, name) < 0)
			(void)unlinkat(dir, tmp, 0);
	}
	for (int k = 0; k < DEF_DBS; k++)
		free(data[k]); /* Vectorscan's own, by malloc */
}

int def_matcher_init(struct def_matcher *m, const struct def_rules *r, const char *cache_dir,
		     const def_mem *mem, struct creel_err *err)
{
	struct set set[DEF_DBS];

	*m = (struct def_matcher){.mem = mem};
	for (int k = 0; k < DEF_DBS; k++)
		set[k] = (struct set){.mem = mem};
	if (hs_valid_platform() != HS_SUCCESS)
		return creel_err_set(err, CREEL_E_UNSUPP, 0, "this processor lacks what Vectorscan needs");
	m->sieve = def_sieve_new(mem);
	int e = m->sieve ? sets_fill(m, set, r) : CREEL_E_NOMEM;
	if (e == 0)
		e = beside_fill(m, set);
	if (e < 0)
		creel_err_nomem(err);
	uint64_t hash = r->hash;
	for (int k = 0; e == 0 && k < DEF_DBS; k++) {
		hash = fnv(hash, (uint8_t *)&k, sizeof(k));
		/* the checksum of fnv() is 8 octets a step; each pattern has its own step */
		for (size_t i = 0; i < set[k].n; i++) {
			hash = fnv(hash, (uint8_t *)set[k].expr[i], strlen(set[k].expr[i]) + 1);
			hash = fnv(hash, (uint8_t *)&set[k].flags[i], sizeof(unsigned));
		}
		m->ids[k] = set[k].ids;
		m->n_ids[k] = set[k].n;
		set[k].ids = NULL;
		m->placer[k] = def_placer_new(mem, set[k].expr, set[k].flags, set[k].n);
		if (!m->placer[k])
			e = creel_err_nomem(err);
	}
	autofd int dir = e == 0 && cache_dir ? cache_open(cache_dir) : -1;
	if (e == 0 && !(dir >= 0 && cache_load(m, dir, hash))) {
		for (int k = 0; e == 0 && k < DEF_DBS; k++)
			e = compile(m, k, &set[k], err);
		if (e == 0 && dir >= 0)
			cache_store(m, dir, hash);
	}
	for (int k = 0; k < DEF_DBS; k++)
		set_fini(&set[k]);
	if (e < 0)
		def_matcher_fini(m);
	return e;
}

void def_matcher_fini(struct def_matcher *m)
{
	def_sieve_free(m->sieve);
	m->sieve = NULL;
	if (m->mem)
		def_free(m->mem, m->beside);
	m->beside = NULL;
	for (int k = 0; k < DEF_DBS; k++) {
		hs_free_database(m->db[k]);
		def_placer_free(m->placer[k]);
		if (m->mem)
			def_free(m->mem, m->ids[k]);
		m->placer[k] = NULL;
		m->db[k] = NULL;
		m->ids[k] = NULL;
	}
}
