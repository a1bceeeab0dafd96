/*
 * creel-gate: the program between an agent and a tool that holds the keys. sshd runs it for every
 * command of the agent's key (authorized_keys: restrict,command="creel-gate"); it reads
 * SSH_ORIGINAL_COMMAND, decides by /etc/creel/gate.conf, and execs the tool with an environment of
 * its own making. The caller controls that one string, standard input and nothing else.
 *
 * Exit 6: refused, the reason on standard error (JSON when the call asked for JSON); 125: the gate
 * itself failed; else the tool's own.
 */
#include "base/escape.h"
#include "base/log.h"
#include "gate.h"
#include "wire/call.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#define REFUSED 6
#define FAILED  125
enum { LOG_MAX = 8 << 20 }; /* octets of the log, and of the one before it */

static int file_read(const char *path, struct creel_buf *text, struct creel_err *err)
{
	autofd int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	ssize_t n;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "open %s", path);
	if (!S_ISREG(st.st_mode) || (st.st_uid != 0 && st.st_uid != geteuid()) || (st.st_mode & 022))
		return creel_err_set(err, CREEL_E_DENIED, 0, "%s may be written by others", path);
	do {
		r = creel_buf_reserve(text, 4096, err);
		if (r < 0)
			return creel_err_add(err, "read %s", path);
		n = read(fd, text->data + text->len, 4096);
		if (n < 0)
			return creel_err_set(err, CREEL_E_OS, errno, "read %s", path);
		text->len += (size_t)n;
	} while (n > 0);
	return 0;
}

/* The recipe's file and the host's, or the one that tests give. */
static int conf_read(const char *path, struct creel_gateconf *ret, struct creel_err *err)
{
	struct creel_buf autoclean(creel_buf_fini) text;
	int r = 0;

	creel_buf_init(&text, CREEL_GATECONF_MAX);
	if (!path)
		r = file_read("/etc/creel/tool.conf", &text, err);
	if (r == 0 && !path)
		r = creel_buf_adds(&text, "\n", err);
	if (r == 0)
		r = file_read(path ? path : "/etc/creel/gate.conf", &text, err);
	if (r == 0)
		r = creel_gateconf_parse((const char *)text.data, text.len, ret, err);
	return r < 0 ? creel_err_add(err, "%s", path ? path : "the gate's configuration") : 0;
}

/* "TIME WORD RULE | WHY | ARGS": one line, every foreign octet escaped, appended in one write. */
static int log_line(const char *path, const char *word, const char *rule, const char *why,
		    const char *command, struct creel_err *err)
{
	struct creel_buf autoclean(creel_buf_fini) line = {0};
	char when[32];
	time_t now = time(NULL);
	struct tm tm;

	if (!path)
		return 0;
	creel_buf_init(&line, 4 * CREEL_COMMAND_MAX + 4096);
	(void)strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
	int r = creel_buf_addf(&line, err, "%s %s %s | ", when, word, rule);
	if (r >= 0)
		r = creel_escape_term(&line, why, strlen(why), err);
	if (r >= 0)
		r = creel_buf_adds(&line, " | ", err);
	if (r >= 0)
		r = creel_escape_term(&line, command, strnlen(command, CREEL_COMMAND_MAX), err);
	if (r >= 0)
		r = creel_buf_adds(&line, "\n", err);
	if (r < 0)
		return r;
	autofd int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
	if (fd < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "open %s", path);
	if (write(fd, line.data, line.len) != (ssize_t)line.len)
		return creel_err_set(err, CREEL_E_OS, errno, "write %s", path);
	/* who calls a lot must not fill the disk: the host's record has the calls anyway */
	struct stat st;
	char old[4096];
	if (fstat(fd, &st) == 0 && st.st_size > LOG_MAX &&
	    (size_t)snprintf(old, sizeof(old), "%s.1", path) < sizeof(old))
		(void)rename(path, old);
	return 0;
}

static int refuse(const char *decision, const char *rule, const char *why, bool json)
{
	struct creel_buf autoclean(creel_buf_fini) out;
	struct creel_err err = {0};
	const char *const keys[] = {"decision", "rule", "why"}, *const values[] = {decision, rule, why};

	creel_buf_init(&out, 65536);
	if (!json) {
		(void)creel_buf_addf(&out, &err, "creel-gate: %s: ", decision);
		(void)creel_escape_term(&out, why, strlen(why), &err);
		(void)creel_buf_adds(&out, " (rule: ", &err);
		(void)creel_escape_term(&out, rule, strlen(rule), &err);
		(void)creel_buf_adds(&out, ")\n", &err);
	} else {
		for (size_t i = 0; i < ELEMENTSOF(keys); i++) {
			(void)creel_buf_addf(&out, &err,
					     "%s\"%s\":", i ? "," : "{\"error\":{\"code\":\"refused\",",
					     keys[i]);
			(void)creel_escape_json(&out, values[i], strlen(values[i]), &err);
		}
		(void)creel_buf_adds(&out, "}}\n", &err);
	}
	fputs(creel_buf_str(&out), stderr);
	return REFUSED;
}

static int answered(const struct gate_call *call, const char *decision, const char *why)
{
	return refuse(decision, call->a.rule, why, call->a.json);
}

static int refused(const struct gate_call *call, const char *why, struct creel_err *err)
{
	(void)log_line(call->conf->log, "REFUSED", call->a.rule, why, call->command, err);
	return answered(call, "deny", why);
}

/* The files that the call names, in its own words. */
static void files_find(struct gate_call *call)
{
	struct creel_gate_part parts[CREEL_CALL_LINES];
	size_t n = creel_gate_parts(&call->conf->gate, call->argv, parts, ELEMENTSOF(parts));

	for (size_t i = 0; i < MIN(n, ELEMENTSOF(parts)) && call->n_files < CREEL_GATE_FILES; i++)
		if (parts[i].use == CREEL_USE_IN || parts[i].use == CREEL_USE_OUT)
			call->file[call->n_files++] = (struct gate_file){
				.name = parts[i].file, .out = parts[i].use == CREEL_USE_OUT};
}

/*
 * From here on nothing that the tool will read can change: standard input is in a sealed memory file, the
 * files are copies, and what stands at the service, where the verb acts on such a thing, is known by its hash.
 */
static int fix(struct gate_call *call, struct creel_err *err)
{
	bool ask = call->a.decision == CREEL_ASK, shows = call->a.tool_verb && call->a.tool_verb->shows;
	int r = call->a.reads_stdin && !call->a.files ? input_take(call, err) : 0;

	if (r == 0 && !call->a.files)
		files_find(call);
	if (r == 0 && call->n_files > 0)
		r = stage_take(call, err);
	if (r == 0 && ask && shows)
		r = run_show(call, err);
	return r;
}

/*
 * What was shown is still there: nobody of ours can change it from now to the end of the call, because
 * every other call takes the lock too.
 */
static int still_shown(struct gate_call *call, struct creel_err *err)
{
	uint8_t before[32];

	memcpy(before, call->shown_hash, sizeof(before));
	int r = run_show(call, err);
	if (r == 0 && memcmp(before, call->shown_hash, sizeof(before)) != 0)
		r = creel_err_set(err, CREEL_E_DENIED, 0,
				  "what it acts on is no longer what was shown: ask again");
	return r;
}

/* Where a verb is bound to what it was shown, the others do not run while it is looked at and done. */
static int lock_take(struct gate_call *call, bool alone, struct creel_err *err)
{
	autofd int home = -1;
	bool any = false;
	int r;

	for (size_t i = 0; i < call->conf->gate.n_rules; i++)
		any |= call->conf->gate.rules[i].decision == CREEL_ASK &&
		       call->conf->gate.rules[i].verb->shows;
	if (!any)
		return 0;
	r = stage_home(call->conf, &home, err);
	return r < 0 ? r : stage_lock(home, "lock", alone ? LOCK_EX : LOCK_SH, &call->lock, err);
}

/*
 * A human decides. This argv, that stands in our memory from now on, is what they see, and what runs. The
 * host uses the yes up, on disk, before it tells us; so it runs once, or not at all.
 */
static int asked(struct gate_call *call, struct creel_err *err)
{
	struct creel_err why = {0};
	char words[1024];

	if (!call->conf->host)
		return answered(
			call, "ask",
			"this needs a human's yes, and the gate cannot ask for one here; nothing was run");
	int r = question_ask(call, words, sizeof(words), &why);
	if (r == CREEL_E_NOMEM)
		return creel_err_nomem(err);
	if (r != CREEL_CALL_OK) {
		(void)log_line(call->conf->log, "REFUSED", call->a.rule, words, call->command, err);
		if (r == CREEL_E_CANCEL) /* nobody is there to be told */
			return REFUSED;
		return answered(call, r == CREEL_CALL_EXPIRED || r == CREEL_E_TIMEOUT ? "expired" : "deny",
				words);
	}
	bool bound = call->a.tool_verb->shows != NULL;
	if (lock_take(call, bound, &why) < 0 || (bound && still_shown(call, &why) < 0))
		return refused(call, why.msg, err);
	r = log_line(call->conf->log, "EXEC", call->a.rule, words, call->command, err);
	return r < 0 ? r : run_tool(call, err);
}

static int allowed(struct gate_call *call, struct creel_err *err)
{
	int r = question_tell(call, "gate.exec", err);

	if (r < 0)
		return r;
	if (call->a.files) {
		struct creel_err why = {0};
		r = files_serve(call, &why);
		if (r < 0)
			answered(call, "failed", why.msg);
		return r < 0;
	}
	r = lock_take(call, false, err);
	return r < 0 ? r : run_tool(call, err);
}

/* Decide and act. @return an exit status, or a negative code */
static int decided(struct gate_call *call, struct creel_err *err)
{
	struct creel_err why = {0};
	const char *word = call->a.decision == CREEL_ALLOW ? "EXEC"
			   : call->a.decision == CREEL_ASK ? "ASKED"
							   : "DENIED";
	/* nothing runs that is not on the record first */
	int r = log_line(call->conf->log, word, call->a.rule, call->a.why, call->command, err);

	if (r < 0)
		return r;
	if (call->a.decision == CREEL_DENY) {
		/* a refusal stands even where nobody can write it down */
		(void)question_tell(call, "gate.deny", &why);
		return answered(call, "deny", call->a.why);
	}
	r = stage_slot(call, &why);
	if (r == 0)
		r = fix(call, &why);
	if (r == CREEL_E_NOMEM || (r < 0 && why.code == CREEL_E_OS)) {
		*err = why;
		return r;
	}
	if (r < 0)
		return refused(call, why.msg, err);
	return call->a.decision == CREEL_ASK ? asked(call, err) : allowed(call, err);
}

static int call_run(const struct creel_gateconf *conf, const char *command, struct creel_err *err)
{
	struct creel_argv autoclean(creel_argv_fini) argv = {0};
	static struct gate_call call;
	struct creel_err bad = {0};
	int r = creel_argv_parse(command, strlen(command), &argv, &bad);

	call = (struct gate_call){
		.conf = conf,
		.argv = &argv,
		.a = {.decision = CREEL_DENY, .rule = "default: deny"},
		.command = command,
		.slot = -1,
		.lock = -1,
		.out = -1,
		.input = -1,
		.stage = -1,
	};
	creel_buf_init(&call.shown, GATE_SHOWN_MAX);
	if (r == CREEL_E_NOMEM)
		return creel_err_nomem(err);
	if (r < 0)
		(void)snprintf(call.a.why, sizeof(call.a.why), "%s", bad.msg);
	else
		creel_gate_decide(&conf->gate, &argv, &call.a);
	r = decided(&call, err);
	stage_drop(&call);
	creel_buf_fini(&call.shown);
	return r;
}

int main(int argc, char **argv)
{
	struct creel_gateconf autoclean(creel_gateconf_fini) conf = {0};
	struct creel_err err = {0};
	const char *command = getenv("SSH_ORIGINAL_COMMAND");
	/* the one argument is of authorized_keys, not of the caller: another file, for tests */
	const char *path = argc == 2 ? argv[1] : NULL;

	creel_log_name("creel-gate");
	if (argc > 2 || (argc == 2 && argv[1][0] == '-')) {
		fputs("usage: creel-gate [FILE], by sshd, with SSH_ORIGINAL_COMMAND\n", stderr);
		return FAILED;
	}
	int r = conf_read(path, &conf, &err);
	if (r == 0 && (!command || !*command))
		r = refuse("deny", "default: deny", "no command: a shell is not given here", false);
	else if (r == 0)
		r = call_run(&conf, command, &err);
	if (r < 0)
		creel_log_error(&err);
	return r < 0 ? FAILED : r;
}
