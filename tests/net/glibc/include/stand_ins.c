/* What glibc's support library asks of the file system: time_t has 64 bits here. */
#include <stdbool.h>
#include <stdint.h>

bool
support_path_support_time64_value (const char *path, int64_t accessed, int64_t modified)
{
  return true;
}

bool
support_path_support_time64 (const char *path)
{
  return true;
}
