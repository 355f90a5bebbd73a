/*
 * print: text for people, JSON for programs, never mixed.
 */
#pragma once

#include <jansson.h>
#include <stdio.h>

#include "index/index.h"
#include "index/walk.h"

/* Write a name as people may see it (control bytes escaped). */
void print_name(FILE *to, struct slice raw);

/* One JSON object on a line; takes the reference. ERR_IO when standard output is gone. */
enum err print_json(json_t *object);

/* A name or path for JSON: "key": text, and "key_base64" when it is no UTF-8. */
void json_set_name(json_t *object, const char *key, struct slice raw);
void json_set_time(json_t *object, const char *key, struct timestamp t);
json_t *json_of_totals(const struct totals *totals);
json_t *json_of_snapshot(const struct snapshot_info *snapshot);
json_t *json_of_entry(struct slice path, const struct entry *entry, uint64_t position);

/* ls -l as one line: mode, owner, size, local time, path, link target. */
void print_entry(struct slice path, const struct entry *entry);
/* drwxr-xr-x */
void mode_text(const struct entry *entry, char ret_text[11]);

/* Flush standard output and say ERR_IO if anything was lost. */
enum err print_finish(void);
