#pragma once
#include "cli.h"

/* One line a verb: int cmd_NAME(struct creel_cli *, int, char **, struct creel_err *); */
