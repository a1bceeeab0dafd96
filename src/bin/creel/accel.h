#pragma once
#include "image/image.h"
#include <stdbool.h>

/*
 * Whether this host's KVM runs guests. Found out once by booting one, and remembered in the cache until
 * the kernel, the processor or QEMU is another.
 */

/** True in @p ret_known when it was found out; @p ret_why then is one line of text. Boots nothing. */
void accel_known(bool *ret_known, bool *ret_kvm, char *ret_why, size_t size);
/** As it is known, or found out now with the image's kernel: ten seconds at most. */
int accel_kvm(const struct creel_image *image, bool *ret, struct creel_err *err);
