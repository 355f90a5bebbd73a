/*
 * keys: a keyring for tests, the same bytes each run.
 */
#pragma once

#include "fetch/format/keyring.h"

/* Every role, domain 1 "main", epoch 1. Never fails in a test that should go on: NULL fails the test itself. */
struct keyring *test_keyring(void);
