/* scan-file FILE: print FILE without what was found in it; exit 3 when it is to be blocked.
 * cc sample.c $(pkg-config --cflags --libs creel-defender) */
#include <creel/defender.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
	static char text[1 << 20];
	struct creel_defender_error err = {0};
	struct creel_defender *d = NULL;
	struct creel_defender_result *r = NULL;
	const struct creel_defender_finding *f;
	FILE *file = argc == 2 ? fopen(argv[1], "r") : NULL;
	size_t len = file ? fread(text, 1, sizeof(text), file) : 0, n, i;

	if (!file || creel_defender_new(NULL, &d, &err) < 0 ||
	    creel_defender_scan(d, text, len, NULL, &r, &err) < 0) {
		fprintf(stderr, "%s\n", file ? err.msg : "usage: scan-file FILE");
		return 1;
	}
	n = creel_defender_result_findings(r, &f);
	for (i = 0; i < n; i++)
		fprintf(stderr, "%s at %zu\n", f[i].rule, f[i].from);
	fwrite(creel_defender_result_sanitized(r, &len), 1, len, stdout);
	i = creel_defender_result_action(r) == CREEL_DEFENDER_BLOCK ? 3 : 0;
	creel_defender_result_free(r);
	creel_defender_free(d);
	return (int)i;
}
