#include "engine/engine.h"
#include <string.h>

/* Streams that run through creel-cells: what is known here of each is its beginning and its end. */
static struct stream {
	uint32_t id; /* 0: free */
	struct eng_cell *cell;
	bool recorded;
} streams[ENGINE_STREAMS];
static uint32_t last_id;

uint32_t streams_next(void)
{
	uint32_t id = last_id;

	for (size_t i = 0; i < ENGINE_STREAMS; i++) {
		id = id == UINT32_MAX ? 1 : id + 1;
		if (streams[id % ENGINE_STREAMS].id == 0)
			return id;
	}
	return 0;
}

int streams_open(struct eng_cell *c, uint8_t kind, const void *spec, size_t len, int fd, bool recorded,
		 uint32_t *ret_id, struct creel_err *err)
{
	uint32_t id = streams_next();
	struct stream *s = &streams[id % ENGINE_STREAMS];

	if (id == 0)
		return creel_err_set(err, CREEL_E_BUSY, 0, "%d streams are open", ENGINE_STREAMS);
	struct creel_cellmsg m = {.type = CREEL_CELL_OPEN, .state = kind, .id = id};
	int r = cells_send(c, &m, spec, len, fd, err);
	if (r < 0)
		return r;
	last_id = id;
	*s = (struct stream){.id = id, .cell = c, .recorded = recorded};
	if (ret_id)
		*ret_id = s->id;
	return 0;
}

static void end(struct stream *s, bool cut, const char *why)
{
	if (s->recorded) {
		struct creel_event e = {.kind = CREEL_EV_EXEC_END, .cell = s->cell->name};
		creel_event_num(&e, "stream", s->id);
		if (cut)
			creel_event_str(&e, "cut", why);
		journal_note(&e);
	}
	*s = (struct stream){.id = 0};
}

void streams_end(struct eng_cell *c, uint32_t id, bool cut, const char *why)
{
	struct stream *s = &streams[id % ENGINE_STREAMS];

	if (id != 0 && s->id == id && s->cell == c)
		end(s, cut, why);
}

void streams_end_cell(struct eng_cell *c, const char *why)
{
	for (size_t i = 0; i < ENGINE_STREAMS; i++)
		if (streams[i].id != 0 && streams[i].cell == c)
			end(&streams[i], true, why);
}
