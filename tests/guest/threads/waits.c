/* Threads that wait in system calls while others run: pipes, poll, sleep, children, signals to one thread, cancellation, the main thread's end. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BYTES = 300000 };
static int there[2], back[2];
static volatile sig_atomic_t struck;
static pthread_t main_thread;
static __thread int name;

static void *turn_around(void *_) {
    char buffer[5000];
    long all = 0;
    ssize_t got;
    while ((got = read(there[0], buffer, sizeof buffer)) > 0) {
        for (ssize_t i = 0; i < got; i++)
            all += (unsigned char)buffer[i];
        write(back[1], buffer, got);
    }
    close(back[1]);
    return (void *)all;
}

static void *send_all(void *_) {
    char *data = malloc(BYTES);
    for (int i = 0; i < BYTES; i++)
        data[i] = i * 7;
    long done = write(there[1], data, BYTES);
    close(there[1]);
    free(data);
    return (void *)done;
}

static void handler(int number) { struck = name; }

static void *be_struck(void *ready) {
    name = 7;
    *(volatile int *)ready = 1;
    struct timespec ages = {60, 0};
    int result = nanosleep(&ages, NULL);
    return (void *)(long)(result == -1 && errno == EINTR);
}

static void cleanup(void *_) { puts("cleaned up"); }

static void *be_cancelled(void *_) {
    pthread_cleanup_push(cleanup, NULL);
    char byte;
    int nobody[2];
    pipe(nobody);
    read(nobody[0], &byte, 1);
    pthread_cleanup_pop(0);
    return NULL;
}

static void *last(void *_) {
    void *result;
    pthread_join(main_thread, &result);
    printf("main gave %ld\n", (long)result);
    fflush(stdout);
    return NULL;
}

static void *spin(void *flag) {
    while (!*(volatile int *)flag)
        ;
    return NULL;
}

int main(void) {
    pthread_t a, b;
    void *one, *two;
    pipe(there), pipe(back);
    pthread_create(&a, NULL, turn_around, NULL);
    pthread_create(&b, NULL, send_all, NULL);
    long got = 0, sum = 0;
    char buffer[7000];
    struct pollfd wanted = {back[0], POLLIN};
    while (poll(&wanted, 1, -1) == 1) {
        ssize_t count = read(back[0], buffer, sizeof buffer);
        if (count <= 0)
            break;
        got += count;
        for (ssize_t i = 0; i < count; i++)
            sum += (unsigned char)buffer[i];
    }
    pthread_join(a, &one), pthread_join(b, &two);
    printf("%ld %d %ld\n", got, sum == (long)one, (long)two);

    struct sigaction action = {.sa_handler = handler};
    sigaction(SIGUSR1, &action, NULL);
    volatile int ready = 0;
    pthread_create(&a, NULL, be_struck, (void *)&ready);
    while (!ready)
        usleep(1000);
    usleep(5000);
    printf("kill %d\n", pthread_kill(a, SIGUSR1));
    pthread_join(a, &one);
    printf("struck %d interrupted %ld\n", struck, (long)one);

    pthread_create(&a, NULL, be_cancelled, NULL);
    usleep(5000);
    pthread_cancel(a);
    pthread_join(a, &one);
    printf("cancelled %d\n", one == PTHREAD_CANCELED);

    volatile int stop = 0;
    pthread_create(&a, NULL, spin, (void *)&stop);
    fflush(stdout);
    pid_t child = fork();
    if (!child) {
        printf("child of one thread\n");
        exit(9);
    }
    int status;
    waitpid(child, &status, 0);
    printf("status %d\n", WEXITSTATUS(status));
    struct timeval little = {0, 3000};
    printf("select %d\n", select(0, NULL, NULL, NULL, &little));
    int queue = epoll_create1(0);
    struct epoll_event event;
    printf("epoll %d\n", epoll_wait(queue, &event, 1, 3));
    stop = 1;
    pthread_join(a, NULL);
    main_thread = pthread_self();
    pthread_create(&b, NULL, last, NULL);
    pthread_exit((void *)5L);
}
