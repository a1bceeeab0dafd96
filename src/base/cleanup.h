#pragma once
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/*
 * Scope-bound ownership. Initialise where declared; no goto across a declaration. A value leaves
 * its scope by steal_fd() or steal_ptr(), once nothing can fail any more.
 */
static inline void creel_cleanup_fd(const int *fd)
{
	if (*fd >= 0)
		close(*fd); /* once only: the number is free even on EINTR */
}
static inline void creel_cleanup_free(void *p)
{
	free(*(void **)p);
}
static inline void creel_cleanup_file(FILE **f)
{
	if (*f)
		fclose(*f);
}
static inline void creel_cleanup_dir(DIR **d)
{
	if (*d)
		closedir(*d);
}

#define autofd   __attribute__((cleanup(creel_cleanup_fd)))
#define autofree __attribute__((cleanup(creel_cleanup_free)))
#define autofile __attribute__((cleanup(creel_cleanup_file)))
#define autodir  __attribute__((cleanup(creel_cleanup_dir)))

/** Declare `auto_NAME`'s cleanup: CREEL_DEFINE_CLEANUP(struct creel_buf, creel_buf_fini) */
#define CREEL_DEFINE_CLEANUP(type, fn)           \
	static inline void fn##_cleanup(type *p) \
	{                                        \
		fn(p);                           \
	}
#define autoclean(fn) __attribute__((cleanup(fn##_cleanup)))

static inline int steal_fd(int *fd)
{
	int r = *fd;
	*fd = -1;
	return r;
}
#define steal_ptr(pp)                               \
	({                                          \
		__typeof__(*(pp)) steal_p_ = *(pp); \
		*(pp) = NULL;                       \
		steal_p_;                           \
	})

#define ELEMENTSOF(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)                                  \
	({                                         \
		__typeof__(a) min_a_ = (a);        \
		__typeof__(b) min_b_ = (b);        \
		min_a_ < min_b_ ? min_a_ : min_b_; \
	})
#define MAX(a, b)                                  \
	({                                         \
		__typeof__(a) max_a_ = (a);        \
		__typeof__(b) max_b_ = (b);        \
		max_a_ > max_b_ ? max_a_ : max_b_; \
	})
