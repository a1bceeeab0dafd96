#include "base/cleanup.h"
#include "config/node.h"
#include "image/install.h"
#include "image/proxy.h"
#include "image/tree.h"
#include "step.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

/* @proxy LISTEN-FD COUNTER-FD HOST... */
static int proxy(char **argv, struct creel_err *err)
{
	static struct creel_proxy_host hosts[CREEL_PROXY_HOSTS];
	size_t n = 0;
	int r = 0;

	for (char **p = argv + 3; r == 0 && *p; p++)
		r = n == CREEL_PROXY_HOSTS
			    ? creel_err_set(err, CREEL_E_TOOBIG, 0, "over %d registries", CREEL_PROXY_HOSTS)
			    : creel_proxy_host_parse(*p, &hosts[n++], err);
	if (r < 0)
		return r;
	void *counter = mmap(NULL, sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED, atoi(argv[2]), 0);
	return creel_proxy_serve(atoi(argv[1]), hosts, n, counter == MAP_FAILED ? NULL : counter, err);
}

/* @install NAME: what the recipe at /in/recipe.yaml adds to /work/root; sources are /in/files/N */
static int install(char **argv, struct creel_err *err)
{
	struct creel_diags autoclean(creel_diags_fini) diags = {0};
	struct creel_recipe autoclean(creel_recipe_fini) recipe = {0};
	autofd int in = open("/in", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autofd int root = open("/work/root", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (in < 0 || root < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "open /in and /work/root");
	struct creel_buf autoclean(creel_buf_fini) text;
	creel_buf_init(&text, CREEL_YAML_MAX_OCTETS);
	int r = creel_tree_read("/in/recipe.yaml", &text, err);
	/* no folder: its sources do not lie beside it here, and were checked where they do */
	if (r == 0)
		r = creel_recipe_load(creel_buf_str(&text), text.len, "recipe.yaml", -1, &recipe, &diags,
				      err);
	return r < 0 ? r : creel_install(root, in, argv[1], &recipe, err);
}

int step_action(char **argv, struct creel_err *err)
{
	int argc = 0;

	while (argv[argc])
		argc++;
	if (strcmp(argv[0], "@proxy") == 0 && argc >= 3)
		return proxy(argv, err);
	if (strcmp(argv[0], "@install") == 0 && argc == 2)
		return install(argv, err);
	return creel_err_set(err, CREEL_E_USAGE, 0, "unknown action %s", argv[0]);
}
