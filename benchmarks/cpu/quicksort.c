/* Recursive quicksort of COUNT pseudo-random words, ROUNDS times. */
#include "start.h"
#ifndef ROUNDS
#define ROUNDS 12
#endif
#define COUNT (256 << 10)
static unsigned data[COUNT];

static void sort(unsigned *low, unsigned *high) {
    while (low < high) {
        unsigned pivot = low[(high - low) / 2], *i = low, *j = high;
        while (i <= j) {
            while (*i < pivot)
                i++;
            while (*j > pivot)
                j--;
            if (i <= j) {
                unsigned swapped = *i;
                *i++ = *j;
                *j-- = swapped;
            }
        }
        if (low < j)
            sort(low, j);
        low = i;
    }
}

__attribute__((force_align_arg_pointer)) void _start(void) {
    unsigned long sum = 0;
    unsigned seed = 7;
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < COUNT; i++)
            data[i] = seed = seed * 1664525 + 1013904223;
        sort(data, data + COUNT - 1);
        for (int i = 1; i < COUNT; i++)
            sum += (data[i - 1] <= data[i]) + data[i];
    }
    finish(sum);
}
