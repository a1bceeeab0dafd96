/* defender-compile DIR: compile the built-in rules once and keep them in DIR (tests load them). */
#include "creel/defender.h"
#include <stdio.h>
#include <sys/stat.h>

int main(int argc, char **argv)
{
	struct creel_defender_options o = {.size = sizeof(o), .no_builtin_model = 1};
	struct creel_defender_error err;
	struct creel_defender *d;

	if (argc != 2)
		return 2;
	(void)mkdir(argv[1], 0755);
	(void)chmod(argv[1], 0755);
	o.cache_dir = argv[1];
	if (creel_defender_new(&o, &d, &err) < 0) {
		fprintf(stderr, "defender-compile: %s\n", err.msg);
		return 1;
	}
	creel_defender_free(d);
	puts("ok");
	return 0;
}
