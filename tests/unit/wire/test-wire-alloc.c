/*
 * Allocation k fails, for k = 1, 2, ...: the call says CREEL_E_NOMEM and has done nothing, so the same
 * call again does all of it and the peer sees the same; nothing is left behind. And what comes in cut
 * at any place is the same as what comes in whole.
 */
#include "tests/alloc/alloc.h"
#include "tests/cmocka-all.h"
#include "wire/bootcfg.h"
#include "wire/cellmsg.h"
#include "wire/ctl.h"
#include "wire/execio.h"
#include "wire/monmsg.h"
#include "wire/mux.h"
#include <string.h>

struct seen {
	char text[4096];
	size_t data;
	struct creel_mux *self;
};

static void note(struct seen *s, const char *what, unsigned n)
{
	size_t len = strlen(s->text);
	(void)snprintf(s->text + len, sizeof(s->text) - len, "%s%u ", what, n);
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

/* The call again when memory was short; it is short once. */
#define AGAIN(call)                                      \
	({                                               \
		__typeof__(call) r_ = (call);            \
		if (r_ == (__typeof__(r_))CREEL_E_NOMEM) \
			r_ = (call);                     \
		r_;                                      \
	})

static void move(struct creel_mux *from, struct creel_mux *to, size_t piece)
{
	static uint8_t copy[2 << 20];

	for (const struct creel_buf *out; (out = creel_mux_out(from))->len > 0;) {
		size_t n = out->len;
		memcpy(copy, out->data, n);
		creel_mux_sent(from, n);
		/* what is fed to it allocates nothing */
		for (size_t at = 0; at < n; at += piece)
			assert_int_equal(creel_mux_feed(to, copy + at, MIN(piece, n - at), &err), 0);
	}
}

static void talk(size_t piece)
{
	static uint8_t big[CREEL_MUX_WINDOW + 100];

	hs = gs = (struct seen){0};
	for (int i = 0; i < 2 && !host; i++)
		host = creel_mux_new(true, &ops, &hs);
	for (int i = 0; i < 2 && !guest; i++)
		guest = creel_mux_new(false, &ops, &gs);
	assert_non_null(host);
	assert_non_null(guest);
	assert_int_equal(AGAIN(creel_mux_control(host, "abc", 3, &err)), 0);
	int id = AGAIN(creel_mux_open(host, CREEL_MUX_EXEC, big, 20000, &err));
	assert_true(id > 0);
	for (size_t done = 0; done < CREEL_MUX_WINDOW;) {
		ssize_t n = AGAIN(creel_mux_write(host, (uint16_t)id, big, sizeof(big) - done, &err));
		assert_true(n > 0);
		done += (size_t)n;
	}
	move(host, guest, piece);
	assert_int_equal(AGAIN(creel_mux_consumed(guest, (uint16_t)id, CREEL_MUX_WINDOW, &err)), 0);
	assert_int_equal(AGAIN(creel_mux_write(guest, (uint16_t)id, big, 30000, &err)), 30000);
	move(guest, host, piece);
	assert_int_equal(AGAIN(creel_mux_consumed(host, (uint16_t)id, 30000, &err)), 0);
	assert_int_equal(AGAIN(creel_mux_write(host, (uint16_t)id, big, 100, &err)), 100);
	assert_int_equal(AGAIN(creel_mux_eof(guest, (uint16_t)id, &err)), 0);
	move(host, guest, piece);
	move(guest, host, piece);
	int other = AGAIN(creel_mux_open(host, CREEL_MUX_TCP, "\1\0", 2, &err));
	assert_true(other > 0);
	move(host, guest, piece);
	assert_int_equal(AGAIN(creel_mux_reset(host, (uint16_t)other, "enough", &err)), 0);
	assert_int_equal(AGAIN(creel_mux_reset(guest, (uint16_t)id, "enough", &err)), 0);
	move(host, guest, piece);
	move(guest, host, piece);
	assert_string_equal(gs.text, "hello1 control3 open1 open2 reset2 ");
	assert_string_equal(hs.text, "hello1 writable1 eof1 reset1 ");
	assert_int_equal(gs.data, CREEL_MUX_WINDOW + 100);
	assert_int_equal(hs.data, 30000);
	assert_false(creel_mux_alive(host, (uint16_t)id) || creel_mux_alive(guest, (uint16_t)id));
	assert_false(creel_mux_alive(host, (uint16_t)other) || creel_mux_alive(guest, (uint16_t)other));
	creel_mux_free(host);
	creel_mux_free(guest);
	host = guest = NULL;
}

static void channel(void **state)
{
	static const size_t pieces[] = {1, 7, 8, 9, 4096, 65536};

	for (size_t p = 0; p < ELEMENTSOF(pieces); p++) {
		bool hit = true;
		for (size_t k = 1; hit; k++) {
			size_t before = alloc_live();
			alloc_fail_at(k);
			talk(pieces[p]);
			hit = alloc_count() >= k;
			alloc_fail_at(0);
			assert_int_equal(alloc_live(), before);
			if (!hit)
				assert_true(k > 4); /* the wrappers are in use */
		}
	}
}

static int exec_put(struct creel_buf *b)
{
	static char big[CREEL_EXECIO_MAX];
	struct creel_execspec s = {.argv = {"a", "b"}, .env = {"K=V"}, .user = "u", .dir = "/"};
	int r = creel_execspec_encode(&s, b, &err);

	for (int i = 0; r == 0 && i < 4; i++)
		r = creel_execio_put(b, CREEL_EXECIO_OUT, big, sizeof(big), &err);
	return r;
}

static int boot_put(struct creel_buf *b)
{
	static char big[100000];
	static struct creel_boot boot = {.cell = "box",
					 .n_files = 1,
					 .n_services = 1,
					 .n_volumes = 1,
					 .volumes = {{"p", "/persist"}},
					 .files = {{"/a", big, sizeof(big), 1, 2, 0644, true}},
					 .services = {{.name = "s", .argv = {"/bin/x"}}}};

	return creel_boot_encode(&boot, b, &err);
}

static void encoders(void **state)
{
	int (*const put[])(struct creel_buf *) = {exec_put, boot_put};

	for (size_t i = 0; i < ELEMENTSOF(put); i++)
		for (size_t k = 1; k < 1000; k++) {
			struct creel_buf b;
			creel_buf_init(&b, 1 << 20);
			size_t before = alloc_live();
			alloc_fail_at(k);
			int r = put[i](&b);
			bool hit = alloc_count() >= k;
			alloc_fail_at(0);
			creel_buf_fini(&b);
			assert_int_equal(r, hit ? CREEL_E_NOMEM : 0);
			assert_int_equal(alloc_live(), before);
			if (!hit) {
				assert_true(k > 2);
				break;
			}
		}
}

/* Those that parse foreign octets allocate nothing, so memory cannot run out in them. */
static void decoders_allocate_nothing(void **state)
{
	struct creel_buf autoclean(creel_buf_fini) spec, boot;
	static struct creel_boot b;
	struct creel_execspec s;
	struct creel_cellmsg cell = {.type = CREEL_CELL_READY}, cell2;
	uint8_t buf[CREEL_CELLMSG];
	struct creel_ctl ctl = {.type = CREEL_CTL_SERVICE, .name = "x"}, ctl2;
	uint8_t msg[CREEL_CTL_MAX];

	creel_buf_init(&spec, 1 << 20);
	creel_buf_init(&boot, 1 << 20);
	struct creel_execspec one = {.argv = {"a"}, .user = "", .dir = ""};
	assert_int_equal(creel_execspec_encode(&one, &spec, &err), 0);
	assert_int_equal(boot_put(&boot), 0);
	creel_cellmsg_encode(&cell, buf);
	size_t n = creel_ctl_encode(&ctl, msg);
	alloc_fail_at(1);
	int r[] = {creel_execspec_decode(spec.data, spec.len, &s, &err),
		   creel_boot_decode(boot.data, boot.len, &b, &err),
		   creel_cellmsg_decode(buf, sizeof(buf), &cell2, &err),
		   creel_ctl_decode(msg, n, &ctl2, &err)};
	size_t made = alloc_count();
	alloc_fail_at(0);
	for (size_t i = 0; i < ELEMENTSOF(r); i++)
		assert_int_equal(r[i], 0);
	assert_int_equal(made, 0);
}

/* Every message of one size, one octet too short and too long, and cut anywhere */
static void sizes(void **state)
{
	struct creel_cellmsg cell = {.type = CREEL_CELL_READY}, out;
	uint8_t buf[CREEL_CELLMSG + 1] = {0};

	creel_cellmsg_encode(&cell, buf);
	for (size_t n = 0; n <= sizeof(buf); n++)
		assert_int_equal(creel_cellmsg_decode(buf, n, &out, &err),
				 n == CREEL_CELLMSG ? 0 : CREEL_E_PROTO);
	struct creel_buf autoclean(creel_buf_fini) boot;
	static struct creel_boot b;
	creel_buf_init(&boot, 1 << 20);
	struct creel_boot small = {.cell = "box", .n_volumes = 1, .volumes = {{"p", "/persist"}}};
	assert_int_equal(creel_boot_encode(&small, &boot, &err), 0);
	for (size_t n = 0; n < boot.len; n++) {
		/* a cut between two records is a shorter file, but the volume has lost its place */
		int r = creel_boot_decode(boot.data, n, &b, &err);
		if (r == 0 && b.n_volumes != 0)
			fail_msg("a file cut at %zu is taken whole", n);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(channel), cmocka_unit_test(encoders),
					   cmocka_unit_test(decoders_allocate_nothing),
					   cmocka_unit_test(sizes)};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
