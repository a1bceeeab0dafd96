#pragma once
#include "base/buf.h"

/** Read a whole file; the buffer's maximum bounds it. */
int creel_tree_read(const char *path, struct creel_buf *out, struct creel_err *err);
/** Write a new file (0644) and sync it. */
int creel_tree_write(const char *path, const void *data, size_t len, struct creel_err *err);
/** mkdir -p, 0755. */
int creel_tree_mkdirs(const char *path, struct creel_err *err);
/** rm -rf: follows no link, leaves no other file system; one that is missing is no error. */
int creel_tree_remove(const char *path, struct creel_err *err);
