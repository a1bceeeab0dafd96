#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * What a host can do, in rows. What stands in files is read below a folder, so that a test can give a
 * recorded tree; what has to be tried (a device opened, a namespace made, a guest booted, a program
 * asked its version) is tried before, and is a struct of answers here.
 */
enum doctor_verdict { DOCTOR_YES, DOCTOR_NO, DOCTOR_MAYBE };

enum { DOCTOR_TOOL_NFT = 5, DOCTOR_TOOL_SLIRP, DOCTOR_TOOL_NEWUIDMAP, DOCTOR_TOOLS };

/* What this host's own firewall does to what cells send out: it is forwarded, as root. */
struct doctor_wall {
	bool known;            /* the rules could be read */
	bool legacy;           /* there are rules of iptables-legacy, which were not */
	size_t n_drops, n_let; /* chains that drop it; that would, but have rules for creel-* */
	bool iptables,
		docker; /* of the first that drops: it is iptables'; it has Docker's chain for its user */
	char family[8], table[64], chain[64];
};

struct doctor_live {
	uid_t uid;
	char user[64];
	int kvm; /* of opening /dev/kvm: 0 or an errno; so are the next ones */
	int tun;
	int userns; /* of making a user and a network namespace */
	struct doctor_wall wall;
	int nft;   /* of a question to nf_tables in them */
	int audit; /* of a question to the kernel's audit */
	bool audit_on, audit_locked;
	int fanotify;             /* of making one */
	bool kvm_known, kvm_runs; /* a guest was booted under it */
	char kvm_why[160];
	bool image; /* the base image is in the cache: a guest could be booted */
	char cache[512];
	unsigned long long disk_mib;     /* free there */
	char versions[DOCTOR_TOOLS][48]; /* of doctor_tools[], "" when not there or not known */
};

struct doctor_tool {
	const char *name, *paths[4], *package, *what;
	bool required;
};
extern const struct doctor_tool doctor_tools[DOCTOR_TOOLS];

struct doctor_finding {
	const char *check;
	bool required; /* a "no" is an answer of 3 */
	enum doctor_verdict verdict;
	char detail[240];
	char advice[320]; /* "" with a yes */
};

enum { DOCTOR_ROWS = 16 + DOCTOR_TOOLS };

/** @param root  "" or a recorded tree's folder. @return how many of @p ret were filled */
size_t doctor_look(const char *root, const struct doctor_live *live, struct doctor_finding ret[DOCTOR_ROWS]);

/** Where the tool is below @p root; NULL: nowhere. @p buf holds the answer */
const char *doctor_tool_find(const char *root, const struct doctor_tool *tool, char *buf, size_t size);

/** @param text  what `nft -j list ruleset` printed. @return ret->known */
bool doctor_wall_read(const char *text, size_t len, struct doctor_wall *ret);

/** Try everything on this host. Boots a guest once, for ten seconds at most, when it can. */
void doctor_try(struct doctor_live *ret);

/**
 * Do what is safe about a finding that is no yes: load a module, make a folder, forget an old answer.
 * Never a package, a setting of the kernel, a user or a group.
 *
 * @param ret  what was done, in words
 * @return true: something was done, so it is worth looking again
 */
bool doctor_fix(const struct doctor_finding *f, const struct doctor_live *live, char *ret, size_t size);
