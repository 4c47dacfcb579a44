// Two threads: one writes code through one mapping, the other runs it through another; semaphores and a mutex between processes.
// pthreads(7), sem_init(3), sem_open(3).
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile int turn;
static unsigned char *writes, *runs;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void *writer(void *unused) {
    for (int n = 0; n < 200; n++) {
        while (turn) sched_yield();
        memcpy(writes + 1, &n, 4);
        __atomic_store_n(&turn, 1, __ATOMIC_SEQ_CST);
    }
    return unused;
}

int main(void) {
    int fd = memfd_create("code", 0);
    ftruncate(fd, 4096);
    writes = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    runs = mmap(0, 4096, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
    memcpy(writes, "\xb8\0\0\0\0\xc3", 6);
    pthread_t thread;
    pthread_create(&thread, 0, writer, 0);
    unsigned sum = 0;
    for (int n = 0; n < 200; n++) {
        while (!turn) sched_yield();
        sum = sum * 7 + ((int (*)(void))runs)();
        __atomic_store_n(&turn, 0, __ATOMIC_SEQ_CST);
    }
    pthread_join(thread, 0);
    printf("%u\n", sum);

    struct both { sem_t there, back; pthread_mutex_t lock; int count; } *both;
    both = mmap(0, sizeof *both, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    sem_init(&both->there, 1, 0);
    sem_init(&both->back, 1, 0);
    pthread_mutexattr_t kind;
    pthread_mutexattr_init(&kind);
    pthread_mutexattr_setpshared(&kind, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(&both->lock, &kind);
    fflush(stdout);
    if (!fork()) {
        for (int n = 0; n < 50; n++) {
            sem_wait(&both->there);
            both->count = both->count * 3 + n;
            sem_post(&both->back);
        }
        for (int n = 0; n < 500; n++) {
            pthread_mutex_lock(&both->lock);
            both->count++;
            pthread_mutex_unlock(&both->lock);
        }
        _exit(0);
    }
    for (int n = 0; n < 50; n++) {
        both->count += 2;
        sem_post(&both->there);
        sem_wait(&both->back);
    }
    for (int n = 0; n < 500; n++) {
        pthread_mutex_lock(&both->lock);
        both->count++;
        pthread_mutex_unlock(&both->lock);
    }
    wait(0);
    printf("%d\n", both->count);
    sem_t *named = sem_open("/tanken-test", O_CREAT | O_EXCL, 0600, 1);
    sem_unlink("/tanken-test");
    printf("%d %d\n", named != SEM_FAILED, named != SEM_FAILED ? sem_trywait(named) : -1);
    return 0;
}
