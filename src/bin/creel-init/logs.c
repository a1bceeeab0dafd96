#include "stream.h"
#include "wire/le.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct log {
	size_t service;
	uint64_t from;
	uint64_t time; /* of the line that was shown last: the rest of a very long one has none of its own */
};

/* "SECONDS.NANOSECONDS TEXT" as service.c keeps it; @return where the text begins */
static const char *stamp_read(const struct log_line *l, uint64_t *ret_ns)
{
	unsigned long long s = 0, ns = 0;
	int n = 0;

	if (sscanf(l->text, "%12llu.%9llu%n", &s, &ns, &n) < 2 || l->text[n] != ' ')
		return l->text;
	*ret_ns = s * 1000000000 + ns;
	return l->text + n + 1;
}

/* RFC 3339 in UTC: days to a date as the proleptic Gregorian calendar has them, from a March on */
static int time_show(uint64_t ns, char *ret, size_t size)
{
	uint64_t s = ns / 1000000000, days = s / 86400 + 719468, era = days / 146097, doe = days % 146097;
	uint64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	uint64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
	unsigned month = (unsigned)(mp < 10 ? mp + 3 : mp - 9);

	return snprintf(ret, size, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ ",
			(unsigned)(yoe + era * 400 + (month <= 2)), month,
			(unsigned)(doy - (153 * mp + 2) / 5 + 1), (unsigned)(s / 3600 % 24),
			(unsigned)(s / 60 % 60), (unsigned)(s % 60), (unsigned)(ns / 1000000 % 1000));
}

/* The earliest of the services' next lines; false when there is none. */
static bool log_next(struct stream *s, struct log_line *ret, struct log **ret_log)
{
	static struct log_line line;
	struct log *best = NULL;

	for (size_t i = 0; i < s->n_log; i++) {
		struct log *l = &s->log[i];
		uint64_t time = l->time;
		while (service_line(l->service, &l->from, !s->log_follow, &line)) {
			(void)stamp_read(&line, &time);
			if (time >= s->log_since)
				break;
			l->from = line.next;
		}
		if (time < s->log_since || !service_line(l->service, &l->from, !s->log_follow, &line))
			continue;
		l->time = time;
		if (!best || time < best->time) {
			best = l;
			*ret = line;
		}
	}
	*ret_log = best;
	return best;
}

void log_pump(struct stream *s)
{
	static struct log_line line;
	struct creel_err err = {0};
	struct log *l = NULL;
	char stamp[40];

	while (stream_push(s)) {
		if (!log_next(s, &line, &l)) {
			if (!s->log_follow)
				(void)creel_mux_eof(in.mux, s->id, &err);
			return;
		}
		const char *text = stamp_read(&line, &l->time);
		l->from = line.next;
		int n = time_show(l->time, stamp, sizeof(stamp));
		(void)creel_buf_add(&s->pending, stamp, (size_t)n, &err);
		if (s->n_log > 1)
			(void)creel_buf_addf(&s->pending, &err, "%s: ", service_name(l->service));
		(void)creel_buf_add(&s->pending, text, line.len - (size_t)(text - line.text), &err);
		(void)creel_buf_add(&s->pending, "\n", 1, &err);
	}
}

void logs_open(struct stream *s, const uint8_t *buf, size_t len)
{
	char name[128] = "";
	size_t n = 0;

	if (len < 9 || len - 9 >= sizeof(name)) {
		stream_refuse(s, "malformed log spec");
		return;
	}
	memcpy(name, buf + 9, len - 9);
	int one = name[0] ? service_find(name) : -1;
	while (service_name(n))
		n++;
	if (n == 0 || (name[0] && one < 0)) {
		stream_refuse(s, name[0] ? "no such service" : "the cell has no service");
		return;
	}
	s->log = calloc(n, sizeof(*s->log));
	if (!s->log) {
		stream_refuse(s, "out of memory");
		return;
	}
	s->n_log = one < 0 ? n : 1;
	for (size_t i = 0; i < s->n_log; i++)
		s->log[i].service = one < 0 ? i : (size_t)one;
	s->log_follow = buf[0] & 1;
	s->log_since = creel_le64(buf + 1);
	log_pump(s);
}
