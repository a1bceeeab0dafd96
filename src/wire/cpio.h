#pragma once
#include "base/buf.h"

/*
 * The "newc" cpio archive (kernel: Documentation/driver-api/early-userspace/buffer-format.rst), as
 * the kernel unpacks it into its root file system. Deterministic: owner root, time 0, inode numbers
 * in order of the calls. Several archives may follow each other when each starts on a multiple of
 * four octets, which creel_cpio_end() sees to.
 */
struct creel_cpio {
	struct creel_buf *out; /* borrowed */
	uint32_t ino;
};

void creel_cpio_begin(struct creel_cpio *c, struct creel_buf *out);

/**
 * Append one member. Parents must have been appended before.
 *
 * @param name  path without a leading slash, 1..4095 octets, no NUL
 * @param mode  type and permissions: S_IFREG | 0644, S_IFDIR | 0755, S_IFLNK | 0777
 * @param data  content, or a link's target; NULL when @p len is 0
 * @param len   octets in @p data, below 4 GiB
 * @return 0, CREEL_E_INVALID, CREEL_E_TOOBIG, CREEL_E_NOMEM
 */
int creel_cpio_add(struct creel_cpio *c, const char *name, uint32_t mode, const void *data, size_t len,
		   struct creel_err *err);

/** Append a character device. */
int creel_cpio_add_chrdev(struct creel_cpio *c, const char *name, uint32_t mode, unsigned major,
			  unsigned minor, struct creel_err *err);

/** Append the trailer and pad to four octets. */
int creel_cpio_end(struct creel_cpio *c, struct creel_err *err);
