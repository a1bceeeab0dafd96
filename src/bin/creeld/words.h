#pragma once
#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* A program's arguments, put together; what does not fit is said once, by words_ok(). */
enum { WORDS = 240 };

struct words {
	const char *v[WORDS + 1];
	size_t n;
	char store[8192];
	size_t used;
};

void word(struct words *w, const char *s);
void wordf(struct words *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int words_ok(const struct words *w, struct creel_err *err);
/** creel-jail up to the program's own binds: who it is, which descriptors stay, the libraries. */
void jail_words(struct words *w, uid_t uid, int last_fd, bool devices);
/** What QEMU reads beside its program: firmware. */
void qemu_words(struct words *w, const char *program);
/** The machine may use KVM. */
void kvm_words(struct words *w);
