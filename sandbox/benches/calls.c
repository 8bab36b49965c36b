/* What a call costs, in cycles of the time-stamp counter, which no clock of a sandbox changes.
 * Prints a name and the least of several rounds for each. Directories to read are arguments. */
#define _GNU_SOURCE
#include <dirent.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

extern char **environ;
static struct timespec now;
static struct timeval tv;
static struct stat status;
static struct utsname names;
static char bytes[16];
static const char *directory;
static char *self;

static void realtime(void) { clock_gettime(CLOCK_REALTIME, &now); }
static void monotonic(void) { clock_gettime(CLOCK_MONOTONIC, &now); }
static void of_day(void) { gettimeofday(&tv, NULL); }
static void seconds(void) { time(NULL); }
static void raw(void) { syscall(SYS_clock_gettime, CLOCK_REALTIME, &now); }
static void randomness(void) { getrandom(bytes, sizeof bytes, 0); }
static void machine(void) { uname(&names); }
static void look(void) { stat("/", &status); }
static void unrelated(void) { syscall(SYS_getppid); }
static void wait_short(void) { struct timespec t = {0, 1}; ppoll(NULL, 0, &t, NULL); }
static void sleep_short(void) { struct timespec t = {0, 1}; nanosleep(&t, NULL); }

static void list(void)
{
    DIR *open = opendir(directory);
    while (readdir(open)) {}
    closedir(open);
}

static void fork_only(void)
{
    pid_t child = fork();
    if (child == 0) _exit(0);
    waitpid(child, NULL, 0);
}

static void execute(void)
{
    pid_t child;
    char *argv[] = {self, "end", NULL};
    posix_spawn(&child, self, NULL, NULL, argv, environ);
    waitpid(child, NULL, 0);
}

static void measure(const char *name, void (*call)(void), int count)
{
    unsigned long long best = ~0ULL;
    for (int round = 0; round < 15; round++) {
        unsigned long long start = __rdtsc();
        for (int i = 0; i < count; i++) call();
        unsigned long long spent = (__rdtsc() - start) / count;
        if (spent < best) best = spent;
    }
    printf("%s\t%llu\n", name, best);
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "end")) return 0;
    self = argv[0];
    measure("clock_gettime REALTIME", realtime, 20000);
    measure("clock_gettime MONOTONIC", monotonic, 20000);
    measure("gettimeofday", of_day, 20000);
    measure("time", seconds, 20000);
    measure("clock_gettime as a raw call", raw, 200);
    measure("getrandom of 16 bytes", randomness, 200);
    measure("uname", machine, 200);
    measure("stat", look, 200);
    measure("getppid, which is not asked about", unrelated, 2000);
    measure("ppoll of 1 ns", wait_short, 50);
    measure("nanosleep of 1 ns", sleep_short, 50);
    measure("fork and wait", fork_only, 20);
    measure("exec and wait", execute, 20);
    for (int i = 1; i < argc; i++) {
        directory = argv[i];
        char name[64];
        snprintf(name, sizeof name, "list %s", strrchr(argv[i], '/') + 1);
        measure(name, list, i < 3 ? 20 : 1);
    }
    return 0;
}
