// Views of files: what is stored is in the file and in all views, as far as the file goes; rights, msync, mremap, children.
// mmap(2), msync(2), mremap(2), truncate(2).
#include "../calls/guest.h"
static volatile long hits, code, where;
static char *view, *spare;
static void caught(int n, int *info, void *context) {
    hits++; code = info[2]; where = *(char **)(info + 4) - view;
    S(9, view + 8192, 4096, 3, 0x32, -1, 0);
}

int guest(void) {
    char b[32];
    long fd = S(2, "f", 0102, 0644);
    R("ftruncate", 77, fd, 10000);
    view = (char *)S(9, 0, 12288, 3, 1, fd, 0);
    char *again = (char *)S(9, 0, 4096, 1, 1, fd, 4096);
    memcpy(view + 4090, "over the border", 15);
    S(17, fd, b, 15, 4090);
    text("in the file", b, 15);
    text("in the other view", again, 9);
    S(18, fd, "FILE", 4, 4096);
    text("written", view + 4090, 15);
    show("zeros behind its end", view[10000] + view[12287]);
    view[11000] = 1;
    show("its size", S(8, fd, 0, 2));
    R("msync", 26, view, 12288, 4);
    R("msync both", 26, view, 4096, 5);
    R("msync not there", 26, 0x10000000, 4096, 4);
    R("msync part", 26, view + 4096, 100, 1);
    R("mprotect", 10, view, 4096, 1);
    R("mprotect", 10, view, 4096, 3);
    handle(7, caught, 0x40000004);
    R("cut", 77, fd, 6000);
    view[8200] = 5;
    show("SIGBUS", hits); show("code", code); show("at", where);
    show("zeros", view[6000]);
    R("EFAULT", 0, fd, 0x10000000, 4);
    R("longer", 77, fd, 40000);
    spare = (char *)S(25, view, 8192, 16384, 1);
    show("moved", spare > 0);
    spare[16000] = 'q';
    S(17, fd, b, 1, 16000);
    text("there", b, 1);
    R("mremap no place", 25, spare, 16384, 4096, 2, spare + 65536);
    R("mremap onto itself", 25, spare, 16384, 8192, 3, spare + 4096);
    R("mremap nothing there", 25, 0x10000000, 4096, 8192, 1);
    long only = S(2, "f", 0, 0);
    R("read only", 9, 0, 4096, 3, 1, only, 0);
    char *r = (char *)S(9, 0, 4096, 1, 1, only, 0);
    R("not to be written", 10, r, 4096, 3);
    spare[0] = 'A';
    text("seen", r, 1);
    long into = S(2, "g", 0101, 0644);
    R("write only", 9, 0, 4096, 1, 1, into, 0);
    R("write only, private", 9, 0, 4096, 1, 2, into, 0);
    R("not aligned", 9, 0, 4096, 1, 1, fd, 100);
    char *fresh = (char *)S(9, 0, 4096, 3, 2, fd, 0);
    fresh[0] = 'P';
    text("private", spare, 1);
    S(3, fd);
    spare[1] = 'B';
    S(17, only, b, 2, 0);
    text("closed, still there", b, 2);
    R("write", 1, 99, spare, 1);
    R("to a view of a file", 0, S(2, "/etc/passwd", 0, 0), spare, 5);
    text("read there", spare, 5);
    int *count = (int *)S(9, 0, 4096, 3, 1, S(2, "n", 0102, 0644), 0);
    S(76, "n", 4096);
    for (int n = 0; n < 2; n++)
        if (!S(57)) {
            for (int k = 0; k < 2000; k++) __asm__ volatile("lock incl %0" : "+m"(*count));
            S(60, 0);
        }
    S(61, -1, 0, 0, 0); S(61, -1, 0, 0, 0);
    show("counted by two children", *count);
    int *word = (int *)S(9, 0, 4096, 3, 0x21, -1, 0);
    if (!S(57)) {
        u64 t[2] = {0, 30000000};
        S(35, t, 0);
        *word = 1; S(202, word, 1, 1);
        S(60, 0);
    }
    while (!*(volatile int *)word) S(202, word, 0, 0, 0);
    show("woken by a child", *word);
    S(61, -1, 0, 0, 0);
    S(87, "f"); S(87, "g"); S(87, "n");
    return 0;
}
