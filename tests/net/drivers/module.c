// Answers for the kernel module of NVIDIA's driver, as far as its libraries ask for its version: the
// version is that of the variable MODULE. Loaded before them with LD_PRELOAD.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

// NV_ESC_CHECK_VERSION_STR of open-gpu-kernel-modules, `nv-ioctl.h`.
#define CHECK_VERSION 0xC04846D2ul
struct version {
    unsigned command, reply;
    char text[64];
};
// A library that only wants to know. All others want the very same version.
#define QUERY '2'

static int checked(struct version *it) {
    const char *module = getenv("MODULE");
    int same = strncmp(it->text, module, sizeof it->text) == 0;
    if (it->command == 0)
        fprintf(stderr, "library %.64s, module %s\n", it->text, module);
    it->reply = 1;
    snprintf(it->text, sizeof it->text, "%s", module);
    if (same || it->command == QUERY) return 0;
    errno = EINVAL;
    return -1;
}

int ioctl(int fd, unsigned long request, ...) {
    va_list rest;
    va_start(rest, request);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    if (request == CHECK_VERSION) return checked(argument);
    int (*real)(int, unsigned long, ...) = dlsym(RTLD_NEXT, "ioctl");
    return real(fd, request, argument);
}

// The libraries open the node only if it has the driver's numbers.
static int numbered(const char *path, struct stat *found, int result) {
    if (result == 0 && strcmp(path, "/dev/nvidiactl") == 0) found->st_rdev = makedev(195, 255);
    return result;
}

int stat(const char *path, struct stat *found) {
    int (*real)(const char *, struct stat *) = dlsym(RTLD_NEXT, "stat");
    return numbered(path, found, real(path, found));
}

// What `stat` is called in libraries that are made for a glibc before 2.33.
int __xstat(int version, const char *path, struct stat *found) {
    int (*real)(int, const char *, struct stat *) = dlsym(RTLD_NEXT, "__xstat");
    return numbered(path, found, real(version, path, found));
}
