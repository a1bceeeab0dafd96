#include "vmm/vmm.h"
#include <stdarg.h>
#include <string.h>

void creel_vmm_argv_init(struct creel_vmm_argv *a)
{
	*a = (struct creel_vmm_argv){0};
	creel_buf_init(&a->text, 65536);
}

void creel_vmm_argv_fini(struct creel_vmm_argv *a)
{
	if (a)
		creel_buf_fini(&a->text);
}

int creel_vmm_word(struct creel_vmm_argv *a, struct creel_err *err, const char *fmt, ...)
{
	char word[1024];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(word, sizeof(word), fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(word) || a->n + 1 >= ELEMENTSOF(a->words))
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "too many or too long arguments");
	int r = creel_buf_add(&a->text, word, (size_t)n + 1, err);
	if (r == 0)
		a->n++;
	return r;
}

void creel_vmm_argv_end(struct creel_vmm_argv *a)
{
	const char *p = (const char *)a->text.data;

	for (size_t i = 0; i < a->n; i++, p += strlen(p) + 1)
		a->words[i] = p;
	a->words[a->n] = NULL;
}

const struct creel_vmm_ops *creel_vmm_find(const char *name)
{
	static const struct creel_vmm_ops *const all[] = {&creel_vmm_qemu, &creel_vmm_standin};

	for (size_t i = 0; i < ELEMENTSOF(all); i++)
		if (strcmp(all[i]->name, name) == 0)
			return all[i];
	return NULL;
}
