#pragma once
#include "cli.h"

/* One line a verb: int cmd_NAME(struct creel_cli *, int, char **, struct creel_err *); */
int cmd_approvals(struct creel_cli *cli, int argc, char **argv, struct creel_err *err);
int cmd_approve(struct creel_cli *cli, int argc, char **argv, struct creel_err *err);
int cmd_deny(struct creel_cli *cli, int argc, char **argv, struct creel_err *err);
int cmd_build(struct creel_cli *cli, int argc, char **argv, struct creel_err *err);
int cmd_cp(struct creel_cli *cli, int argc, char **argv, struct creel_err *err);
int cmd_verify(struct creel_cli *cli, int argc, char **argv, struct creel_err *err);
int cmd_doctor(struct creel_cli *cli, int argc, char **argv, struct creel_err *err);
int cmd_plan(struct creel_cli *cli, int argc, char **argv, struct creel_err *err);
int cmd_schema(struct creel_cli *cli, int argc, char **argv, struct creel_err *err);
int cmd_policy(struct creel_cli *cli, int argc, char **argv, struct creel_err *err);
int cmd_up(struct creel_cli *cli, int argc, char **argv, struct creel_err *err);
int cmd_down(struct creel_cli *cli, int argc, char **argv, struct creel_err *err);
int cmd_restart(struct creel_cli *cli, int argc, char **argv, struct creel_err *err);
int cmd_status(struct creel_cli *cli, int argc, char **argv, struct creel_err *err);
int cmd_exec(struct creel_cli *cli, int argc, char **argv, struct creel_err *err);
int cmd_shell(struct creel_cli *cli, int argc, char **argv, struct creel_err *err);
int cmd_logs(struct creel_cli *cli, int argc, char **argv, struct creel_err *err);
int cmd_secret(struct creel_cli *cli, int argc, char **argv, struct creel_err *err);
int cmd_events(struct creel_cli *cli, int argc, char **argv, struct creel_err *err);
int cmd_killswitch(struct creel_cli *cli, int argc, char **argv, struct creel_err *err);
int cmd_model(struct creel_cli *cli, int argc, char **argv, struct creel_err *err);
int cmd_open(struct creel_cli *cli, int argc, char **argv, struct creel_err *err);
int cmd_scan(struct creel_cli *cli, int argc, char **argv, struct creel_err *err);

/* cmd-suggest.c: a part of `creel policy` */
int policy_suggest(struct creel_cli *cli, const char *cell, struct creel_err *err);

/* become.c */
/**
 * Become the program @p name, of which a verb is: its argv, and `--json` when that was given. With `--state-dir`
 * the models are below it too: $CREEL_MODELS.
 *
 * @return only when it failed
 */
int cmd_become(const char *name, const struct creel_cli *cli, int argc, char **argv, struct creel_err *err);
