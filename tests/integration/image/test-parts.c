#include "base/cleanup.h"
#include "image/build.h"
#include "image/tree.h"
#include "tests/cmocka-all.h"
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

/*
 * The parts `go:` and `url:` of a build, as the real steps, with what they fetch played on the loopback
 * of a network namespace of the test's own (parts.py).
 */
static char dir[] = "/tmp/creel-parts.XXXXXX";
static pid_t server;
static int go_port, tls_port;
static struct creel_err err;

/* A build of one recipe with nothing in its tree. */
struct world {
	struct creel_recipe recipe;
	struct creel_image_spec spec;
	struct creel_image_env env;
	struct creel_buf tail;
	char cache[128];
	struct build b;
};

static void begin(struct world *w, const char *text)
{
	struct creel_diags diags = {0};

	*w = (struct world){.spec = {.name = "./parts.yaml", .recipe = &w->recipe, .dirfd = -1}};
	creel_buf_init(&w->tail, 16384);
	err = (struct creel_err){0};
	if (creel_recipe_load(text, strlen(text), "parts.yaml", -1, &w->recipe, &diags, &err) < 0)
		fail_msg("%s", diags.n ? diags.v[0].msg : err.msg);
	(void)snprintf(w->cache, sizeof(w->cache), "%s/cache", dir);
	w->env = (struct creel_image_env){.cache = w->cache, .step_path = getenv("CREEL_TEST_STEP")};
	w->b = (struct build){
		.spec = &w->spec, .env = &w->env, .lock_fd = -1, .counter_fd = -1, .tail = &w->tail};
	(void)snprintf(w->b.tmp, sizeof(w->b.tmp), "%s/building", dir);
	w->b.lock = json_object();
	w->b.bom = json_object();
	assert_int_equal(creel_idmap_find(&w->b.ids, &err), 0);
	assert_int_equal(build_prepare(&w->b, &err), 0);
}

static void finish(struct world *w)
{
	json_decref(w->b.lock);
	json_decref(w->b.bom);
	creel_buf_fini(&w->tail);
	creel_recipe_fini(&w->recipe);
}

static void wanted(struct world *w, int r, int want, const char *needle)
{
	if (r != want || (needle && !strstr(err.msg, needle) && !strstr(creel_buf_str(&w->tail), needle)))
		fail_msg("%d, wanted %d and '%s': %s\n%s", r, want, needle ? needle : "", err.msg,
			 creel_buf_str(&w->tail));
}

static const char go_recipe[] = "version: 1\ngo: [example.test/tool@v1.0.0]\n";

static void a_program_of_go(void **state)
{
	struct creel_buf autoclean(creel_buf_fini) file;
	struct world w;

	creel_buf_init(&file, 16 << 20);
	begin(&w, go_recipe);
	wanted(&w, build_go(&w.b, &err), 0, NULL);
	assert_int_equal(build_read(&w.b, "root/usr/local/bin/tool", &file, &err), 0);
	assert_true(file.len > 100000 && memcmp(file.data, "\177ELF", 4) == 0);
	/* no program interpreter: it is static */
	assert_null(memmem(file.data, file.len, "/lib64/ld-linux", 15));
	json_t *go = json_object_get(w.b.lock, "go"), *p = json_array_get(json_object_get(go, "programs"), 0);
	assert_string_equal(json_string_value(json_object_get(p, "program")), "tool");
	assert_string_equal(json_string_value(json_object_get(p, "module")), "example.test/tool");
	assert_string_equal(json_string_value(json_object_get(p, "version")), "v1.0.0");
	assert_int_equal(strncmp(json_string_value(json_object_get(p, "sum")), "h1:", 3), 0);
	json_t *lock = json_deep_copy(go);
	finish(&w);

	/* by the lock: the same octets; another sum or another Go is refused */
	struct creel_buf autoclean(creel_buf_fini) again;
	creel_buf_init(&again, 16 << 20);
	begin(&w, go_recipe);
	w.b.pinned = true;
	(void)json_object_set(w.b.lock, "go", lock);
	wanted(&w, build_go(&w.b, &err), 0, NULL);
	assert_int_equal(build_read(&w.b, "root/usr/local/bin/tool", &again, &err), 0);
	assert_int_equal(again.len, file.len);
	assert_memory_equal(again.data, file.data, file.len);
	p = json_array_get(json_object_get(lock, "programs"), 0);
	(void)json_object_set_new(p, "sum", json_string("h1:other"));
	finish(&w);
	begin(&w, go_recipe);
	w.b.pinned = true;
	(void)json_object_set(w.b.lock, "go", lock);
	wanted(&w, build_go(&w.b, &err), CREEL_E_BROKEN, "creel.lock");
	(void)json_object_set_new(lock, "toolchain", json_string("go1.1"));
	err = (struct creel_err){0};
	wanted(&w, build_go(&w.b, &err), CREEL_E_NOTFOUND, "go1.1");
	finish(&w);
	json_decref(lock);
	begin(&w, "version: 1\ngo: [example.test/none@v1.0.0]\n");
	wanted(&w, build_go(&w.b, &err), CREEL_E_CHILD, "example.test/none");
	finish(&w);
}

static void sha256(const void *data, size_t len, char hex[65])
{
	uint8_t sum[32];

	crypto_hash_sha256(sum, data, len);
	(void)sodium_bin2hex(hex, 65, sum, sizeof(sum));
}

static void downloads(void **state)
{
	struct creel_buf autoclean(creel_buf_fini) tar, autoclean(creel_buf_fini) got;
	char text[1024], hello[65], archive[65];
	struct world w;

	creel_buf_init(&tar, 65536);
	creel_buf_init(&got, 65536);
	(void)snprintf(text, sizeof(text), "%s/tar", dir);
	assert_int_equal(creel_tree_read(text, &tar, &err), 0);
	sha256("hello\n", 6, hello);
	sha256(tar.data, tar.len, archive);
	(void)snprintf(text, sizeof(text),
		       "version: 1\nurl:\n"
		       "  /opt/file: { url: \"https://localhost:%d/file\", sha256: %s }\n"
		       "  /opt/tree: { url: \"https://localhost:%d/tar\", sha256: %s, unpack: true }\n",
		       tls_port, hello, tls_port, archive);
	begin(&w, text);
	wanted(&w, build_url(&w.b, &err), 0, NULL);
	assert_int_equal(build_read(&w.b, "root/opt/tree/in/it", &got, &err), 0);
	assert_string_equal(creel_buf_str(&got), "inside");
	(void)snprintf(text, sizeof(text), "%s/building/in/url-0", dir);
	creel_buf_clear(&got);
	assert_int_equal(creel_tree_read(text, &got, &err), 0);
	assert_string_equal(creel_buf_str(&got), "hello\n");
	finish(&w);

	/* not what it must be: what came is told */
	(void)snprintf(text, sizeof(text),
		       "version: 1\nurl:\n  /opt/file: { url: \"https://localhost:%d/file\", sha256: %s }\n",
		       tls_port, archive);
	begin(&w, text);
	wanted(&w, build_url(&w.b, &err), CREEL_E_BROKEN, hello);
	finish(&w);
	/* a redirection to a host that the recipe does not name */
	(void)snprintf(text, sizeof(text),
		       "version: 1\nurl:\n  /opt/file: { url: \"https://localhost:%d/away\", sha256: %s }\n",
		       tls_port, hello);
	begin(&w, text);
	wanted(&w, build_url(&w.b, &err), CREEL_E_CHILD,
	       "elsewhere.invalid:443: is no registry of this build");
	finish(&w);
}

static int run(const char *const *argv, const char *out)
{
	pid_t pid = fork();
	int ws = 0;

	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		int fd = open(out, O_WRONLY | O_CREAT | O_TRUNC, 0600);
		if (chdir(dir) < 0 || dup2(fd, 1) < 0 || dup2(open("/dev/null", O_WRONLY), 2) < 0)
			_exit(127);
		execvp(argv[0], (char **)argv);
		_exit(127);
	}
	if (strcmp(argv[0], "python3") == 0)
		return pid;
	return waitpid(pid, &ws, 0) == pid ? ws : -1;
}

static int setup(void **state)
{
	struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	char path[128], text[64] = "";

	autofd int s = unshare(CLONE_NEWNET) < 0 ? -1 : socket(AF_INET, SOCK_DGRAM, 0);
	if (ioctl(s, SIOCSIFFLAGS, &lo) < 0 || !mkdtemp(dir))
		return -1;
	if (run((const char *const[]){"openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout",
				      "key.pem", "-out", "cert.pem", "-days", "2", "-subj", "/CN=localhost",
				      "-addext", "subjectAltName=DNS:localhost", NULL},
		"/dev/null") != 0)
		return -1;
	(void)snprintf(path, sizeof(path), "%s/ports", dir);
	server = run((const char *const[]){"python3", getenv("CREEL_TEST_PARTS"), dir, NULL}, path);
	for (int i = 0; i < 600 && !strchr(text, '\n'); i++) {
		autofd int fd = open(path, O_RDONLY);
		ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
		text[n > 0 ? n : 0] = '\0';
		(void)usleep(100000);
	}
	if (sscanf(text, "%d %d", &go_port, &tls_port) != 2)
		return -1;
	static const char *const none[] = {"http_proxy",  "https_proxy", "HTTP_PROXY",
					   "HTTPS_PROXY", "all_proxy",   "ALL_PROXY",
					   "GOPRIVATE",   "GONOPROXY",   "GOFLAGS"};
	for (size_t i = 0; i < ELEMENTSOF(none); i++)
		unsetenv(none[i]);
	/* Go asks no proxy for what is on its own loopback */
	if (run((const char *const[]){"ip", "address", "add", "192.0.2.1/32", "dev", "lo", NULL},
		"/dev/null") != 0)
		return -1;
	(void)snprintf(text, sizeof(text), "http://192.0.2.1:%d", go_port);
	setenv("GOPROXY", text, 1);
	setenv("GOSUMDB", "off", 1);
	(void)snprintf(path, sizeof(path), "%s/cert.pem", dir);
	setenv("SSL_CERT_FILE", path, 1);
	return 0;
}

static int teardown(void **state)
{
	if (server > 0) {
		kill(server, SIGKILL);
		waitpid(server, NULL, 0);
	}
	return creel_tree_remove(dir, &err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(downloads),
		cmocka_unit_test(a_program_of_go),
	};

	if (geteuid() != 0) {
		puts("1..0 # SKIP needs root");
		return 0;
	}
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
