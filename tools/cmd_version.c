/* yore version. */
#include <stdio.h>

#include "fetch/format/ids.h"
#include "tools/command.h"
#include "tools/print.h"

static enum err run_version(struct run *run)
{
    if (run->settings->json)
        return print_json(json_pack("{ss si}", "version", YORE_VERSION, "format", FORMAT_VERSION));
    printf("yore %s (store format %d)\n", YORE_VERSION, FORMAT_VERSION);
    return ERR_OK;
}

const struct command cmd_version = {
    .name = "version",
    .usage = "",
    .summary = "version of the program and of the store format",
    .most_words = 0,
    .run = run_version,
};
