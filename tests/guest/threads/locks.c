/* Locks of other kinds: error-checking, recursive, robust, inheriting priorities; waits that end by time; once; semaphores. futex(2). */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t robust, inherits, checks, again;
static pthread_cond_t never = PTHREAD_COND_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static sem_t items, room;
static int got, begun;

static void first(void) { begun++; }

static void *die_holding(void *_) {
    pthread_once(&once, first);
    pthread_mutex_lock(&robust);
    return NULL;
}

static void *hold(void *_) {
    pthread_once(&once, first);
    for (int i = 0; i < 200; i++) {
        pthread_mutex_lock(&inherits);
        int was = got;
        if (i % 50 == 0)
            usleep(1000);
        got = was + 1;
        pthread_mutex_unlock(&inherits);
    }
    return NULL;
}

static void *consume(void *_) {
    long sum = 0;
    for (int i = 0; i < 100; i++) {
        sem_wait(&items);
        sum += i;
        sem_post(&room);
    }
    return (void *)sum;
}

static struct timespec soon(clockid_t clock, long nanoseconds) {
    struct timespec at;
    clock_gettime(clock, &at);
    at.tv_nsec += nanoseconds;
    at.tv_sec += at.tv_nsec / 1000000000, at.tv_nsec %= 1000000000;
    return at;
}

int main(void) {
    pthread_mutexattr_t kind;
    pthread_t a, b;
    void *result;
    pthread_mutexattr_init(&kind);
    pthread_mutexattr_setrobust(&kind, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&robust, &kind);
    pthread_create(&a, NULL, die_holding, NULL);
    pthread_join(a, NULL);
    printf("owner died %d\n", pthread_mutex_lock(&robust) == EOWNERDEAD);
    printf("consistent %d\n", pthread_mutex_consistent(&robust));
    printf("unlock %d\n", pthread_mutex_unlock(&robust));
    printf("lock %d\n", pthread_mutex_lock(&robust));

    pthread_mutexattr_init(&kind);
    printf("protocol %d\n", pthread_mutexattr_setprotocol(&kind, PTHREAD_PRIO_INHERIT));
    pthread_mutex_init(&inherits, &kind);
    pthread_create(&a, NULL, hold, NULL);
    pthread_create(&b, NULL, hold, NULL);
    pthread_join(a, NULL);
    pthread_join(b, NULL);
    printf("got %d once %d\n", got, begun);

    pthread_mutexattr_init(&kind);
    pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_ERRORCHECK);
    pthread_mutex_init(&checks, &kind);
    pthread_mutex_lock(&checks);
    printf("again %d\n", pthread_mutex_lock(&checks) == EDEADLK);
    pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&again, &kind);
    printf("recursive %d %d\n", pthread_mutex_lock(&again), pthread_mutex_lock(&again));

    struct timespec at = soon(CLOCK_REALTIME, 20000000);
    printf("timed out %d\n", pthread_cond_timedwait(&never, &checks, &at) == ETIMEDOUT);
    pthread_create(&a, NULL, die_holding, NULL);
    at = soon(CLOCK_REALTIME, 20000000);
    printf("still held %d\n", pthread_mutex_timedlock(&robust, &at) != 0);
    pthread_mutex_unlock(&robust);
    pthread_join(a, NULL);

    sem_init(&items, 0, 0);
    sem_init(&room, 0, 3);
    pthread_create(&a, NULL, consume, NULL);
    for (int i = 0; i < 100; i++) {
        sem_wait(&room);
        sem_post(&items);
    }
    pthread_join(a, &result);
    printf("consumed %ld\n", (long)result);
    return 0;
}
