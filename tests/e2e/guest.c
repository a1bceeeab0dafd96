#include "tests/e2e/guest.h"
#include "tests/cmocka-all.h"
#include "wire/cpio.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

uint64_t guest_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static struct guest_stream *find(struct guest *g, uint16_t id)
{
	return g->streams[id % CREEL_MUX_STREAMS];
}

static void on_hello(void *ctx, uint16_t version)
{
}

static void on_control(void *ctx, const uint8_t *msg, size_t len)
{
	struct creel_err err = {0};
	struct guest *g = ctx;
	struct creel_ctl c;
	size_t n;

	assert_int_equal(creel_ctl_decode(msg, len, &c, &err), 0);
	if (c.type == CREEL_CTL_READY) {
		g->ready = true;
		g->ready_ms = guest_now_ms();
		g->used_kb = c.a;
	} else if (c.type == CREEL_CTL_BYE) {
		g->bye = true;
	} else if (c.type == CREEL_CTL_NOTE) {
		n = strlen(g->notes);
		(void)snprintf(g->notes + n, sizeof(g->notes) - n, "%s\n", c.name);
	} else if (c.type == CREEL_CTL_SERVICE) {
		n = strlen(g->services);
		(void)snprintf(g->services + n, sizeof(g->services) - n, "%s:%u:%u ", c.name, c.state, c.a);
	}
}

static void decode(struct guest *g, struct guest_stream *s)
{
	struct creel_err err = {0};
	const uint8_t *data = NULL;
	uint8_t type = 0;
	size_t len = 0;
	ssize_t n;

	while ((n = creel_execio_get(s->got.data, s->got.len, &type, &data, &len, &err)) > 0) {
		if (type == CREEL_EXECIO_OUT)
			assert_int_equal(creel_buf_add(&s->out, data, len, &err), 0);
		else if (type == CREEL_EXECIO_ERR)
			assert_int_equal(creel_buf_add(&s->err, data, len, &err), 0);
		else
			s->status = data[0];
		creel_buf_drain(&s->got, (size_t)n);
		(void)creel_mux_consumed(g->mux, s->id, (size_t)n, &err);
	}
	assert_true(n == 0);
}

static void on_data(void *ctx, uint16_t id, const uint8_t *data, size_t len)
{
	struct creel_err err = {0};
	struct guest *g = ctx;
	struct guest_stream *s = find(g, id);

	assert_non_null(s);
	assert_int_equal(creel_buf_add(&s->got, data, len, &err), 0);
	if (!s->hold)
		decode(g, s);
}

static void on_eof(void *ctx, uint16_t id)
{
	struct guest_stream *s = find(ctx, id);
	if (s)
		s->eof = true;
}

static void on_reset(void *ctx, uint16_t id, const uint8_t *why, size_t len)
{
	struct guest_stream *s = find(ctx, id);
	if (s)
		s->reset = true;
}

static void on_writable(void *ctx, uint16_t id)
{
	struct creel_err err = {0};
	struct guest *g = ctx;
	struct guest_stream *s = find(g, id);

	if (!s || s->to_send.len == 0)
		return;
	ssize_t n = creel_mux_write(g->mux, id, s->to_send.data, s->to_send.len, &err);
	if (n > 0)
		creel_buf_drain(&s->to_send, (size_t)n);
}

static const struct creel_mux_ops ops = {
	.hello = on_hello,
	.control = on_control,
	.data = on_data,
	.eof = on_eof,
	.reset = on_reset,
	.writable = on_writable,
};

static void initrd_make(const char *image, const struct creel_boot *boot, char *ret_path, size_t size)
{
	struct creel_err err = {0};
	struct creel_buf autoclean(creel_buf_fini) cfg, autoclean(creel_buf_fini) all;
	struct creel_cpio c;
	char path[512], buf[65536];
	ssize_t n;

	creel_buf_init(&cfg, CREEL_BOOT_MAX);
	creel_buf_init(&all, 64 << 20);
	assert_int_equal(creel_boot_encode(boot, &cfg, &err), 0);
	(void)snprintf(path, sizeof(path), "%s/initramfs.cpio", image);
	autofd int in = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(in >= 0);
	while ((n = read(in, buf, sizeof(buf))) > 0)
		assert_int_equal(creel_buf_add(&all, buf, (size_t)n, &err), 0);
	assert_int_equal(creel_buf_add(&all, "\0\0\0", (4 - all.len % 4) % 4, &err), 0);
	creel_cpio_begin(&c, &all);
	assert_int_equal(creel_cpio_add(&c, "creel", S_IFDIR | 0755, NULL, 0, &err), 0);
	assert_int_equal(creel_cpio_add(&c, "creel/boot.cfg", S_IFREG | 0600, cfg.data, cfg.len, &err), 0);
	assert_int_equal(creel_cpio_end(&c, &err), 0);
	char name[] = "/tmp/creel-initrd.XXXXXX";
	int fd = mkostemp(name, O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(fchmod(fd, 0444), 0); /* the jailed program has a user of its own */
	assert_int_equal(write(fd, all.data, all.len), all.len);
	close(fd);
	(void)snprintf(ret_path, size, "%s", name);
}

void guest_start(struct guest *g, const struct creel_boot *boot, int volume_fd)
{
	const char *image = getenv("CREEL_TEST_IMAGE");
	struct creel_err err = {0};
	struct creel_vmm_argv autoclean(creel_vmm_argv_fini) argv;
	int chan[2], qmp[2];
	char path[512], kernel[600], initrd[64], initrd_bind[128];
	const char *words[200];
	size_t n = 0;

	assert_non_null(image);
	int weak = g->weak_root;
	*g = (struct guest){.started_ms = guest_now_ms(), .volume = volume_fd};
	(void)snprintf(path, sizeof(path), "%s/root.erofs", image);
	(void)snprintf(kernel, sizeof(kernel), "%s/vmlinuz:/kernel", image);
	int root = weak > 0 ? dup(weak) : open(path, O_RDONLY);
	initrd_make(image, boot, initrd, sizeof(initrd));
	(void)snprintf(initrd_bind, sizeof(initrd_bind), "%s:/initrd", initrd);
	const char *log = getenv("CREEL_TEST_CONSOLE");
	int console = open(log ? log : "/dev/null", O_WRONLY | O_CREAT | O_APPEND, 0600);
	assert_true(root >= 0 && console >= 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, chan), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, qmp), 0);
	struct creel_vmm_spec spec = {
		.name = boot->cell,
		.cpus = 1,
		.memory_mib = 256,
		.accel = CREEL_ACCEL_TCG,
		.tsc_khz = creel_vmm_tsc_khz(),
		.kernel = "/kernel",
		.initrd = "/initrd",
		.control_fd = chan[1],
		.qmp_fd = qmp[1],
		.console_fd = console,
		.virtiofs_fd = -1,
		.tap_fd = -1,
		.n_disks = volume_fd >= 0 ? 2 : 1,
		.disks = {{.fd = root, .serial = "root", .read_only = weak <= 0},
			  {.fd = volume_fd, .serial = "v-persist"}},
	};
	creel_vmm_argv_init(&argv);
	if (creel_vmm_qemu.argv(&spec, &argv, &err) < 0)
		fail_msg("%s", err.msg);
	/* in the jail, as a cell's machine always is; descriptors are low, so 30 is above them all */
	static const char *const jailed[] = {
		"--uid",
		"847301",
		"--gid",
		"847301",
		"--last-fd",
		"30",
		"--devices",
		"--bind-exec",
		"/lib",
		"--bind-exec",
		"/lib64",
		"--bind-exec",
		"/usr/lib",
		"--bind-exec",
		"/usr/bin/qemu-system-x86_64",
		"--bind",
		"/usr/share/qemu",
		"--bind",
		"/usr/share/seabios",
	};
	words[n++] = getenv("CREEL_TEST_JAIL");
	assert_non_null(words[0]);
	for (size_t i = 0; i < ELEMENTSOF(jailed); i++)
		words[n++] = jailed[i];
	static const char program[] = "/usr/bin/qemu-system-x86_64";
	const char *more[] = {"--bind", kernel, "--bind", initrd_bind, "--", program};
	for (size_t i = 0; i < ELEMENTSOF(more); i++)
		words[n++] = more[i];
	for (size_t i = 1; i <= argv.n; i++) /* the NULL too */
		words[n++] = argv.words[i];
	g->pid = fork();
	if (g->pid == 0) {
		fcntl(chan[0], F_SETFD, FD_CLOEXEC);
		fcntl(qmp[0], F_SETFD, FD_CLOEXEC);
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves no guest */
		execv(words[0], (char **)words);
		_exit(127);
	}
	close(chan[1]);
	close(qmp[1]);
	close(root);
	close(console);
	(void)snprintf(g->initrd, sizeof(g->initrd), "%s", initrd);
	g->chan = chan[0];
	g->qmp = qmp[0];
	fcntl(g->chan, F_SETFL, O_NONBLOCK);
	g->mux = creel_mux_new(true, &ops, g);
	assert_non_null(g->mux);
}

static void step(struct guest *g, int timeout_ms)
{
	static uint8_t buf[65536];
	struct creel_err err = {0};
	const struct creel_buf *out = creel_mux_out(g->mux);
	struct pollfd p = {.fd = g->chan, .events = (short)(POLLIN | (out->len > 0 ? POLLOUT : 0))};

	if (poll(&p, 1, timeout_ms) <= 0)
		return;
	if (p.revents & POLLOUT) {
		ssize_t n = send(g->chan, out->data, out->len, MSG_NOSIGNAL);
		if (n > 0)
			creel_mux_sent(g->mux, (size_t)n);
	}
	if (p.revents & (POLLIN | POLLHUP)) {
		ssize_t n = read(g->chan, buf, sizeof(buf));
		if (n == 0 || (n < 0 && errno != EAGAIN))
			g->lost = true;
		if (n > 0 && creel_mux_feed(g->mux, buf, (size_t)n, &err) < 0)
			fail_msg("%s", err.msg);
	}
}

bool guest_wait(struct guest *g, const bool *flag, unsigned timeout_ms)
{
	uint64_t end = guest_now_ms() + timeout_ms;

	while (!*flag && !g->lost && guest_now_ms() < end)
		step(g, 50);
	return *flag;
}

struct guest_stream *guest_exec(struct guest *g, const struct creel_execspec *spec)
{
	struct creel_err err = {0};
	struct creel_buf autoclean(creel_buf_fini) b;
	struct guest_stream *s = calloc(1, sizeof(*s));

	creel_buf_init(&b, 65536);
	assert_int_equal(creel_execspec_encode(spec, &b, &err), 0);
	int id = creel_mux_open(g->mux, CREEL_MUX_EXEC, b.data, b.len, &err);
	if (id < 0)
		fail_msg("%s", err.msg);
	s->id = (uint16_t)id;
	s->status = -1;
	creel_buf_init(&s->got, CREEL_MUX_WINDOW);
	creel_buf_init(&s->out, 256 << 20);
	creel_buf_init(&s->err, 1 << 20);
	creel_buf_init(&s->to_send, 256 << 20);
	g->streams[id % CREEL_MUX_STREAMS] = s;
	return s;
}

int guest_status(struct guest *g, struct guest_stream *s, unsigned timeout_ms)
{
	uint64_t end = guest_now_ms() + timeout_ms;

	on_writable(g, s->id);
	while (s->status < 0 && !s->reset && !g->lost && guest_now_ms() < end) {
		step(g, 50);
		on_writable(g, s->id);
	}
	return s->status;
}

void guest_stream_free(struct guest *g, struct guest_stream *s)
{
	struct creel_err err = {0};

	if (creel_mux_alive(g->mux, s->id))
		(void)creel_mux_eof(g->mux, s->id, &err);
	g->streams[s->id % CREEL_MUX_STREAMS] = NULL;
	if (creel_mux_alive(g->mux, s->id))
		(void)creel_mux_reset(g->mux, s->id, "done", &err);
	creel_buf_fini(&s->got);
	creel_buf_fini(&s->out);
	creel_buf_fini(&s->err);
	creel_buf_fini(&s->to_send);
	free(s);
}

int guest_sh(struct guest *g, const char *text, const char **ret_out)
{
	static char out[65536];
	struct creel_execspec spec = {.argv = {"sh", "-c", text}, .user = "", .dir = "/"};
	struct guest_stream *s = guest_exec(g, &spec);
	int status = guest_status(g, s, 60000);

	(void)snprintf(out, sizeof(out), "%s", creel_buf_str(&s->out));
	if (s->err.len > 0)
		print_message("# stderr of %s: %s\n", text, creel_buf_str(&s->err));
	if (ret_out)
		*ret_out = out;
	guest_stream_free(g, s);
	return status;
}

bool guest_stop(struct guest *g, unsigned timeout_ms)
{
	struct creel_ctl c = {.type = CREEL_CTL_SHUTDOWN};
	uint64_t end = guest_now_ms() + timeout_ms;
	uint8_t buf[CREEL_CTL_MAX];
	struct creel_err err = {0};
	bool gone = false;

	(void)creel_mux_control(g->mux, buf, creel_ctl_encode(&c, buf), &err);
	while (!gone && guest_now_ms() < end) {
		if (!g->lost)
			step(g, 50);
		gone = waitpid(g->pid, NULL, WNOHANG) == g->pid;
	}
	if (gone)
		g->pid = 0;
	guest_kill(g);
	return gone;
}

void guest_kill(struct guest *g)
{
	if (g->pid > 0) {
		kill(g->pid, SIGKILL);
		waitpid(g->pid, NULL, 0);
	}
	g->pid = 0;
	(void)unlink(g->initrd);
	for (size_t i = 0; i < CREEL_MUX_STREAMS; i++)
		if (g->streams[i])
			guest_stream_free(g, g->streams[i]);
	creel_mux_free(g->mux);
	g->mux = NULL;
	close(g->chan);
	close(g->qmp);
}
