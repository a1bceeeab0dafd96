#include "words.h"
#include "base/cleanup.h"
#include "monitor.h"
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

void word(struct words *w, const char *s)
{
	if (w->n < WORDS)
		w->v[w->n++] = s;
}

void wordf(struct words *w, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(w->store + w->used, sizeof(w->store) - w->used, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(w->store) - w->used)
		return; /* seen by words_ok() */
	word(w, w->store + w->used);
	w->used += (size_t)n + 1;
}

int words_ok(const struct words *w, struct creel_err *err)
{
	if (w->n >= WORDS || w->used + 1024 >= sizeof(w->store))
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "too many arguments for the jail");
	return 0;
}

void jail_words(struct words *w, uid_t uid, int last_fd, bool devices)
{
	static const char *const libs[] = {"/lib", "/lib64", "/usr/lib"};

	word(w, mon.jail_path);
	word(w, "--uid");
	wordf(w, "%u", uid);
	word(w, "--gid");
	wordf(w, "%u", uid);
	word(w, "--last-fd");
	wordf(w, "%d", last_fd);
	if (devices)
		word(w, "--devices");
	for (size_t i = 0; i < ELEMENTSOF(libs); i++)
		if (access(libs[i], F_OK) == 0) {
			word(w, "--bind-exec");
			word(w, libs[i]);
		}
}

void qemu_words(struct words *w, const char *program)
{
	static const char *const data[] = {"/usr/share/qemu", "/usr/share/seabios"};

	word(w, "--bind-exec");
	word(w, program);
	for (size_t i = 0; i < ELEMENTSOF(data); i++)
		if (access(data[i], F_OK) == 0) {
			word(w, "--bind");
			word(w, data[i]);
		}
}

void kvm_words(struct words *w)
{
	if (!mon.rootless) {
		word(w, "--kvm");
		return;
	}
	/* no node can be made in a user namespace: it is the host's, which the jail's user must be let open */
	word(w, "--device");
	word(w, "/dev/kvm");
}
