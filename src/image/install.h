#pragma once
#include "base/buf.h"
#include "config/recipe.h"

/*
 * What a recipe adds to a Debian tree: users and files. The tree holds what packages brought, links
 * too: paths are resolved as if it were the root (openat2(2), RESOLVE_IN_ROOT), so none leads out.
 */

/** @param root  the tree's root. Users are appended to passwd, group and shadow. */
int creel_install_users(int root, const struct creel_recipe *r, struct creel_err *err);
/** Files outside of /persist: those in a volume are the guest's to write at its start.
 *  @param dirfd  the recipe's folder, for `source:`; -1: there is none */
int creel_install_files(int root, int dirfd, const struct creel_recipe *r, struct creel_err *err);
/** Link the programs of the npm packages named in the recipe into /usr/local/bin. */
int creel_install_npm_links(int root, const struct creel_recipe *r, struct creel_err *err);
/**
 * What OpenClaw's package needs in a read-only image. Its install script removes files that an older
 * installation left, of which a new tree has none, and then the mark that it has not run: the mark is
 * removed here. And OpenClaw gives a worker thread five seconds to start, which an emulated machine takes at times: the
 * gateway then ends. Make it a minute, in every file that has the limit.
 * @return 0, CREEL_E_NOTFOUND (this version has it nowhere: look again before going on)
 */
int creel_install_openclaw(int root, struct creel_err *err);
/** Whole file from the tree. */
int creel_install_read(int root, const char *path, struct creel_buf *out, struct creel_err *err);
