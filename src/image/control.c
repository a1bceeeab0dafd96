#include "image/control.h"
#include "base/cleanup.h"
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const struct {
	const char *name;
	size_t at, size;
} fields[] = {
#define F(name, member)                                                                                   \
	{                                                                                                 \
		name, offsetof(struct creel_control, member), sizeof(((struct creel_control *)0)->member) \
	}
	F("Package:", package), F("Version:", version), F("Architecture:", arch),
	F("Source:", source),   F("SHA256:", sha256),   F("Filename:", filename),
#undef F
};

int creel_control_next(const char **at, struct creel_control *ret)
{
	const char *p = *at + strspn(*at, "\n");

	if (!*p)
		return 0;
	*ret = (struct creel_control){0};
	for (size_t n; (n = strcspn(p, "\n")) > 0; p += n + (p[n] == '\n')) {
		for (size_t i = 0; i < ELEMENTSOF(fields); i++) {
			size_t skip = strlen(fields[i].name);
			if (n < skip || strncasecmp(p, fields[i].name, skip) != 0)
				continue;
			const char *v = p + skip + strspn(p + skip, " \t");
			size_t len = n - (size_t)(v - p);
			/* a value of nothing: the blanks may lead into the next line */
			if (v > p + n)
				len = 0;
			if (len < fields[i].size)
				(void)snprintf((char *)ret + fields[i].at, fields[i].size, "%.*s", (int)len,
					       v);
		}
	}
	*at = p;
	return 1;
}
