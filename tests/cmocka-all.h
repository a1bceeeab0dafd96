#pragma once
/* cmocka.h and the headers that it wants first */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

/* outside of a cmocka test its own is silent */
#undef fail_msg
#define fail_msg(...) (fprintf(stderr, "# " __VA_ARGS__), fputc('\n', stderr), fail())
