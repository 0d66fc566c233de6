# Writes OUTPUT with the version of PYPROJECT and the git revision of ROOT; touches the file only when that changes.
file(STRINGS ${PYPROJECT} line REGEX "^version = \"" LIMIT_COUNT 1)
string(REGEX REPLACE "^version = \"([^\"]+)\".*" "\\1" version "${line}")
if(version STREQUAL "")
  message(FATAL_ERROR "no version in ${PYPROJECT}")
endif()

execute_process(
  COMMAND git describe --always --dirty --abbrev=12 --exclude=*
  WORKING_DIRECTORY ${ROOT}
  OUTPUT_VARIABLE revision
  OUTPUT_STRIP_TRAILING_WHITESPACE
  ERROR_QUIET
  RESULT_VARIABLE failed)
if(failed OR revision STREQUAL "")
  set(revision "unknown")
endif()

file(CONFIGURE OUTPUT ${OUTPUT} CONTENT [[
#include "app/version.h"

const char firmware_version[] = "@version@";
const char firmware_revision[] = "@revision@";
]] @ONLY)
