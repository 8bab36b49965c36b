/* What a C library without a vDSO of its own making asks for: clocks, waits, threads, random bytes. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t never = PTHREAD_COND_INITIALIZER;

static void *waits(void *unused)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 50000000;
    pthread_mutex_lock(&mutex);
    int result = pthread_cond_timedwait(&never, &mutex, &until);
    pthread_mutex_unlock(&mutex);
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    printf("condition %d %d\n", result == ETIMEDOUT, now.tv_sec > until.tv_sec || now.tv_nsec >= until.tv_nsec);
    return unused;
}

int main(void)
{
    struct timespec wall, steady, pause = {0, 50000000};
    unsigned long random;
    clock_gettime(CLOCK_REALTIME, &wall);
    clock_gettime(CLOCK_MONOTONIC, &steady);
    getrandom(&random, sizeof random, 0);
    printf("clocks %ld.%09ld %ld.%09ld %ld\n", (long)wall.tv_sec, wall.tv_nsec, (long)steady.tv_sec,
           steady.tv_nsec, (long)time(NULL));
    printf("random %016lx %p\n", random, malloc(1));
    nanosleep(&pause, NULL);
    clock_gettime(CLOCK_MONOTONIC, &wall);
    printf("slept %ld ns\n", (wall.tv_sec - steady.tv_sec) * 1000000000L + wall.tv_nsec - steady.tv_nsec);
    pthread_t thread;
    pthread_create(&thread, NULL, waits, NULL);
    pthread_join(thread, NULL);
    FILE *device = fopen("/dev/urandom", "r");
    printf("device %08x\n", fgetc(device));
}
