#define PCRE2_CODE_UNIT_WIDTH 8
#include "place.h"
#include <pcre2.h>
#include <pthread.h>
#include <string.h>

#define STEPS 20000 /* of backtracking, then it gives up */

struct slot {
	char *expr;
	unsigned flags;
	pcre2_code *code; /* set once, under the lock */
	bool broken;
};

struct def_placer {
	const def_mem *mem;
	pcre2_general_context *general;
	pcre2_match_context *match;
	pthread_mutex_t lock;
	size_t n;
	struct slot slots[];
};

static void *pcre_alloc(PCRE2_SIZE n, void *arg)
{
	const def_mem *m = arg;
	return m->alloc(m->arg, n);
}

static void pcre_free(void *p, void *arg)
{
	def_free(arg, p);
}

struct def_placer *def_placer_new(const def_mem *mem, char **expr, const unsigned *flags, size_t n)
{
	struct def_placer *p = def_alloc(mem, sizeof(*p) + n * sizeof(p->slots[0]));

	if (!p)
		return NULL;
	p->mem = mem;
	pthread_mutex_init(&p->lock, NULL);
	p->general = pcre2_general_context_create(pcre_alloc, pcre_free, (void *)mem);
	p->match = p->general ? pcre2_match_context_create(p->general) : NULL;
	bool ok = p->match != NULL;
	for (; ok && p->n < n; p->n++) {
		p->slots[p->n].flags = flags[p->n];
		p->slots[p->n].expr = def_strndup(mem, expr[p->n], strlen(expr[p->n]));
		ok = p->slots[p->n].expr != NULL;
	}
	if (!ok) {
		def_placer_free(p);
		return NULL;
	}
	pcre2_set_match_limit(p->match, STEPS);
	pcre2_set_depth_limit(p->match, STEPS);
	return p;
}

void def_placer_free(struct def_placer *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->n; i++) {
		pcre2_code_free(p->slots[i].code);
		def_free(p->mem, p->slots[i].expr);
	}
	pcre2_match_context_free(p->match);
	pcre2_general_context_free(p->general);
	pthread_mutex_destroy(&p->lock);
	def_free(p->mem, p);
}

static const pcre2_code *code_of(struct def_placer *p, struct slot *s)
{
	int error;
	PCRE2_SIZE at;

	pthread_mutex_lock(&p->lock);
	if (!s->code && !s->broken) {
		uint32_t o = PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_DOTALL | PCRE2_NO_AUTO_CAPTURE;
		pcre2_compile_context *c = pcre2_compile_context_create(p->general);
		if (s->flags & HS_FLAG_MULTILINE)
			o |= PCRE2_MULTILINE;
		s->code = c ? pcre2_compile((PCRE2_SPTR)s->expr, PCRE2_ZERO_TERMINATED, o, &error, &at, c)
			    : NULL;
		s->broken = c && !s->code;
		pcre2_compile_context_free(c);
	}
	pthread_mutex_unlock(&p->lock);
	return s->code;
}

void *def_placer_scratch(struct def_placer *p)
{
	return pcre2_match_data_create(1, p->general);
}

void def_placer_scratch_free(void *scratch)
{
	pcre2_match_data_free(scratch);
}

size_t def_placer_start(struct def_placer *p, void *scratch, unsigned id, bool words, const uint8_t *data,
			size_t to)
{
	size_t least = to > DEF_SPAN ? to - DEF_SPAN : 0, at = to, tries = 0;
	const pcre2_code *code = code_of(p, &p->slots[id]);

	while (code && at > least) {
		at--;
		if (words ? data[at] != ' ' : (data[at] & 0xc0) == 0x80)
			continue;
		int r = pcre2_match(code, data, to, at, PCRE2_NO_UTF_CHECK, scratch, p->match);
		if (r >= 0)
			return at;
		if (r != PCRE2_ERROR_NOMATCH && ++tries > 2)
			break;
	}
	/* the word that ends here */
	for (at = to; at > least && at + 64 > to && (data[at - 1] != ' ' || at == to);)
		at--;
	return at < to ? at : to - (to > 0);
}
