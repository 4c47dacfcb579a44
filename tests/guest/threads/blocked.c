/* Threads that wait for what must not hold up the others: locks of files, the other end of a FIFO, a connection. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static char place[] = "/tmp/tanken-blocked-XXXXXX", fifo[64], name[64];
static volatile int step;
static char said[2][200]; /* by the thread and by the main one, printed when both are through */
#define SAY(...) sprintf(strchr(said[pthread_self() == main_thread], 0), __VA_ARGS__)
static pthread_t main_thread;

static void await(int n) { while (step < n) sched_yield(); }
static struct flock whole(int kind) { struct flock l = {.l_type = kind, .l_whence = SEEK_SET}; return l; }

static void *reads(void *_) {
    char text[16] = "";
    step = 1;
    int fd = open(fifo, O_RDONLY);
    int blocking = !(fcntl(fd, F_GETFL) & O_NONBLOCK);
    long got = read(fd, text, sizeof text);
    SAY("read %ld %s %d\n", got, text, blocking);
    close(fd);
    return 0;
}

static void *writes(void *_) {
    step = 1;
    int fd = open(fifo, O_WRONLY);
    SAY("wrote %ld\n", (long)write(fd, "through", 7));
    close(fd);
    return 0;
}

static void *takes_flock(void *_) {
    int fd = open(name, O_RDWR);
    step = 1;
    SAY("flock %d\n", flock(fd, LOCK_EX));
    close(fd);
    return 0;
}

static void *takes_lock(void *command) {
    int fd = open(name, O_RDWR);
    struct flock l = whole(F_WRLCK);
    step = 1;
    SAY("lock %d\n", fcntl(fd, (long)command, &l));
    step = 9;
    close(fd);
    return 0;
}

static void handler(int n) { }

static void *interrupted(void *_) {
    int fd = open(name, O_RDWR);
    step = 1;
    int answer = flock(fd, LOCK_EX);
    SAY("interrupted %d %d\n", answer, errno == EINTR);
    answer = open(fifo, O_RDONLY);
    SAY("interrupted %d %d\n", answer, errno == EINTR);
    return 0;
}

static void *connects(void *address) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    step = 1;
    SAY("connect %d\n", connect(fd, address, sizeof(struct sockaddr_in)));
    SAY("sent %ld\n", (long)send(fd, "word", 4, 0));
    return 0;
}

static void *crowds(void *address) {
    for (int n = 0; n < 4; n++) {
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        int answer = connect(fd, address, sizeof(struct sockaddr_un));
        step = n + 1;
        if (answer) SAY("crowd %d %d\n", answer, errno);
    }
    SAY("crowd is in\n");
    return 0;
}

static pthread_t begin(void *(*function)(void *), void *argument) {
    pthread_t thread;
    step = 0;
    pthread_create(&thread, 0, function, argument);
    await(1);
    for (int n = 0; n < 100; n++) sched_yield();
    return thread;
}

static void end(pthread_t thread) {
    pthread_join(thread, 0);
    printf("%s%s", said[0], said[1]);
    said[0][0] = said[1][0] = 0;
}

int main(void) {
    main_thread = pthread_self();
    mkdtemp(place);
    sprintf(fifo, "%s/fifo", place);
    sprintf(name, "%s/file", place);
    mkfifo(fifo, 0600);
    int file = open(name, O_CREAT | O_RDWR, 0600);
    char text[16] = "";
    pthread_t thread = begin(reads, 0);
    writes(0);
    end(thread);
    thread = begin(writes, 0);
    reads(0);
    end(thread);

    flock(file, LOCK_EX);
    thread = begin(takes_flock, 0);
    puts("unlocking");
    flock(file, LOCK_UN);
    end(thread);

    struct flock l = whole(F_WRLCK);
    fcntl(file, F_OFD_SETLK, &l);
    thread = begin(takes_lock, (void *)F_OFD_SETLKW);
    puts("unlocking");
    l = whole(F_UNLCK);
    fcntl(file, F_OFD_SETLK, &l);
    end(thread);

    int go[2], done[2];
    pipe(go), pipe(done);
    fflush(stdout);
    if (!fork()) {
        l = whole(F_WRLCK);
        fcntl(file, F_SETLK, &l);
        write(done[1], "", 1);
        read(go[0], text, 1);
        _exit(0);
    }
    read(done[0], text, 1);
    thread = begin(takes_lock, (void *)F_SETLKW);
    printf("still waiting %d\n", step);
    write(go[1], "", 1);
    end(thread);
    wait(0);

    struct sigaction action = {.sa_handler = handler};
    sigaction(SIGUSR1, &action, 0);
    flock(file, LOCK_EX);
    thread = begin(interrupted, 0);
    pthread_kill(thread, SIGUSR1);
    for (int n = 0; n < 100; n++) { usleep(1000); pthread_kill(thread, 0); }
    pthread_kill(thread, SIGUSR1);
    end(thread);

    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    bind(listener, (void *)&address, size);
    getsockname(listener, (void *)&address, &size);
    listen(listener, 5);
    thread = begin(connects, &address);
    int peer = accept(listener, 0, 0);
    end(thread);
    printf("received %ld\n", (long)recv(peer, text, 4, MSG_WAITALL));
    close(listener);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int answer = connect(fd, (void *)&address, sizeof address);
    printf("refused %d %d\n", answer, errno == ECONNREFUSED);

    struct sockaddr_un here = {.sun_family = AF_UNIX};
    sprintf(here.sun_path, "%s/socket", place);
    listener = socket(AF_UNIX, SOCK_STREAM, 0);
    bind(listener, (void *)&here, sizeof here);
    listen(listener, 1);
    thread = begin(crowds, &here);
    for (int n = 0; n < 4; n++) printf("accepted %d\n", accept(listener, 0, 0) >= 0);
    end(thread);
    unlink(here.sun_path), unlink(fifo), unlink(name), rmdir(place);
    return 0;
}
