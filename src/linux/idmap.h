#pragma once
#include "base/err.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { CREEL_IDMAP_COUNT = 65536 };

/*
 * The user and group ids that a user namespace of ours has (user_namespaces(7)): 0 to 65535 in it are
 * @p uid and @p gid and what follows them outside. As another user than root, that user's own id is in
 * it too, as 65536, so that what it owns can be prepared before the namespace's root takes over.
 */
struct creel_idmap {
	bool root; /* we write the maps ourselves; else newuidmap(1) and newgidmap(1) do */
	uint32_t uid, gid;
};

/**
 * Choose: as root the range that /etc/subuid and /etc/subgid give to root, or one that nothing else is
 * known to use; as another user what these files give to it.
 * @return 0, CREEL_E_DENIED (no range for this user, or no newuidmap: the message says what to do)
 */
int creel_idmap_find(struct creel_idmap *ret, struct creel_err *err);

/** Write the maps of the process @p pid, which has just made its namespace. @return 0, CREEL_E_OS,
 *  CREEL_E_CHILD (newuidmap or newgidmap refused) */
int creel_idmap_apply(const struct creel_idmap *m, pid_t pid, struct creel_err *err);

/**
 * Another map, for a monitor of another user than root: the caller's own id is 0 in it, and 1 to 65535 are
 * the range. What the namespace's root makes belongs to that user. As creel_idmap_apply() else.
 */
int creel_idmap_apply_own(const struct creel_idmap *m, pid_t pid, struct creel_err *err);

/**
 * Find the range of @p name or @p id in the text of a subuid file (subuid(5)).
 * @return its first id; 0 when there is none of CREEL_IDMAP_COUNT ids
 */
uint32_t creel_idmap_subid(const char *text, const char *name, uid_t id);
