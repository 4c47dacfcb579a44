/* The primes below SIZE by a sieve of bytes, ROUNDS times. */
#include "start.h"
#ifndef ROUNDS
#define ROUNDS 12
#endif
#define SIZE (4u << 20)
static unsigned char composite[SIZE];

__attribute__((force_align_arg_pointer)) void _start(void) {
    unsigned long sum = 0;
    for (int round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < SIZE; i++)
            composite[i] = 0;
        for (unsigned i = 2; i * i < SIZE; i++)
            if (!composite[i])
                for (unsigned j = i * i; j < SIZE; j += i)
                    composite[j] = 1;
        for (unsigned i = 2; i < SIZE; i++)
            sum += !composite[i];
    }
    finish(sum);
}
