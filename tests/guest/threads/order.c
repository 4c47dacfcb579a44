/* Mutexes, conditions, atomics, thread-local storage, barriers, joins: the order of what the threads do is forced. pthreads(7). */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

enum { THREADS = 4, ROUNDS = 8 };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t barrier;
static pthread_rwlock_t shared = PTHREAD_RWLOCK_INITIALIZER;
static int turn, order[THREADS * ROUNDS], count;
static atomic_long sum;
static __thread int own = 100;

static void *work(void *argument) {
    long me = (long)argument;
    for (int round = 0; round < ROUNDS; round++) {
        pthread_mutex_lock(&lock);
        while (turn != me)
            pthread_cond_wait(&changed, &lock);
        order[count++] = me;
        own++;
        turn = (turn + 1) % THREADS;
        pthread_cond_broadcast(&changed);
        pthread_mutex_unlock(&lock);
    }
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < 3000; i++)
        atomic_fetch_add(&sum, me);
    for (int i = 0; i < 300; i++) {
        pthread_rwlock_wrlock(&shared);
        count++;
        pthread_rwlock_unlock(&shared);
    }
    return (void *)(long)own;
}

int main(void) {
    pthread_t threads[THREADS];
    long total = 0;
    pthread_barrier_init(&barrier, NULL, THREADS);
    for (long i = 0; i < THREADS; i++)
        printf("create %d\n", pthread_create(&threads[i], NULL, work, (void *)i));
    for (int i = 0; i < THREADS; i++) {
        void *result;
        pthread_join(threads[i], &result);
        total += (long)result;
    }
    for (int i = 0; i < THREADS * ROUNDS; i++)
        printf("%d", order[i]);
    printf("\n%ld %ld %d %d\n", total, sum, count, own);
    return 0;
}
