/* Everyday integer code in the first-level cache: a state machine over text, a walk over a list, a matrix product, a CRC. */
#include "start.h"
#ifndef ROUNDS
#define ROUNDS 12000
#endif
static unsigned char text[512];
static struct node { struct node *next; unsigned long value; } nodes[256];
static int left[24][24], right[24][24], product[24][24];

static unsigned long machine(void) {
    unsigned long words = 0, digits = 0;
    int mode = 0;
    for (int i = 0; i < 512; i++) {
        unsigned char c = text[i];
        switch (mode) {
        case 0: if (c >= 'a') { mode = 1; words++; } else if (c < '8') mode = 2; break;
        case 1: if (c < 'a') mode = c < '8' ? 2 : 0; break;
        default: digits += c & 15; if (c >= '8') mode = 0; break;
        }
    }
    return words << 16 ^ digits;
}

static unsigned long walk(void) {
    unsigned long sum = 0;
    for (struct node *at = nodes; at; at = at->next)
        sum = sum * 3 + at->value;
    return sum;
}

static unsigned long multiply(void) {
    for (int i = 0; i < 24; i++)
        for (int j = 0; j < 24; j++) {
            int sum = 0;
            for (int k = 0; k < 24; k++)
                sum += left[i][k] * right[k][j];
            product[i][j] = sum;
        }
    return (unsigned)product[5][7];
}

static unsigned long crc(void) {
    unsigned sum = ~0u;
    for (int i = 0; i < 64; i++) {
        sum ^= text[i];
        for (int bit = 0; bit < 8; bit++)
            sum = sum & 1 ? sum >> 1 ^ 0xedb88320 : sum >> 1;
    }
    return sum;
}

__attribute__((force_align_arg_pointer)) void _start(void) {
    unsigned seed = 1;
    for (int i = 0; i < 512; i++) {
        seed = seed * 1103515245 + 12345;
        text[i] = (unsigned char)('0' + (seed >> 16) % 75);
    }
    for (int i = 0; i < 256; i++) {
        nodes[i * 37 & 255].next = i < 255 ? &nodes[(i + 1) * 37 & 255] : 0;
        nodes[i].value = i * 2654435761ul;
    }
    for (int i = 0; i < 576; i++)
        left[i / 24][i % 24] = i % 17, right[i / 24][i % 24] = i % 13;
    unsigned long sum = 0;
    for (int round = 0; round < ROUNDS; round++) {
        left[round % 24][3] = round;
        text[round & 511] ^= 1;
        sum = sum * 31 + (machine() ^ walk() ^ multiply() ^ crc());
    }
    finish(sum);
}
