#include "guest.h"
static volatile int count, last;
static void handler(int n) { count++; last = n; }
static volatile long where;
static void information(int n, int *info, void *context) { last = n; where = ((long *)info)[2]; ((u64 *)context)[5 + 16] += 0; }
static void jump(int n, int *info, u64 *context) { last = n; where = info[2]; context[5 + 16] += 2; }  // RIP behind a two-byte instruction
static void wipes(int n) { __asm__ volatile("vpxor %xmm5, %xmm5, %xmm5"); last = n; }
static char alternate[16384];
static volatile long at;
static void on_stack(int n) { long here; at = (long)&here; }
int guest(void) {
    long us = S(39);
    u64 set = 1 << 9, old = 0, pending = 0;
    show("rt_sigaction", handle(10, handler, 0));
    R("kill", 62, us, 10);
    show("count", count); show("last", last);
    R("rt_sigprocmask", 14, 0, &set, &old, 8);
    R("tgkill", 234, us, us, 10);
    show("count", count);
    R("rt_sigpending", 127, &pending, 8);
    show("pending", pending);
    R("rt_sigprocmask", 14, 1, &set, &old, 8);
    show("count", count); show("old", old);
    struct action a;
    clear(&a, sizeof a);
    R("rt_sigaction", 13, 10, 0, &a, 8);
    show("flags", a.flags);
    R("rt_sigaction of SIGKILL", 13, 9, &a, 0, 8);
    R("rt_sigaction 99", 13, 99, 0, &a, 8);
    show("reset", handle(12, handler, 0x80000000));
    S(62, us, 12);
    S(13, 12, 0, &a, 8);
    show("handler", (long)a.handler);
    show("handler", handle(14, handler, 0));
    u64 none = 0;
    R("alarm", 37, 1);
    R("alarm again", 37, 0);
    u64 timer[4] = {0, 50000, 0, 50000}, before[4], stop[4] = {0, 0, 0, 0}, blocked = 1 << 13;  // again and again: slow machines may miss some
    S(14, 0, &blocked, 0, 8);
    R("setitimer", 38, 0, timer, 0);
    R("getitimer", 36, 0, before);
    show("interval", before[1]);
    R("rt_sigsuspend", 130, &none, 8);
    show("last", last);
    S(14, 1, &blocked, 0, 8);
    R("pause", 34);
    u64 t[2] = {5, 0}, left[2] = {0, 0};
    R("nanosleep interrupted", 35, t, left);
    show("left", left[0] == 4);
    int p[2];
    char b[8];
    S(293, p, 0);
    R("read interrupted", 0, p[0], b, 8);
    handle(14, handler, 0x10000000);
    if (!S(57)) { u64 s[2] = {0, 200000000}; S(35, s, 0); S(1, p[1], "x", 1); S(60, 0); }
    R("read made again", 0, p[0], b, 8);
    S(38, 0, stop, 0);
    int status;
    S(61, -1, &status, 0, 0);
    set = 1 << 9;
    S(14, 0, &set, 0, 8);
    S(62, us, 10);
    int info[32];
    R("rt_sigtimedwait", 128, &set, info, t, 8);
    show("number", info[0]);
    u64 little[2] = {0, 1000};
    R("rt_sigtimedwait nothing", 128, &set, info, little, 8);
    clear(info, 128); info[0] = 10; info[2] = -1;
    R("rt_sigqueueinfo", 129, us, 10, info);
    long fd = S(289, -1, &set, 8, 0);
    show("signalfd4", fd > 2);
    show("signalfd", S(282, fd, &set, 8) == fd);
    u32 got[32];
    R("read signalfd", 0, fd, got, 128);
    show("number", got[0]);
    show("fault handler", handle(11, jump, 4));
    __asm__ volatile("xor %%eax, %%eax\nmov (%%rax), %%eax" ::: "rax", "memory");
    show("last", last); show("code", where);
    handle(8, jump, 4);
    __asm__ volatile("xor %%eax, %%eax\nxor %%edx, %%edx\nxor %%ecx, %%ecx\ndiv %%ecx" ::: "rax", "rcx", "rdx", "memory");
    show("last", last);
    handle(4, jump, 4);
    __asm__ volatile("ud2");
    show("last", last);
    struct { void *at; int flags; u64 size; } stack = {alternate, 0, 16384}, was;
    R("sigaltstack", 131, &stack, &was);
    show("was", was.flags);
    handle(10, on_stack, 0x08000000);
    S(14, 1, &set, 0, 8);
    S(62, us, 10);
    show("on it", at > (long)alternate && at < (long)alternate + 16384);
    double x = 1.5, y;
    handle(10, handler, 0);
    __asm__ volatile("fldl %1\nmov $62, %%eax\nmov %2, %%rdi\nmov $10, %%esi\nsyscall\nfstpl %0" : "=m"(y) : "m"(x), "r"(us) : "rax", "rdi", "rsi", "rcx", "r11", "memory");
    show("x87 over a handler", y == 1.5);
    u64 upper[4] = {1, 2, 3, 4}, after[4] = {0, 0, 0, 0};
    handle(10, wipes, 0);
    __asm__ volatile("vmovdqu %1, %%ymm5\nmov $62, %%eax\nmov %2, %%rdi\nmov $10, %%esi\nsyscall\nvmovdqu %%ymm5, %0\nvzeroupper"
                     : "=m"(after) : "m"(upper), "r"(us) : "rax", "rdi", "rsi", "rcx", "r11", "memory");
    show("AVX over a handler", after[0] == 1 && after[1] == 2 && after[2] == 3 && after[3] == 4);
    R("kill nobody", 62, 999999999, 0);
    R("kill bad", 62, us, 99);
    a.handler = (void *)1; a.flags = 0;
    S(13, 13, &a, 0, 8);
    S(3, p[0]);
    R("SIGPIPE ignored", 1, p[1], "x", 1);
    a.handler = 0;
    S(13, 13, &a, 0, 8);
    S(1, p[1], "x", 1);
    return 1;
}
