/*
 * fuse_api: libfuse's low-level interface, the version we write against said once.
 */
#pragma once

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>
