#include "tests/cmocka-all.h"
#include "vmm/vmm.h"
#include <stdint.h>
#include <time.h>

#ifdef __x86_64__
static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}
#endif

/* What is said of the counter is what it does: a guest's clock goes by it. */
static void as_fast_as_it_is(void **state)
{
#ifdef __x86_64__
	enum { TRIES = 20 };
	unsigned khz = creel_vmm_tsc_khz();
	double most = 0;

	assert_true(khz > 100000 && khz < 20000000);
	/* the clock's span holds the counter's: a try that was put aside in between sees the counter slower */
	for (int i = 0; i < TRIES && most < 0.99; i++) {
		double s = now_s();
		uint64_t from = __builtin_ia32_rdtsc();
		(void)nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
		uint64_t ticks = __builtin_ia32_rdtsc() - from;
		s = now_s() - s;
		double rate = (double)ticks / s / (khz * 1e3);
		assert_true(rate <= 1.01);
		most = rate > most ? rate : most;
	}
	assert_true(most >= 0.99);
	assert_int_equal(creel_vmm_tsc_khz(), khz);
#else
	assert_int_equal(creel_vmm_tsc_khz(), 0);
#endif
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(as_fast_as_it_is)};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
