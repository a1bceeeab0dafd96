/*
 * creel-cell between a guest and an engine that the test plays: what it relays, what it keeps when
 * the engine goes, and what a guest that lies can do to it.
 */
#include "base/cleanup.h"
#include "base/clock.h"
#include "linux/fdpass.h"
#include "tests/cmocka-all.h"
#include "wire/call.h"
#include "wire/cellmsg.h"
#include "wire/ctl.h"
#include "wire/mux.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *program;
static pid_t pid;
static int chan, qmp, engine = -1, words = -1;
static FILE *logged; /* what creel-cell writes on standard error */
static struct sockaddr_un addr;
static socklen_t addr_len;
static struct creel_mux *guest;
static uint16_t opened_id, calls_id;
static bool was_reset;
static char echo[65536];
static size_t echo_len;

static void hello(void *ctx, uint16_t v)
{
}
static void control(void *ctx, const uint8_t *msg, size_t len)
{
}
static void opened(void *ctx, uint16_t id, uint8_t kind, const uint8_t *spec, size_t len)
{
	if (kind == CREEL_MUX_CALLS)
		calls_id = id;
	else
		opened_id = id;
}
static void data_in(void *ctx, uint16_t id, const uint8_t *data, size_t len)
{
	struct creel_err err = {0};
	if (echo_len + len <= sizeof(echo))
		memcpy(echo + echo_len, data, len);
	echo_len += len;
	(void)creel_mux_consumed(guest, id, len, &err);
}
static void eof(void *ctx, uint16_t id)
{
}
static void reset(void *ctx, uint16_t id, const uint8_t *why, size_t len)
{
	was_reset = true;
}
static const struct creel_mux_ops ops = {hello, control, opened, data_in, eof, reset, eof};

static int connect_engine(void)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, addr_len), 0);
	return fd;
}

static int setup(void **state)
{
	int c[2], q[2], p[2], w[2];

	assert_int_equal(pipe(p), 0);
	assert_int_equal(pipe2(w, O_CLOEXEC | O_NONBLOCK), 0);
	logged = tmpfile();
	assert_non_null(logged);
	close(p[1]);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, c), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, q), 0);
	int l = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	addr = (struct sockaddr_un){.sun_family = AF_UNIX};
	assert_int_equal(bind(l, (struct sockaddr *)&addr, sizeof(sa_family_t)), 0); /* autobind */
	addr_len = sizeof(addr);
	assert_int_equal(getsockname(l, (struct sockaddr *)&addr, &addr_len), 0);
	assert_int_equal(listen(l, 4), 0);
	pid = fork();
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		/* clear of 3..5 first, so that none is overwritten before it is copied */
		int a = fcntl(c[1], F_DUPFD, 20), b = fcntl(q[1], F_DUPFD, 20), e = fcntl(l, F_DUPFD, 20);
		int con = fcntl(p[0], F_DUPFD, 20); /* a console that has ended */
		int log = fcntl(w[0], F_DUPFD, 20), out = fcntl(fileno(logged), F_DUPFD, 20);
		dup2(a, 3);
		dup2(b, 4);
		dup2(e, 5);
		dup2(con, 6);
		dup2(log, 7);
		dup2(out, 2);
		close_range(8, ~0U, 0);
		execl(program, "creel-cell", (char *)NULL);
		_exit(127);
	}
	close(c[1]);
	close(q[1]);
	close(p[0]);
	close(w[0]);
	close(l);
	words = w[1];
	chan = c[0];
	qmp = q[0];
	fcntl(chan, F_SETFL, O_NONBLOCK);
	guest = creel_mux_new(false, &ops, NULL);
	opened_id = calls_id = 0;
	echo_len = 0;
	was_reset = false;
	engine = connect_engine();
	return 0;
}

static int teardown(void **state)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(chan);
	close(qmp);
	if (engine >= 0)
		close(engine);
	close(words);
	fclose(logged);
	creel_mux_free(guest);
	return 0;
}

/* Does creel-cell wait? What it is woken for it has not done yet, however slow the machine. */
static bool cell_waits(void)
{
	char path[64], state = 0;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	autofile FILE *f = fopen(path, "re");
	return f && fscanf(f, "%*d (%*[^)]) %c", &state) == 1 && state != 'R' && state != 'D';
}

/* Let the guest's end run for @p ms, and then until there is nothing left to do. */
static void guest_run(int ms)
{
	struct creel_err err = {0};
	uint8_t buf[65536];
	int64_t from = creel_clock_ms(), now;
	bool quiet;

	do {
		const struct creel_buf *out = creel_mux_out(guest);
		ssize_t n = out->len ? send(chan, out->data, out->len, MSG_NOSIGNAL) : 0;
		if (n > 0)
			creel_mux_sent(guest, (size_t)n);
		struct pollfd p = {.fd = chan, .events = POLLIN};
		quiet = cell_waits();
		if (poll(&p, 1, 5) > 0 && (n = read(chan, buf, sizeof(buf))) > 0) {
			assert_int_equal(creel_mux_feed(guest, buf, (size_t)n, &err), 0);
			quiet = false;
		}
		now = creel_clock_ms();
	} while (now - from < ms || (!quiet && now - from < 30000));
}

static void guest_says(uint8_t type, uint8_t st, uint32_t a, const char *name)
{
	struct creel_ctl c = {.type = type, .state = st, .a = a};
	uint8_t buf[CREEL_CTL_MAX];
	struct creel_err err = {0};

	(void)snprintf(c.name, sizeof(c.name), "%s", name);
	assert_int_equal(creel_mux_control(guest, buf, creel_ctl_encode(&c, buf), &err), 0);
}

/* The next message of @p type, others passed over; false when none comes in ten seconds. */
static bool expect(uint8_t type, struct creel_cellmsg *ret)
{
	struct pollfd p = {.fd = engine, .events = POLLIN};
	uint8_t buf[CREEL_CELLMSG_MAX];
	struct creel_err err = {0};
	int fds[1];
	size_t n_fds = 0;

	while (poll(&p, 1, 10000) > 0) {
		ssize_t n = creel_fdpass_recv(engine, buf, sizeof(buf), fds, 1, &n_fds, &err);
		if (n < 0)
			return false;
		assert_int_equal(creel_cellmsg_decode(buf, (size_t)n, ret, &err), 0);
		if (ret->type == type)
			return true;
	}
	return false;
}

static int open_stream(uint32_t id)
{
	struct creel_cellmsg m = {.type = CREEL_CELL_OPEN, .state = CREEL_MUX_TCP, .id = id};
	uint8_t buf[CREEL_CELLMSG + 2];
	struct creel_err err = {0};
	int sv[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	creel_cellmsg_encode(&m, buf);
	memcpy(buf + CREEL_CELLMSG, "\x55\x49", 2);
	assert_int_equal(creel_fdpass_send(engine, buf, sizeof(buf), &sv[1], 1, &err), 0);
	close(sv[1]);
	return sv[0];
}

static void a_stream_is_relayed_both_ways(void **state)
{
	struct creel_err err = {0};
	struct creel_cellmsg m;
	char buf[16] = "";
	int fd = open_stream(7);

	assert_true(expect(CREEL_CELL_HELLO, &m));
	assert_int_equal(send(fd, "ping", 4, MSG_NOSIGNAL), 4);
	guest_run(200);
	assert_int_equal(echo_len, 4);
	assert_memory_equal(echo, "ping", 4);
	assert_int_equal(creel_mux_write(guest, opened_id, "pong", 4, &err), 4);
	guest_run(200);
	assert_int_equal(read(fd, buf, sizeof(buf)), 4);
	assert_memory_equal(buf, "pong", 4);
	/* half a close on each side, then the end is told, once */
	shutdown(fd, SHUT_WR);
	guest_run(100);
	(void)creel_mux_eof(guest, opened_id, &err);
	guest_run(100);
	assert_int_equal(read(fd, buf, sizeof(buf)), 0);
	assert_true(expect(CREEL_CELL_STREAM_END, &m));
	assert_int_equal(m.id, 7);
	assert_int_equal(m.state, 0);
	close(fd);
}

static void the_cell_outlives_its_engine(void **state)
{
	struct creel_cellmsg m;
	char c;

	guest_says(CREEL_CTL_SERVICE, CREEL_SVC_READY, 0, "gateway");
	guest_says(CREEL_CTL_READY, 0, 4711, "");
	int fd = open_stream(1);
	guest_run(200);
	assert_true(expect(CREEL_CELL_READY, &m));
	close(engine);
	guest_run(200);
	assert_true(was_reset);               /* the guest's side of the stream is ended */
	assert_int_equal(read(fd, &c, 1), 0); /* and the client's */
	assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
	engine = connect_engine();
	guest_run(100);
	assert_true(expect(CREEL_CELL_SERVICE, &m));
	assert_string_equal(m.name, "gateway");
	assert_true(expect(CREEL_CELL_READY, &m));
	assert_int_equal(m.a, 4711);
	close(fd);
	fd = open_stream(2);
	was_reset = false;
	opened_id = 0;
	guest_run(200);
	assert_int_not_equal(opened_id, 0);
	close(fd);
}

static void garbage_breaks_only_the_channel(void **state)
{
	uint8_t junk[4096];
	struct creel_cellmsg m;
	char c;

	guest_run(50);
	int fd = open_stream(3);
	guest_run(100);
	memset(junk, 0xee, sizeof(junk));
	assert_true(send(chan, junk, sizeof(junk), MSG_NOSIGNAL) > 0);
	assert_true(expect(CREEL_CELL_STREAM_END, &m));
	assert_int_equal(m.id, 3);
	assert_true(expect(CREEL_CELL_BROKEN, &m));
	assert_non_null(strstr(m.name, "control channel"));
	assert_int_equal(read(fd, &c, 1), 0);
	close(fd);
	/* it still serves the engine: a new stream is refused, a kill goes through */
	fd = open_stream(4);
	assert_true(expect(CREEL_CELL_STREAM_END, &m));
	assert_int_equal(m.state, 1);
	close(fd);
	struct creel_cellmsg k = {.type = CREEL_CELL_KILL};
	uint8_t buf[CREEL_CELLMSG];
	struct creel_err err = {0};
	char line[256] = "";
	creel_cellmsg_encode(&k, buf);
	assert_int_equal(creel_fdpass_send(engine, buf, sizeof(buf), NULL, 0, &err), 0);
	struct pollfd p = {.fd = qmp, .events = POLLIN};
	for (size_t at = 0; !strstr(line, "quit");) {
		assert_int_equal(poll(&p, 1, 10000), 1);
		ssize_t n = recv(qmp, line + at, sizeof(line) - 1 - at, MSG_DONTWAIT);
		assert_true(n > 0);
		at += (size_t)n;
	}
}

static long rss_kb(void)
{
	char path[64], line[128];
	long kb = -1;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", pid);
	FILE *f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		(void)sscanf(line, "VmRSS: %ld", &kb);
	if (f)
		fclose(f);
	return kb;
}

static void a_client_that_does_not_read_costs_a_window(void **state)
{
	struct creel_err err = {0};
	static uint8_t block[32768];
	size_t sent = 0;
	int fd = open_stream(5);

	guest_run(100);
	long before = rss_kb();
	for (int i = 0; i < 400; i++) {
		ssize_t n = creel_mux_write(guest, opened_id, block, sizeof(block), &err);
		assert_true(n >= 0);
		sent += (size_t)n;
		guest_run(2);
	}
	/* a window here, and what the kernel's socket holds */
	assert_true(sent < 2 * CREEL_MUX_WINDOW + (1 << 20));
	assert_true(rss_kb() - before < 4096);
	close(fd);
}

/* More than its socket holds while it hangs: other octets flow on, and all of it comes in the end. */
static void a_hung_engine_stops_nobody(void **state)
{
	struct creel_cellmsg m;
	int fd = open_stream(8), last = -1;

	guest_run(100);
	for (uint32_t i = 0; i < 300; i++)
		guest_says(CREEL_CTL_NOTE, 0, i, "x");
	guest_run(200);
	assert_int_equal(send(fd, "ping", 4, MSG_NOSIGNAL), 4);
	guest_run(200);
	assert_int_equal(echo_len, 4);
	for (uint32_t i = 300; i < 9000; i++)
		guest_says(CREEL_CTL_NOTE, 0, i, "x");
	guest_run(200);
	long kb = rss_kb();
	assert_true(kb > 0 && kb < 16384);
	for (int i = 0; i < 9000; i++) {
		if (i % 100 == 0)
			guest_run(20);
		if (!expect(CREEL_CELL_NOTE, &m))
			fail_msg("note %d did not come", i);
		assert_int_equal(m.a, last + 1);
		last = (int)m.a;
	}
	close(fd);
}

static void the_log_of_a_start_is_bounded(void **state)
{
	static char text[65536];
	struct pollfd p = {.fd = words, .events = POLLOUT};
	size_t sent = 0;

	memset(text, 'w', sizeof(text));
	while (sent < (4U << 20) && poll(&p, 1, 5000) > 0) {
		ssize_t n = write(words, text, sizeof(text));
		assert_true(n > 0);
		sent += (size_t)n;
	}
	assert_int_equal(sent >> 20, 4);
	shutdown(qmp, SHUT_RDWR); /* it passes on what is left and ends */
	for (int i = 0; i < 500 && waitpid(pid, NULL, WNOHANG) == 0; i++)
		nanosleep(&(struct timespec){.tv_nsec = 20 * 1000 * 1000}, NULL);
	long size = lseek(fileno(logged), 0, SEEK_END);
	if (size <= 1 << 20 || size > (1 << 20) + 8192)
		fail_msg("%ld octets", size);
}

static void a_malformed_engine_is_dropped(void **state)
{
	char c;

	guest_run(50);
	assert_int_equal(send(engine, "x", 1, MSG_NOSIGNAL), 1);
	struct pollfd p = {.fd = engine, .events = POLLIN};
	ssize_t n = 1;
	while (n > 0 && poll(&p, 1, 10000) > 0)
		n = recv(engine, &c, 1, 0);
	assert_int_equal(n, 0);
	assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
}

static void the_end_of_the_machine_is_told(void **state)
{
	struct creel_cellmsg m;
	int ws = -1;

	guest_run(50);
	shutdown(qmp, SHUT_RDWR);
	assert_true(expect(CREEL_CELL_GONE, &m));
	for (int i = 0; i < 1500 && waitpid(pid, &ws, WNOHANG) == 0; i++)
		nanosleep(&(struct timespec){.tv_nsec = 20 * 1000 * 1000}, NULL);
	assert_true(WIFEXITED(ws) && WEXITSTATUS(ws) == 0);
}

/* A guest's program asks. */
static void call(uint32_t id, uint8_t type, const void *payload, size_t len)
{
	struct creel_call_head h = {.len = (uint32_t)len, .id = id, .uid = 1000, .type = type};
	uint8_t buf[CREEL_CALL_HEAD];
	struct creel_err err = {0};

	creel_call_head_encode(&h, buf);
	assert_int_equal(creel_mux_write(guest, calls_id, buf, sizeof(buf), &err), sizeof(buf));
	if (len > 0)
		assert_int_equal(creel_mux_write(guest, calls_id, payload, len, &err), len);
}

static void why(uint32_t id)
{
	struct creel_buf autoclean(creel_buf_fini) b;
	struct creel_err err = {0};

	creel_buf_init(&b, 4096);
	assert_int_equal(creel_call_why_encode("a.example", &b, &err), 0);
	call(id, CREEL_CALL_WHY, b.data, b.len);
}

static void engine_answers(uint32_t id, const char *text)
{
	struct creel_cellmsg m = {.type = CREEL_CELL_ANSWER, .state = CREEL_CALL_OK, .id = id};
	uint8_t buf[CREEL_CELLMSG + 64];
	struct creel_err err = {0};

	creel_cellmsg_encode(&m, buf);
	memcpy(buf + CREEL_CELLMSG, text, strlen(text));
	assert_int_equal(creel_fdpass_send(engine, buf, CREEL_CELLMSG + strlen(text), NULL, 0, &err), 0);
}

/* What came back on the stream; @return its type, 0: nothing */
static uint8_t answered(uint32_t *ret_id)
{
	struct creel_call_head h;
	struct creel_err err = {0};

	if (echo_len < CREEL_CALL_HEAD)
		return 0;
	assert_int_equal(creel_call_head_decode((uint8_t *)echo, &h, &err), 0);
	size_t all = CREEL_CALL_HEAD + h.len;
	assert_true(echo_len >= all);
	memmove(echo, echo + all, echo_len - all);
	echo_len -= all;
	*ret_id = h.id;
	return h.type;
}

static void a_question_goes_to_the_engine_and_back(void **state)
{
	struct creel_cellmsg m;
	uint32_t id = 0;

	guest_run(50);
	assert_int_not_equal(calls_id, 0);
	why(41);
	guest_run(50);
	assert_true(expect(CREEL_CELL_CALL, &m));
	assert_int_equal(m.id, 41);
	assert_int_equal(m.a, 1000);
	assert_int_equal(m.state, CREEL_CALL_WHY);
	engine_answers(99, "nobody asked this");
	engine_answers(41, "yes");
	guest_run(50);
	assert_int_equal(answered(&id), CREEL_CALL_OK);
	assert_int_equal(id, 41);
	assert_int_equal(answered(&id), 0);
	engine_answers(41, "twice");
	guest_run(50);
	assert_int_equal(answered(&id), 0);
}

static void what_is_malformed_does_not_reach_the_engine(void **state)
{
	struct creel_cellmsg m;
	uint32_t id = 0;

	guest_run(50);
	call(5, CREEL_CALL_GATE, "junk", 4);
	guest_run(50);
	assert_int_equal(answered(&id), CREEL_CALL_INVALID);
	assert_int_equal(id, 5);
	/* more at once than may be open, and one of them taken back */
	for (uint32_t i = 1; i <= CREEL_CALLS_OPEN + 1; i++)
		why(i);
	guest_run(50);
	assert_int_equal(answered(&id), CREEL_CALL_AGAIN);
	assert_int_equal(id, CREEL_CALLS_OPEN + 1);
	call(3, CREEL_CALL_CANCEL, NULL, 0);
	guest_run(50);
	for (unsigned i = 0; i < CREEL_CALLS_OPEN; i++)
		assert_true(expect(CREEL_CELL_CALL, &m));
	assert_true(expect(CREEL_CELL_CALL, &m));
	assert_int_equal(m.state, CREEL_CALL_CANCEL);
	assert_int_equal(m.id, 3);
	/* a number that is in use: the stream ends, the cell does not */
	why(4);
	guest_run(50);
	assert_true(was_reset);
	int fd = open_stream(9);
	guest_run(50);
	assert_int_not_equal(opened_id, 0);
	close(fd);
}

static void without_an_engine_it_is_again(void **state)
{
	struct creel_cellmsg m;
	uint32_t id = 0;

	guest_run(50);
	why(1);
	guest_run(50);
	assert_true(expect(CREEL_CELL_CALL, &m));
	close(engine);
	guest_run(100);
	assert_int_equal(answered(&id), CREEL_CALL_AGAIN);
	why(2);
	guest_run(50);
	assert_int_equal(answered(&id), CREEL_CALL_AGAIN);
	assert_int_equal(id, 2);
	engine = connect_engine();
	guest_run(50);
	why(3);
	guest_run(50);
	assert_true(expect(CREEL_CELL_CALL, &m));
	assert_int_equal(m.id, 3);
}

/* An engine that takes nothing: the guest's questions stay in its window. */
static void a_flood_of_questions_costs_a_window(void **state)
{
	static uint8_t block[65536];
	struct creel_err err = {0};
	size_t sent = 0;

	guest_run(50);
	long before = rss_kb();
	for (int i = 0; i < 200; i++) {
		struct creel_call_head h = {.len = sizeof(block) - CREEL_CALL_HEAD,
					    .id = (uint32_t)i + 1,
					    .type = CREEL_CALL_GATE};
		creel_call_head_encode(&h, block);
		ssize_t n = creel_mux_write(guest, calls_id, block, sizeof(block), &err);
		if (n < (ssize_t)sizeof(block))
			break; /* the window is full: the rest would follow when it opens */
		sent += (size_t)n;
	}
	guest_run(100);
	assert_true(sent <= CREEL_MUX_WINDOW);
	assert_true(rss_kb() - before < 4096);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		T(a_stream_is_relayed_both_ways),
		T(the_cell_outlives_its_engine),
		T(garbage_breaks_only_the_channel),
		T(a_client_that_does_not_read_costs_a_window),
		T(a_hung_engine_stops_nobody),
		T(the_log_of_a_start_is_bounded),
		T(a_malformed_engine_is_dropped),
		T(a_question_goes_to_the_engine_and_back),
		T(what_is_malformed_does_not_reach_the_engine),
		T(without_an_engine_it_is_again),
		T(a_flood_of_questions_costs_a_window),
		T(the_end_of_the_machine_is_told),
	};
	if (argc < 2)
		return 2;
	program = argv[1];
	signal(SIGPIPE, SIG_IGN);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
