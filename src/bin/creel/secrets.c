#include "secrets.h"
#include "engine/cellbroker.h"
#include "linux/memfd.h"
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { VALUE_MAX = 65536 };
extern char **environ;

/* Its name in gateway-env: the recipe says which secrets stand there. */
static void env_name(const struct creel_cell_cfg *cell, const struct creel_recipe *recipe, const char *secret,
		     char ret[65])
{
	ret[0] = '\0';
	for (size_t i = 0; i < recipe->secrets_env.n; i++) {
		if (strcmp(recipe->secrets_env.v[i].s, secret) != 0)
			continue;
		bool token = strcmp(cell->recipe.s, "openclaw") == 0 && strcmp(secret, "gateway-token") == 0;
		(void)snprintf(ret, 65, "%s%s", token ? "OPENCLAW_" : "", secret);
		for (char *p = ret; *p; p++)
			*p = *p == '-' ? '_' : (char)toupper((unsigned char)*p);
	}
}

static bool declared(const struct creel_plan *plan, const char *name)
{
	for (size_t i = 0; i < plan->n_secrets; i++)
		if (strcmp(plan->secrets[i].name, name) == 0)
			return true;
	return false;
}

/* A credential that `secrets` does not declare is in the store. */
static int brokers_plan(const struct creel_cell_cfg *cell, struct creel_plan *plan, struct creel_err *err)
{
	for (size_t i = 0; i < cell->broker.n; i++) {
		const char *name = cell->broker.v[i].secret.s;
		size_t n = plan->n_secrets;
		if (declared(plan, name))
			continue;
		if (n == CREEL_PLAN_SECRETS)
			return creel_err_set(err, CREEL_E_CONFIG, 0, "over %d secrets", CREEL_PLAN_SECRETS);
		(void)snprintf(plan->secrets[n].name, sizeof(plan->secrets[n].name), "%s", name);
		plan->secrets[n].broker = true;
		plan->n_secrets++;
	}
	return 0;
}

int secrets_plan(const struct creel_cell_cfg *cell, const struct creel_recipe *recipe,
		 struct creel_plan *plan, struct creel_err *err)
{
	if (cell->secrets.n > CREEL_PLAN_SECRETS)
		return creel_err_set(err, CREEL_E_CONFIG, 0, "over %d secrets", CREEL_PLAN_SECRETS);
	for (size_t i = 0; i < cell->secrets.n; i++) {
		const struct creel_secret_cfg *s = &cell->secrets.v[i];
		size_t n = plan->n_secrets;
		if (strlen(s->name.s) > 64)
			return creel_err_set(err, CREEL_E_CONFIG, 0,
					     "secret '%s': its name is over 64 octets", s->name.s);
		(void)snprintf(plan->secrets[n].name, sizeof(plan->secrets[n].name), "%s", s->name.s);
		plan->secrets[n].optional = s->optional.v;
		plan->secrets[n].bytes = s->generate.v ? (unsigned)s->bytes.v : 0;
		if (s->generate.v)
			plan->secrets[n].source = s->generate.v == CREEL_GENERATE_HEX ? CREEL_SOURCE_HEX
										      : CREEL_SOURCE_BASE64;
		else if (s->env.s || s->command.n > 0 || s->file.s)
			plan->secrets[n].source = CREEL_SOURCE_GIVEN;
		plan->secrets[n].broker = creel_cellbroker_holds(cell, s->name.s);
		if (!plan->secrets[n].broker)
			env_name(cell, recipe, s->name.s, plan->secrets[n].env);
		plan->n_secrets++;
	}
	return brokers_plan(cell, plan, err);
}

bool secrets_stored(const struct creel_secret_cfg *s)
{
	return !s->env.s && !s->file.s && !s->generate.v && !s->pair.s && s->command.n == 0;
}

bool secrets_of_broker(const struct creel_cell_cfg *cell, size_t i, struct creel_secret_cfg *ret)
{
	const char *name = cell->broker.v[i].secret.s;

	for (size_t k = 0; k < cell->secrets.n; k++)
		if (strcmp(cell->secrets.v[k].name.s, name) == 0)
			return false;
	for (size_t k = 0; k < i; k++)
		if (strcmp(cell->broker.v[k].secret.s, name) == 0)
			return false;
	*ret = (struct creel_secret_cfg){.name = cell->broker.v[i].secret};
	return true;
}

bool secrets_absent(const char *cell, const struct creel_secret_cfg *s, int dirfd, const char *state,
		    char *ret_why, size_t size)
{
	const char *v = s->env.s ? getenv(s->env.s) : NULL;
	char path[PATH_MAX + 128];

	if (s->env.s && (!v || !v[0])) {
		(void)snprintf(ret_why, size, "secret %s: the variable %s is not set", s->name.s, s->env.s);
		return true;
	}
	if (s->file.s && faccessat(dirfd, s->file.s, R_OK, 0) < 0) {
		(void)snprintf(ret_why, size, "secret %s: the file %.200s cannot be read", s->name.s,
			       s->file.s);
		return true;
	}
	if (!secrets_stored(s))
		return false;
	(void)snprintf(path, sizeof(path), "%s/secrets/%s/%s", state, cell, s->name.s);
	if (access(path, F_OK) == 0 || errno != ENOENT)
		return false;
	(void)snprintf(ret_why, size, "secret %s is not set: `creel secret set %s %s`", s->name.s, cell,
		       s->name.s);
	return true;
}

static int fd_read(int fd, struct creel_buf *out, const char *what, struct creel_err *err)
{
	uint8_t buf[4096];
	ssize_t n;
	int r = 0;

	while (r == 0 && (n = read(fd, buf, sizeof(buf))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		r = n < 0 ? creel_err_set(err, CREEL_E_OS, errno, "read %s", what)
			  : creel_buf_add(out, buf, (size_t)n, err);
	}
	sodium_memzero(buf, sizeof(buf));
	return r;
}

/* As the user, with the user's environment: `pass show x` needs its agent. */
static int command_run(const struct creel_strs *words, struct creel_buf *out, struct creel_err *err)
{
	char *argv[64];
	int pipefd[2], status = 0;
	pid_t pid;

	if (words->n >= ELEMENTSOF(argv))
		return creel_err_set(err, CREEL_E_CONFIG, 0, "a command of over 63 words");
	for (size_t i = 0; i < words->n; i++)
		argv[i] = (char *)(uintptr_t)words->v[i].s;
	argv[words->n] = NULL;
	if (pipe2(pipefd, O_CLOEXEC) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "pipe");
	posix_spawn_file_actions_t fa;
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_adddup2(&fa, pipefd[1], STDOUT_FILENO);
	int e = posix_spawnp(&pid, argv[0], &fa, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&fa);
	close(pipefd[1]);
	autofd int in = pipefd[0];
	if (e != 0)
		return creel_err_set(err, CREEL_E_CHILD, e, "run %s", argv[0]);
	int r = fd_read(in, out, argv[0], err);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (r == 0 && (!WIFEXITED(status) || WEXITSTATUS(status) != 0))
		r = creel_err_set(err, CREEL_E_CHILD, 0, "%s failed", argv[0]);
	/* a program's last newline is not a part of what it says */
	if (r == 0 && out->len > 0 && out->data[out->len - 1] == '\n')
		out->len--;
	return r;
}

/* @return 0, CREEL_E_NOTFOUND: the source has none */
static int value_get(const struct creel_secret_cfg *s, int dirfd, struct creel_buf *out,
		     struct creel_err *err)
{
	if (s->env.s) {
		const char *v = getenv(s->env.s);
		if (!v || !v[0])
			return creel_err_set(err, CREEL_E_NOTFOUND, 0, "the variable %s is not set",
					     s->env.s);
		return creel_buf_adds(out, v, err);
	}
	if (s->command.n > 0)
		return command_run(&s->command, out, err);
	autofd int fd = openat(dirfd, s->file.s, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return creel_err_set(err, errno == ENOENT ? CREEL_E_NOTFOUND : CREEL_E_OS, errno, "open %s",
				     s->file.s);
	return fd_read(fd, out, s->file.s, err);
}

int secrets_given(const struct creel_cell_cfg *cell, int dirfd, struct creel_err *err)
{
	json_t *all = json_object();
	int r = 0;

	for (size_t i = 0; r == 0 && i < cell->secrets.n; i++) {
		const struct creel_secret_cfg *s = &cell->secrets.v[i];
		struct creel_buf autoclean(creel_buf_fini) value = {0};
		struct creel_err why = {0};
		if (!s->env.s && s->command.n == 0 && !s->file.s)
			continue;
		creel_buf_init(&value, VALUE_MAX);
		r = value_get(s, dirfd, &value, &why);
		if (r == CREEL_E_NOTFOUND && s->optional.v) {
			r = 0;
			continue;
		}
		if (r == 0 && json_object_set_new(all, s->name.s,
						  json_stringn((const char *)value.data, value.len)) < 0)
			r = creel_err_set(&why, CREEL_E_INVALID, 0, "its value is not UTF-8");
		if (value.data)
			sodium_memzero(value.data, value.cap);
		if (r < 0) {
			*err = why;
			creel_err_add(err, "secret '%s'", s->name.s);
		}
	}
	autofree char *text = r < 0 ? NULL : json_dumps(all, JSON_COMPACT);
	json_decref(all);
	if (r < 0)
		return r;
	if (!text)
		return creel_err_nomem(err);
	int fd = creel_memfd_sealed("given", text, strlen(text), err);
	sodium_memzero(text, strlen(text));
	return fd;
}

static bool asked(const struct creel_config *config)
{
	char answer[16] = "";

	if (!isatty(STDIN_FILENO))
		return false;
	fprintf(stderr,
		"%s takes secrets from your environment, runs commands as you, or both.\n"
		"Trust this content of the file? [y/N] ",
		config->file);
	return fgets(answer, sizeof(answer), stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

int secrets_trust(struct creel_cli *cli, struct creel_client *client, const struct creel_config *config,
		  struct creel_err *err)
{
	char path[PATH_MAX + 80], hex[65];

	if (!creel_config_needs_trust(config))
		return 0;
	sodium_bin2hex(hex, sizeof(hex), config->hash, sizeof(config->hash));
	(void)snprintf(path, sizeof(path), "%s/trust", client->state);
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return creel_err_set(err, CREEL_E_OS, errno, "make %s", path);
	(void)snprintf(path, sizeof(path), "%s/trust/%s", client->state, hex);
	if (access(path, F_OK) == 0)
		return 0;
	if (!cli->trust && !asked(config))
		return creel_err_set(err, CREEL_E_DENIED, 0,
				     "%s holds keys that act on this machine (env, command, notify); look at "
				     "it, then say --trust once",
				     config->file);
	autofd int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	return fd < 0 ? creel_err_set(err, CREEL_E_OS, errno, "make %s", path) : 0;
}
