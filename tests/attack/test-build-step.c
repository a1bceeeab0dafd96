#include "base/cleanup.h"
#include "image/build.h"
#include "image/tree.h"
#include "tests/cmocka-all.h"
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

/*
 * Wall: creel-step. Attack: the install script of an npm package that a recipe names. The twin runs the
 * same script as whoever builds, without the step, where each try must work, or the test could not see.
 * All of it in a network namespace of the test's own, with a registry played on its loopback.
 */
static char dir[] = "/tmp/creel-attack.XXXXXX";
static pid_t victim, registry;
static struct creel_err err;

static const char plain_recipe[] = "version: 1\nnpm: [evil@1.0.0]\n",
		  script_recipe[] = "version: 1\nnpm: [evil@1.0.0]\nnpm_scripts: [evil]\n";

static char *path_of(const char *name)
{
	static char path[8][512];
	static size_t at;

	at = (at + 1) % 8;
	(void)snprintf(path[at], sizeof(path[at]), "%s/%s", dir, name);
	return path[at];
}

static void file_make(const char *name, const char *text)
{
	assert_int_equal(creel_tree_write(path_of(name), text, strlen(text), &err), 0);
}

static pid_t spawn(const char *const *argv, const char *cwd, const char *out)
{
	pid_t pid = fork();

	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		int fd = open(out, O_WRONLY | O_CREAT | O_TRUNC, 0600);
		if (chdir(cwd) < 0 || dup2(fd, 1) < 0)
			_exit(127);
		execvp(argv[0], (char **)argv);
		_exit(127);
	}
	return pid;
}

static int setup(void **state)
{
	struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	char pid[16], text[256], port[16] = "";

	if (unshare(CLONE_NEWNET) < 0)
		return -1;
	autofd int s = socket(AF_INET, SOCK_DGRAM, 0);
	if (ioctl(s, SIOCSIFFLAGS, &lo) < 0 || !mkdtemp(dir))
		return -1;
	(void)mkdir(path_of("home"), 0700);
	(void)mkdir(path_of("cache"), 0755);
	file_make("home/marker", "creel-marker\n");
	setenv("HOME", path_of("home"), 1);
	setenv("CREEL_MARKER", "creel-marker", 1);
	static const char *const none[] = {"http_proxy", "https_proxy", "HTTP_PROXY",         "HTTPS_PROXY",
					   "all_proxy",  "ALL_PROXY",   "npm_config_registry"};
	for (size_t i = 0; i < ELEMENTSOF(none); i++)
		unsetenv(none[i]);
	victim = spawn((const char *const[]){"sleep", "1000", NULL}, "/", "/dev/null");
	(void)snprintf(pid, sizeof(pid), "%d", (int)victim);
	registry = spawn((const char *const[]){"python3", getenv("CREEL_TEST_REGISTRY"), path_of("home"),
					       path_of("home/marker"), pid, NULL},
			 "/", path_of("port"));
	for (int i = 0; i < 600 && !strchr(port, '\n'); i++) {
		autofd int fd = open(path_of("port"), O_RDONLY);
		ssize_t n = fd < 0 ? 0 : read(fd, port, sizeof(port) - 1);
		port[n > 0 ? n : 0] = '\0';
		(void)usleep(100000);
	}
	(void)snprintf(text, sizeof(text), "registry=http://127.0.0.1:%d/\n", atoi(port));
	file_make("home/.npmrc", text);
	return atoi(port) > 0 ? 0 : -1;
}

static int teardown(void **state)
{
	kill(victim, SIGKILL);
	kill(registry, SIGKILL);
	waitpid(victim, NULL, 0);
	waitpid(registry, NULL, 0);
	return creel_tree_remove(dir, &err);
}

/* The part of a build that npm is, with nothing else in the tree. @return what the script wrote, or "" */
static const char *npm_build(const char *text)
{
	static struct creel_buf got;
	struct creel_buf tail;
	struct creel_diags diags = {0};
	struct creel_recipe recipe = {0};
	struct creel_image_spec spec = {.name = "./attack.yaml", .recipe = &recipe, .dirfd = -1};
	struct creel_image_env env = {.cache = path_of("cache"), .step_path = getenv("CREEL_TEST_STEP")};
	struct build b = {.spec = &spec, .env = &env, .lock_fd = -1, .counter_fd = -1, .tail = &tail};
	struct creel_err missing = {0};

	creel_buf_init(&tail, 8192);
	creel_buf_init(&got, 8192);
	assert_int_equal(creel_recipe_load(text, strlen(text), "attack.yaml", -1, &recipe, &diags, &err), 0);
	(void)snprintf(b.tmp, sizeof(b.tmp), "%s", path_of("building"));
	b.lock = json_object();
	b.bom = json_object();
	if (creel_idmap_find(&b.ids, &err) < 0 || build_prepare(&b, &err) < 0 || build_npm(&b, &err) < 0)
		fail_msg("%s\n%s", err.msg, creel_buf_str(&tail));
	(void)build_read(&b, "root/opt/npm/node_modules/evil/result", &got, &missing);
	assert_int_equal(build_read(&b, "root/opt/npm/node_modules/evil/package.json", &tail, &err), 0);
	json_decref(b.lock);
	json_decref(b.bom);
	creel_buf_fini(&tail);
	creel_recipe_fini(&recipe);
	return creel_buf_str(&got);
}

static void unnamed_scripts_do_not_run(void **state)
{
	assert_string_equal(npm_build(plain_recipe), "");
}

static void confined(void **state)
{
	struct creel_buf autoclean(creel_buf_fini) free_text;
	int tries = 0;

	creel_buf_init(&free_text, 8192);
	pid_t twin = spawn((const char *const[]){"node", "attack.js", path_of("free"), NULL}, path_of("home"),
			   "/dev/null");
	assert_int_equal(waitpid(twin, NULL, 0), twin);
	assert_int_equal(creel_tree_read(path_of("free"), &free_text, &err), 0);
	(void)unlink(path_of("home/planted"));
	const char *jailed = npm_build(script_recipe);
	assert_int_not_equal(jailed[0], '\0');
	for (char *save = NULL, *line = strtok_r((char *)free_text.data, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		char want[128];
		if (strncmp(line, "got ", 4) != 0)
			fail_msg("the twin: %s: this test is blind", line);
		/* the one thing that a named script may have */
		bool may = strcmp(line + 4, "the registry") == 0;
		(void)snprintf(want, sizeof(want), "%s%s\n", may ? "got " : "no ", line + 4);
		if (!strstr(jailed, want))
			fail_msg("wanted %sin:\n%s", want, jailed);
		tries++;
	}
	assert_int_equal(tries, 12);
	assert_int_equal(access(path_of("home/planted"), F_OK), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unnamed_scripts_do_not_run),
		cmocka_unit_test(confined),
	};

	if (geteuid() != 0) {
		puts("1..0 # SKIP needs root");
		return 0;
	}
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
