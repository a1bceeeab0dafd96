#pragma once
#include <seccomp.h>
#include <stddef.h>

/*
 * Parts of a seccomp filter that allows what it does not name: for programs that are not ours (QEMU, virtiofsd,
 * slirp4netns, the tools of a build), whose calls nobody can list. sandbox.h is for our own. Each function
 * returns 0 or a negative errno, as libseccomp's do, and refuses with EPERM.
 */

/**
 * Refuse kernel code that none of them needs, and what namespaces do not divide (keyrings, clocks, swap).
 *
 * @param ret_at  the call that failed
 */
int creel_floor_kernel(scmp_filter_ctx f, const char **ret_at);
/** Refuse these, too. An unknown name is an error (-EINVAL), never passed over. */
int creel_floor_calls(scmp_filter_ctx f, const char *const *names, size_t n, const char **ret_at);
/**
 * Refuse sockets of these families. The kernel reads the low half of the argument alone: a rule that compares all
 * of it lets through a family with a bit set above.
 *
 * @param families  AF_*
 */
int creel_floor_families(scmp_filter_ctx f, const int *families, size_t n);
