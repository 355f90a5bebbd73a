/*
 * notes: what a run could not do, entry by entry: unreadable, vanished, changed while read, left
 * aside.
 *
 * Kept as JSON rows for the manifest and as lines for the log, the first 10,000 of them; counted
 * without end.
 *
 * Threads: any; one lock.
 */
#pragma once

#include <jansson.h>

#include "fetch/base/buf.h"

enum note_what { NOTE_UNREADABLE, NOTE_VANISHED, NOTE_CHANGED, NOTE_SKIPPED, NOTE_KINDS };

struct notes;
enum err notes_new(struct notes **ret_notes);
void notes_free(struct notes *notes);
DEFINE_AUTO_PTR(notes);

/* path: of any bytes, as the source has it. why: a sentence's end ("Permission denied"). Warned
 * about at once. */
void notes_add(struct notes *notes, enum note_what what, struct slice path, const char *why);
uint64_t notes_count(struct notes *notes, enum note_what what);

/* A new JSON array of {"path", "what", "why"} objects, with "path_base64" where the name is no
 * UTF-8 (its "path" is then the escaped text of hex.h); NULL without memory. And the same as lines
 * of text. */
json_t *notes_json(struct notes *notes);
enum err notes_text(struct notes *notes, struct buf *out);
