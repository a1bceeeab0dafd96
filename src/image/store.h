#pragma once
#include "image/build.h"

/* The cache's folders: images, refs, building. Within src/image only. */

/** Wait for the other builder; its lock is ours until the descriptor and those of our steps are closed. */
int store_lock(const char *cache, struct creel_err *err);
/** Fill dir from id. @return is it there? */
bool store_has(const char *cache, struct creel_image *image);
/** @return 0, CREEL_E_NOTFOUND. Nothing is said: one that is not there is the usual case. */
int store_ref_read(const char *cache, const char *key, char ret_id[65]);
int store_ref_write(const char *cache, const char *key, const char *id, struct creel_err *err);
/** Note that the image is used now: what was used last is pruned last. */
void store_used(const struct creel_image *image);
/** Remove what an earlier build left, whoever owns it. */
int store_clear(struct build *b, struct creel_err *err);
/** Give TMP/out the manifest, the lock, the bill of materials, and its name; one that is there stays. */
int store_publish(struct build *b, struct creel_image *image, struct creel_err *err);
