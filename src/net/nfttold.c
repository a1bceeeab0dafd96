#include "net/nftbatch.h"
#include <libnftnl/rule.h>
#include <stdio.h>
#include <string.h>

/* What the rules that tell of a cell have counted. */
struct telling {
	const char *chain;
	uint64_t told;
	bool seen;
};

static int rule_told(const struct nlmsghdr *h, void *ctx)
{
	struct nftnl_rule *r = nftnl_rule_alloc();
	bool whole = r && nftnl_rule_nlmsg_parse(h, r) == 0;
	struct nftnl_expr_iter *it = whole ? nftnl_expr_iter_create(r) : NULL;
	struct nftnl_expr *e;
	const char *chain = whole ? nftnl_rule_get_str(r, NFTNL_RULE_CHAIN) : NULL;
	struct telling *t = ctx;
	uint64_t counted = 0;
	bool tells = false;

	while (it && (e = nftnl_expr_iter_next(it)) != NULL) {
		const char *name = nftnl_expr_get_str(e, NFTNL_EXPR_NAME);
		if (strcmp(name, "counter") == 0)
			counted = nftnl_expr_get_u64(e, NFTNL_EXPR_CTR_PACKETS);
		tells |= strcmp(name, "log") == 0;
	}
	if (tells && chain && strcmp(chain, t->chain) == 0) {
		t->told += counted;
		t->seen = true;
	}
	if (it)
		nftnl_expr_iter_destroy(it);
	if (r)
		nftnl_rule_free(r);
	return MNL_CB_OK;
}

int creel_nft_told(struct creel_nft *nft, const char *link, uint64_t *ret, struct creel_err *err)
{
	static const char *const chains[] = {"ok", "reach", "no"}; /* of nft.c */
	struct telling t = {0};

	for (size_t i = 0; i < ELEMENTSOF(chains); i++) {
		struct nftnl_rule *r = nftnl_rule_alloc();
		char chain[32];
		if (!r)
			return creel_err_nomem(err);
		(void)snprintf(chain, sizeof(chain), "%.15s.%s", link, chains[i]);
		t.chain = chain;
		t.seen = false;
		nftnl_rule_set_str(r, NFTNL_RULE_TABLE, CREEL_NFT_TABLE);
		nftnl_rule_set_str(r, NFTNL_RULE_CHAIN, chain);
		struct nlmsghdr *h = nftnl_nlmsg_build_hdr(nft->buf, NFT_MSG_GETRULE, NFPROTO_INET,
							   NLM_F_DUMP, ++nft->seq);
		nftnl_rule_nlmsg_build_payload(h, r);
		nftnl_rule_free(r);
		int e = nftb_list(nft, h, rule_told, &t, err);
		if (e == 0 && !t.seen) /* a chain that is not there has no rules, and no error */
			e = creel_err_set(err, CREEL_E_NOTFOUND, 0, "nothing in it tells");
		if (e < 0)
			return creel_err_add(err, "chain %s", chain);
	}
	*ret = t.told;
	return 0;
}
