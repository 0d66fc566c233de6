/* Which build this is; the values are written by the build (cmake/version.cmake). */
#ifndef APP_VERSION_H
#define APP_VERSION_H

extern const char firmware_version[]; /* of pyproject.toml */
extern const char
    firmware_revision[]; /* git revision, "-dirty" behind it when files differ from it; or "unknown" */

#endif
