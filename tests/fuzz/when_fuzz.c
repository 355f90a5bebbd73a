/* clock_parse_when and its parts take any text without harm, and what they take they can say again. */
#include "tests/fuzz/fuzz.h"

#include <string.h>
#include <time.h>

#include "fetch/base/clock.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
    tzset();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[256];
    if (size >= sizeof text)
        return 0;
    memcpy(text, data, size);
    text[size] = 0;

    static const struct timestamp now = {1795176000, 250000000};
    struct timestamp t = {42, 42}, again;
    char said[TIME_TEXT_MAX];
    if (clock_parse_when(text, now, &t) != ERR_OK) {
        FUZZ_CHECK(t.secs == 42 && t.nanos == 42);
        FUZZ_CHECK(*err_text());
    } else {
        FUZZ_CHECK(t.nanos < 1000000000);
        clock_format_rfc3339(t, 9, said);
        if (said[0] != '@') {
            FUZZ_CHECK(clock_parse_rfc3339(said, &again) == ERR_OK);
            FUZZ_CHECK(timestamp_compare(t, again) == 0);
        }
        clock_format_local(t, said);
        if (said[0] != '@') {
            FUZZ_CHECK(clock_parse_rfc3339(said, &again) == ERR_OK);
            FUZZ_CHECK(again.secs == t.secs);
        }
    }
    if (clock_parse_compact(text, &t) == ERR_OK) {
        clock_format_compact(t, said);
        FUZZ_CHECK(strcmp(said, text) == 0); /* a name has one spelling */
    }
    int64_t age_secs;
    if (clock_parse_age(text, &age_secs) == ERR_OK)
        FUZZ_CHECK(age_secs >= 0);
    return 0;
}
