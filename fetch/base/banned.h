/*
 * banned: calls that have no safe use here do not compile. The build includes this before every file.
 *
 * The headers that declare or inline them come first, so only our own calls are caught. A call reads
 * in the error message as what to use instead. (The idea is git's banned.h.)
 */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* They write until they are done, not until there is no room. */
#undef strcpy
#define strcpy(...) BANNED_strcpy_use_snprintf_or_buf
#undef strcat
#define strcat(...) BANNED_strcat_use_snprintf_or_buf
#undef strncpy
#define strncpy(...) BANNED_strncpy_may_not_terminate_use_snprintf
#undef strncat
#define strncat(...) BANNED_strncat_use_snprintf_or_buf
#undef sprintf
#define sprintf(...) BANNED_sprintf_use_snprintf
#undef vsprintf
#define vsprintf(...) BANNED_vsprintf_use_vsnprintf
#undef gets
#define gets(...) BANNED_gets_use_getline

/* They cannot say that the text was no number. */
#undef atoi
#define atoi(...) BANNED_atoi_use_text_parse
#undef atol
#define atol(...) BANNED_atol_use_text_parse
#undef atoll
#define atoll(...) BANNED_atoll_use_text_parse

/* One hidden state for all threads. */
#undef strtok
#define strtok(...) BANNED_strtok_use_strtok_r
#undef localtime
#define localtime(...) BANNED_localtime_use_clock_h
#undef gmtime
#define gmtime(...) BANNED_gmtime_use_clock_h
#undef ctime
#define ctime(...) BANNED_ctime_use_clock_h
#undef asctime
#define asctime(...) BANNED_asctime_use_clock_h
#undef strerror
#define strerror(...) BANNED_strerror_use_err_errno
