/* A mebibyte copied ROUNDS times: half by REP MOVSB, half by loops of 8-byte loads and stores. */
#include "start.h"
#ifndef ROUNDS
#define ROUNDS 1500
#endif
#define SIZE (1 << 20)
static unsigned long from[SIZE / 8], to[SIZE / 8];

__attribute__((force_align_arg_pointer)) void _start(void) {
    unsigned long sum = 0;
    for (int i = 0; i < SIZE / 8; i++)
        from[i] = i * 0x9e3779b97f4a7c15ul;
    for (int round = 0; round < ROUNDS; round++) {
        from[round] ^= round;
        void *source = from, *target = to;
        unsigned long count = SIZE / 2;
        __asm__ volatile("rep movsb" : "+S"(source), "+D"(target), "+c"(count) : : "memory");
        for (int i = SIZE / 16; i < SIZE / 8; i++)
            *(volatile unsigned long *)&to[i] = from[i];
        sum = sum * 3 + to[round] + to[SIZE / 8 - 1 - round];
    }
    finish(sum);
}
