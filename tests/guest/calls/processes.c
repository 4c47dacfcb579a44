#include "guest.h"
static int status;
static void wait(const char *name) { long r = S(61, -1, &status, 0, 0); put(name); put(r > 0 ? " child " : " none "); number(status); put("\n"); }
static char stack[8192] __attribute__((aligned(16)));
static volatile int seen;
int guest(void) {
    if (!S(57)) S(60, 3);
    wait("fork");
    if (!S(57)) S(231, 259);
    wait("exit_group");
    if (!S(57)) { S(62, S(39), 15); S(60, 0); }
    wait("killed");
    if (!S(57)) { *(volatile int *)0x10 = 1; S(60, 0); }
    S(61, -1, &status, 0, 0);
    show("fault", status & 127);
    if (!S(58)) { seen = 5; S(60, 4); }
    wait("vfork");
    show("seen", seen);
    int gone[2];
    S(293, gone, 0);
    if (!S(58)) { if (!S(57)) { char c; S(3, gone[1]); S(0, gone[0], &c, 1); S(60, 0); } S(60, 5); }
    wait("vfork and fork");
    S(3, gone[0]); S(3, gone[1]);
    int tid = 0;
    long child = S(56, 17 | 0x100000 | 0x1000000, 0, &tid, &tid, 0);
    if (!child) S(60, tid == S(39) ? 6 : 7);
    show("parent has its number", tid == child);
    wait("clone");
    if (!S(56, 17 | 0x100 | 0x4000, stack + 8192, 0, 0, 0)) S(60, 8);
    wait("clone vfork");
    R("clone a thread", 56, 0x10100, 0, 0, 0, 0) ;
    R("clone3 of nothing", 435, 0, 0);
    u64 how[12];
    int pidfd = -1, parent_tid = 0, child_tid = 0;
    clear(how, sizeof how);
    how[0] = 0x100000 | 0x1000000 | 0x1000; how[1] = (u64)&pidfd; how[2] = (u64)&child_tid; how[3] = (u64)&parent_tid; how[4] = 17;
    child = S(435, how, 88);
    if (!child) S(60, child_tid == S(39) ? 9 : 10);
    show("its numbers", (parent_tid == child) + (pidfd > 2) + (S(72, pidfd, 1) == 1) * 4);
    wait("clone3");
    how[0] = 0x100 | 0x4000; how[5] = (u64)stack; how[6] = 8192;
    if (!S(435, how, 64)) S(60, 11);
    wait("clone3 vfork");
    how[11] = 1;
    R("clone3 too much", 435, how, 96);
    how[0] = 17;
    R("clone3 signal in flags", 435, how, 88);
    how[0] = 0; how[6] = 0;
    R("clone3 half a stack", 435, how, 88);
    R("wait for nobody", 61, -1, &status, 0, 0);
    char *no[] = {"/bin/nothing", 0};
    R("execve missing", 59, "/bin/nothing", no, 0);
    R("execve a directory", 59, "/", no, 0);
    R("execve no rights", 59, "/etc/passwd", no, 0);
    int p[2];
    S(293, p, 0);
    if (!S(57)) {
        char *words[] = {"busybox", "echo", "from another program", 0}, *names[] = {"A=1", 0};
        S(33, p[1], 1);
        S(59, "/bin/busybox", words, names);
        S(60, 99);
    }
    S(3, p[1]);
    char b[64];
    text("execve", b, S(0, p[0], b, 64));
    wait("execve");
    child = S(57);
    if (!child) S(60, 11);
    int info[32];
    clear(info, 128);
    R("waitid", 247, 1, child, info, 4, 0);
    show("number", info[0]); show("code", info[2]); show("status", info[6]);
    child = S(57);
    if (!child) { S(34); S(60, 1); }
    R("wait4 without waiting", 61, child, &status, 1, 0);
    long fd = S(434, child, 0);
    show("pidfd_open", fd > 2);
    R("tkill a child", 200, child, 9);
    wait("tkill");
    long us = S(39);
    show("gettid", S(186) == us);
    show("getppid", S(110) > 0);
    show("set_tid_address", S(218, &tid) == us);
    u64 head = 0, size = 0;
    R("set_robust_list", 273, b, 24);
    R("set_robust_list size", 273, b, 23);
    R("get_robust_list", 274, 0, &head, &size);
    show("same", head == (u64)b && size == 24);
    show("setsid", S(57) ? (S(61, -1, &status, 0, 0), status >> 8) : S(60, S(112) == S(39)));
    R("setpgid", 109, 0, 0);
    show("getpgid", S(121, 0) == S(111));
    OK("getsid", 124, 0);
    u64 base = 0;
    R("arch_prctl set", 158, 0x1002, 0x12345000);
    R("arch_prctl get", 158, 0x1003, &base);
    show("base", base);
    R("arch_prctl set gs", 158, 0x1001, 0x23456000);
    R("arch_prctl get gs", 158, 0x1004, &base);
    show("base", base);
    R("arch_prctl too high", 158, 0x1002, -1);
    R("rseq bad", 334, 1, 1, 99, 1);
    return 0;
}
