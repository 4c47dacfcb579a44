// Code that is written through one mapping and run through another: other pages, its own block, after fork, by a write to the file.
// mmap(2), mremap(2), memfd_create(2); Intel SDM volume 3, 8.1.3 (cross-modifying code).
#include "../calls/guest.h"
#define SIZE 16384
typedef long (*function)(void *, long);

static long rounds(char *write, char *run) {
    static const char code[] = {0xb8, 0, 0, 0, 0, 0xc3}; // mov eax, 0; ret
    long sum = 0;
    memcpy(write, code, sizeof code);
    for (int n = 0; n < 300; n++) {
        *(int *)(write + 1) = n * 3;
        sum = sum * 5 + ((function)run)(0, 0);
    }
    return sum;
}

static long own_block(char *write, char *run) {
    // xor eax, eax; mov [rdi], esi; add eax, 1 (the number is what is overwritten); add eax, 16; ret
    static const char code[] = {0x31, 0xc0, 0x89, 0x37, 0x83, 0xc0, 1, 0x83, 0xc0, 16, 0xc3};
    long sum = 0;
    memcpy(write + 4096 - 6, code, sizeof code); // over two pages
    for (int n = 0; n < 20; n++) {
        *(int *)(write + 4096) = 0x10c08301;
        ((char *)write)[4100] = 0xc3;
        ((char *)write)[4096] = 1;
        ((char *)write)[4097] = 0x83;
        sum = sum * 3 + ((function)(run + 4096 - 6))(write + 4096, 0x10c08300 + n);
    }
    return sum;
}

static void both(const char *name, char *write, char *run) {
    put(name); put("\n");
    show(" rounds", rounds(write, run));
    show(" own block", own_block(write, run));
    show(" rounds, two bytes before a page's end", rounds(write + 4094, run + 4094));
}

int guest(void) {
    long fd = S(319, "code", 0);
    show("ftruncate", S(77, fd, SIZE));
    char *write = (char *)S(9, 0, SIZE, 3, 1, fd, 0), *run = (char *)S(9, 0, SIZE, 5, 1, fd, 0);
    both("a memfd", write, run);
    char *third = (char *)S(25, write, 0, SIZE, 1);
    both("its third place", third, run);
    both("written there, run there", third, third - third + run);
    show("W to X", S(10, third, SIZE, 5));
    both("the other way round", write, third);
    show("X to W", S(10, third, SIZE, 3));
    both("and back", third, run);
    show("moved", S(25, run, SIZE, SIZE, 3, run + 16 * SIZE) == (long)(run + 16 * SIZE));
    run += 16 * SIZE;
    both("run elsewhere", write, run);
    show("all", S(10, write, SIZE, 7));
    both("all rights", write, run);
    both("through itself", write, write);
    show("by write", ((function)run)(0, 0));
    S(18, fd, "\xb8\x39\x30\0\0\xc3", 6, 0);
    show("by write", ((function)run)(0, 0));
    if (!S(57)) { *(int *)(third + 1) = 4711; S(60, 0); }
    S(61, -1, 0, 0, 0);
    show("by a child", ((function)run)(0, 0));
    char *other = (char *)S(9, 0, SIZE, 3, 1, fd, 0);
    *(int *)(other + 1) = 4712;
    show("through a mapping that is new", ((function)run)(0, 0));
    S(11, other, SIZE);
    char *a = (char *)S(9, 0, SIZE, 7, 0x21, -1, 0), *b = (char *)S(25, a, 0, SIZE, 1);
    both("nobody's, twice", a, b);
    both("and the other way round", b, a);
    char *p = (char *)S(9, 0, SIZE, 7, 0x22, -1, 0);
    both("private", p, p);
    p = (char *)S(25, p, SIZE, 2 * SIZE, 3, p + 64 * SIZE);
    show("kept", ((function)p)(0, 0));
    both("private, moved", p, p);
    return 0;
}
