/*
 * snapshot_rows: a snapshot as a row of the catalog, and back.
 *
 * Threads: as the catalog.
 */
#pragma once

#include "index/catalog.h"
#include "index/index.h"

#define SNAPSHOT_COLUMNS                                                                                                      \
    "id, object, sha256, domain, service, kind, name, secs, nanos, finished_secs, finished_nanos, flags, writer, host,"       \
    " session, host_name, lane_number, nodes, files, dirs, bytes, new_bytes, stored_bytes, left_out, root, labels"

/* Insert, or do nothing if its object is there; number and name of info do not count: the row has no name yet. */
enum err snapshot_row_put(struct catalog *catalog, const struct snapshot_info *info);
/* From a query that selects SNAPSHOT_COLUMNS. */
enum err snapshot_row_read(struct query *query, struct snapshot_info *ret_info);
