#pragma once
/** The version of creel's public headers (SemVer); a change of the first number breaks callers. */
#define CREEL_HEADER_VERSION "0.1.0"
