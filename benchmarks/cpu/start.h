/* What a freestanding guest needs: write, exit, and a line with one checksum. Linux x86-64 system calls (syscall(2)). */
static long call3(long number, long a, long b, long c) {
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return result;
}

static void finish(unsigned long sum) {
    char line[17];
    for (int digit = 0; digit < 16; digit++)
        line[digit] = "0123456789abcdef"[sum >> (60 - 4 * digit) & 15];
    line[16] = '\n';
    call3(1, 1, (long)line, 17);
    call3(60, 0, 0, 0);
    __builtin_unreachable();
}
