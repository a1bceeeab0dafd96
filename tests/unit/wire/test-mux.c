#include "tests/cmocka-all.h"
#include "wire/ctl.h"
#include "wire/execio.h"
#include "wire/le.h"
#include "wire/mux.h"
#include <string.h>

/* What the callbacks saw, as one line. */
struct seen {
	char text[65536];
	size_t data;
};

static void note(struct seen *s, const char *what, unsigned id)
{
	size_t n = strlen(s->text);
	(void)snprintf(s->text + n, sizeof(s->text) - n, "%s%u ", what, id);
}
static void hello(void *ctx, uint16_t v)
{
	note(ctx, "hello", v);
}
static void control(void *ctx, const uint8_t *m, size_t len)
{
	note(ctx, "control", (unsigned)len);
}
static void opened(void *ctx, uint16_t id, uint8_t kind, const uint8_t *spec, size_t len)
{
	note(ctx, "open", id);
}
static void data(void *ctx, uint16_t id, const uint8_t *d, size_t len)
{
	((struct seen *)ctx)->data += len;
}
static void eof(void *ctx, uint16_t id)
{
	note(ctx, "eof", id);
}
static void reset(void *ctx, uint16_t id, const uint8_t *why, size_t len)
{
	note(ctx, "reset", id);
}
static void writable(void *ctx, uint16_t id)
{
	note(ctx, "writable", id);
}
static const struct creel_mux_ops ops = {hello, control, opened, data, eof, reset, writable};

static struct creel_mux *host, *guest;
static struct seen hs, gs;
static struct creel_err err;

static int setup(void **state)
{
	hs = gs = (struct seen){0};
	err = (struct creel_err){0};
	host = creel_mux_new(true, &ops, &hs);
	guest = creel_mux_new(false, &ops, &gs);
	return host && guest ? 0 : -1;
}

static int teardown(void **state)
{
	creel_mux_free(host);
	creel_mux_free(guest);
	return 0;
}

/* Move everything between the two in pieces of @p piece octets. */
static void exchange(size_t piece)
{
	struct creel_mux *ends[] = {host, guest};

	for (int idle = 0; idle < 2;) {
		idle = 0;
		for (int i = 0; i < 2; i++) {
			const struct creel_buf *out = creel_mux_out(ends[i]);
			size_t n = MIN(out->len, piece);
			if (n == 0) {
				idle++;
				continue;
			}
			uint8_t copy[65536];
			memcpy(copy, out->data, n);
			creel_mux_sent(ends[i], n);
			assert_int_equal(creel_mux_feed(ends[!i], copy, n, &err), 0);
		}
	}
}

static void a_stream_lives_and_ends(void **state)
{
	for (size_t piece = 1; piece <= 65536; piece = piece * 7 + 1) {
		teardown(NULL);
		setup(NULL);
		int id = creel_mux_open(host, CREEL_MUX_EXEC, "spec", 4, &err);
		assert_true(id > 0);
		assert_int_equal(creel_mux_write(host, (uint16_t)id, "hello", 5, &err), 5);
		assert_int_equal(creel_mux_eof(host, (uint16_t)id, &err), 0);
		exchange(piece);
		assert_string_equal(gs.text, "hello1 open1 eof1 ");
		assert_int_equal(gs.data, 5);
		assert_int_equal(creel_mux_consumed(guest, (uint16_t)id, 5, &err), 0);
		assert_int_equal(creel_mux_write(guest, (uint16_t)id, "bye", 3, &err), 3);
		assert_int_equal(creel_mux_eof(guest, (uint16_t)id, &err), 0);
		exchange(piece);
		assert_false(creel_mux_alive(guest, (uint16_t)id));
		assert_string_equal(hs.text, "hello1 eof1 ");
		assert_int_equal(creel_mux_consumed(host, (uint16_t)id, 3, &err), 0);
		assert_false(creel_mux_alive(host, (uint16_t)id));
		assert_int_equal(creel_mux_write(host, (uint16_t)id, "x", 1, &err), CREEL_E_CLOSED);
	}
}

static void the_window_bounds_what_is_under_way(void **state)
{
	static uint8_t big[CREEL_MUX_WINDOW + 1000];
	int id = creel_mux_open(host, CREEL_MUX_TCP, "\1\0", 2, &err);
	ssize_t n = creel_mux_write(host, (uint16_t)id, big, sizeof(big), &err);

	assert_int_equal(n, CREEL_MUX_WINDOW);
	assert_int_equal(creel_mux_write(host, (uint16_t)id, big, 1, &err), 0);
	exchange(4096);
	assert_int_equal(gs.data, CREEL_MUX_WINDOW);
	assert_null(strstr(hs.text, "writable"));
	/* another stream is not held up */
	int other = creel_mux_open(host, CREEL_MUX_TCP, "\1\0", 2, &err);
	assert_int_equal(creel_mux_write(host, (uint16_t)other, big, 100, &err), 100);
	exchange(4096);
	assert_int_equal(gs.data, CREEL_MUX_WINDOW + 100);
	assert_int_equal(creel_mux_consumed(guest, (uint16_t)id, CREEL_MUX_WINDOW, &err), 0);
	exchange(4096);
	assert_non_null(strstr(hs.text, "writable1"));
	assert_int_equal(creel_mux_write(host, (uint16_t)id, big, 1000, &err), 1000);
}

static void the_queue_is_bounded(void **state)
{
	static uint8_t big[CREEL_MUX_WINDOW];
	size_t taken = 0;

	for (int i = 0; i < 20; i++) {
		int id = creel_mux_open(host, CREEL_MUX_TCP, "\1\0", 2, &err);
		taken += (size_t)creel_mux_write(host, (uint16_t)id, big, sizeof(big), &err);
	}
	assert_true(creel_mux_out(host)->len <= CREEL_MUX_OUT_SOFT + CREEL_MUX_PAYLOAD + 20 * 64);
	exchange(65536);
	assert_non_null(strstr(hs.text, "writable")); /* the others are told when there is room */
	assert_int_equal(gs.data, taken);
}

static void ids_run_out_cleanly_and_come_back(void **state)
{
	int first = 0, id;

	for (int i = 0; i < CREEL_MUX_STREAMS; i++) {
		id = creel_mux_open(host, CREEL_MUX_TCP, "\1\0", 2, &err);
		assert_true(id > 0);
		first = first ? first : id;
	}
	assert_int_equal(creel_mux_open(host, CREEL_MUX_TCP, "\1\0", 2, &err), CREEL_E_BUSY);
	assert_int_equal(creel_mux_reset(host, (uint16_t)first, "no", &err), 0);
	id = creel_mux_open(host, CREEL_MUX_TCP, "\1\0", 2, &err);
	assert_true(id > 0 && id != first); /* frames under way cannot reach the new one */
	exchange(65536);
	assert_non_null(strstr(gs.text, "reset1 "));
}

static size_t frame(uint8_t *out, uint8_t type, uint16_t id, uint32_t len)
{
	memset(out, 0, 8);
	out[0] = type;
	creel_put_le16(out + 2, id);
	creel_put_le32(out + 4, len);
	return 8 + len;
}

static void a_lying_guest_breaks_its_own_channel(void **state)
{
	/* type, stream, length, octet 1, then what it claims as content is zeros */
	static const struct {
		uint8_t type, zero;
		uint16_t id;
		uint32_t len;
	} bad[] = {
		{0, 0, 0, 0},
		{99, 0, 0, 0},
		{CREEL_MUX_T_DATA, 1, 1, 4},
		{CREEL_MUX_T_DATA, 0, 0, 4},
		{CREEL_MUX_T_DATA, 0, 1, CREEL_MUX_PAYLOAD + 1},
		{CREEL_MUX_T_DATA, 0, 1, UINT32_MAX},
		{CREEL_MUX_T_DATA, 0, 1, 0},
		{CREEL_MUX_T_OPEN, 0, 5, 2},  /* only the host opens */
		{CREEL_MUX_T_HELLO, 0, 0, 2}, /* a second time */
		{CREEL_MUX_T_CONTROL, 0, 0, CREEL_MUX_CONTROL + 1},
		{CREEL_MUX_T_CONTROL, 0, 7, 4},
		{CREEL_MUX_T_WINDOW, 0, 1, 3},
		{CREEL_MUX_T_EOF, 0, 1, 1},
	};
	static uint8_t buf[CREEL_MUX_PAYLOAD + 16];

	for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
		teardown(NULL);
		setup(NULL);
		assert_int_equal(creel_mux_open(host, CREEL_MUX_TCP, "\1\0", 2, &err), 1);
		exchange(65536);
		size_t n = frame(buf, bad[i].type, bad[i].id,
				 MIN(bad[i].len, (uint32_t)CREEL_MUX_PAYLOAD + 1));
		creel_put_le32(buf + 4, bad[i].len);
		buf[1] = bad[i].zero;
		if (creel_mux_feed(host, buf, MIN(n, sizeof(buf)), &err) != CREEL_E_PROTO)
			fail_msg("case %zu was taken", i);
		assert_int_equal(creel_mux_feed(host, buf, 1, &err), CREEL_E_PROTO); /* it stays dead */
	}
}

static void more_than_the_window_is_a_breach(void **state)
{
	static uint8_t buf[8 + CREEL_MUX_PAYLOAD];
	int r = 0;

	assert_int_equal(creel_mux_open(host, CREEL_MUX_TCP, "\1\0", 2, &err), 1);
	exchange(65536);
	size_t n = frame(buf, CREEL_MUX_T_DATA, 1, CREEL_MUX_PAYLOAD);
	for (int i = 0; i < 9 && r == 0; i++)
		r = creel_mux_feed(host, buf, n, &err);
	assert_int_equal(r, CREEL_E_PROTO);
	assert_int_equal(hs.data, CREEL_MUX_WINDOW);
	/* and a window that overflows what may be sent */
	teardown(NULL);
	setup(NULL);
	assert_int_equal(creel_mux_open(host, CREEL_MUX_TCP, "\1\0", 2, &err), 1);
	exchange(65536);
	n = frame(buf, CREEL_MUX_T_WINDOW, 1, 4);
	creel_put_le32(buf + 8, UINT32_MAX);
	assert_int_equal(creel_mux_feed(host, buf, n, &err), CREEL_E_PROTO);
}

static void before_hello_nothing_is_taken(void **state)
{
	uint8_t buf[64];
	size_t n = frame(buf, CREEL_MUX_T_CONTROL, 0, 6);

	assert_int_equal(creel_mux_feed(host, buf, n, &err), CREEL_E_PROTO);
}

static void control_messages(void **state)
{
	struct creel_ctl c = {.type = CREEL_CTL_SERVICE, .state = CREEL_SVC_READY, .a = 7}, d;
	uint8_t buf[CREEL_CTL_MAX + 10];

	strcpy(c.name, "gateway");
	size_t n = creel_ctl_encode(&c, buf);
	assert_int_equal(creel_ctl_decode(buf, n, &d, &err), 0);
	assert_string_equal(d.name, "gateway");
	assert_int_equal(d.a, 7);
	for (size_t k = 0; k < 6; k++)
		assert_int_equal(creel_ctl_decode(buf, k, &d, &err), CREEL_E_PROTO);
	assert_int_equal(creel_ctl_decode(buf, sizeof(buf), &d, &err), CREEL_E_PROTO);
	buf[8] = 0;
	assert_int_equal(creel_ctl_decode(buf, n, &d, &err), CREEL_E_PROTO);
	buf[0] = 50;
	assert_int_equal(creel_ctl_decode(buf, 6, &d, &err), CREEL_E_PROTO);
}

static void exec_specs(void **state)
{
	struct creel_execspec s = {.argv = {"a", "", "b c"},
				   .env = {"K=V"},
				   .user = "u",
				   .dir = "/",
				   .tty = true,
				   .rows = 24,
				   .cols = 80},
			      d;
	struct creel_buf autoclean(creel_buf_fini) b;

	creel_buf_init(&b, 4096);
	assert_int_equal(creel_execspec_encode(&s, &b, &err), 0);
	assert_int_equal(creel_execspec_decode(b.data, b.len, &d, &err), 0);
	assert_string_equal(d.argv[2], "b c");
	assert_null(d.argv[3]);
	assert_string_equal(d.env[0], "K=V");
	assert_int_equal(d.cols, 80);
	for (size_t n = 0; n < b.len; n++) /* cut anywhere */
		assert_int_equal(creel_execspec_decode(b.data, n, &d, &err), CREEL_E_PROTO);
	assert_int_equal(creel_buf_add(&b, "x", 2, &err), 0);
	assert_int_equal(creel_execspec_decode(b.data, b.len, &d, &err), CREEL_E_PROTO);
}

static void exec_records(void **state)
{
	struct creel_buf autoclean(creel_buf_fini) b;
	const uint8_t *data = NULL;
	uint8_t type = 0;
	size_t len = 0;

	creel_buf_init(&b, 4096);
	assert_int_equal(creel_execio_put(&b, CREEL_EXECIO_OUT, "abc", 3, &err), 0);
	for (size_t n = 0; n < b.len; n++)
		assert_int_equal(creel_execio_get(b.data, n, &type, &data, &len, &err), 0);
	assert_int_equal(creel_execio_get(b.data, b.len, &type, &data, &len, &err), 8);
	assert_int_equal(len, 3);
	b.data[4] = 0xff; /* a length of 4 GB */
	assert_int_equal(creel_execio_get(b.data, b.len, &type, &data, &len, &err), CREEL_E_PROTO);
	b.data[4] = 0;
	b.data[0] = 77;
	assert_int_equal(creel_execio_get(b.data, b.len, &type, &data, &len, &err), CREEL_E_PROTO);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_stream_lives_and_ends),
		T(the_window_bounds_what_is_under_way),
		T(the_queue_is_bounded),
		T(ids_run_out_cleanly_and_come_back),
		T(a_lying_guest_breaks_its_own_channel),
		T(more_than_the_window_is_a_breach),
		T(before_hello_nothing_is_taken),
		T(control_messages),
		T(exec_specs),
		T(exec_records),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
