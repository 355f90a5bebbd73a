/*
 * read: files into chunks: what workers do with what the scanner found.
 *
 * A worker owns a batch of files: all of the next batch are opened and asked for (WILLNEED) before
 * this one is read, so that the disk never waits for us. Small files are read side by side into one
 * buffer, hashed together and put in one call; larger ones are cut (cut.h) in memory; the largest,
 * and those with holes, go through pieces.h, one at a time.
 *
 * A file that is not the same before and after is read again, up to three times, then kept as it
 * was read and reported.
 *
 * Threads: read_batches in each worker, read_bigs in one thread.
 */
#pragma once

#include "writers/pipeline/cut.h"
#include "writers/source/run.h"

/* Both return when their queue is closed and empty, or the run stopped. Their error is the run's.
 */
enum err read_batches(struct files_run *run, const struct cut_keys *keys);
enum err read_bigs(struct files_run *run);
