#pragma once
#include "image/build.h"

/**
 * The image's bill of materials, as CycloneDX 1.5 (ECMA-424): every Debian package, npm package, Go
 * module and download with its version, hash and package URL (purl). The same image has the same bill.
 * @return a new object; NULL when out of memory
 */
json_t *creel_bom_make(const struct build *b, const char *id);
