#pragma once
#include <stddef.h>

/** One paragraph of a Debian control file (deb822(5)), of which these fields are of use; what is longer
 *  than its place is left empty. */
struct creel_control {
	char package[128], version[128], arch[32], source[160], sha256[65], filename[512];
};

/**
 * Read the next paragraph.
 * @param at  in and out: where it begins; untrusted
 * @return 1, or 0 at the end
 */
int creel_control_next(const char **at, struct creel_control *ret);
