/* Five bodies that attract each other, in long double precision (x87), STEPS steps. */
#include "start.h"
#ifndef STEPS
#define STEPS 200000
#endif
#define BODIES 5
static long double x[BODIES] = {0, 4.84, 8.34, 12.89, 15.37}, y[BODIES] = {0, -1.16, 4.12, -15.11, -25.9}, z[BODIES] = {0, -.10, -.4, -.22, .18};
static long double vx[BODIES] = {0, .6, -1.01, 1.08, .98}, vy[BODIES] = {0, 2.81, 1.82, .87, .59}, vz[BODIES] = {0, -.02, .008, -.01, -.03};
static const long double mass[BODIES] = {39.47, .037, .011, .0017, .002};

static long double root(long double value) {
    long double result;
    __asm__("fsqrt" : "=t"(result) : "0"(value));
    return result;
}

__attribute__((force_align_arg_pointer)) void _start(void) {
    for (int step = 0; step < STEPS; step++) {
        for (int i = 0; i < BODIES; i++)
            for (int j = i + 1; j < BODIES; j++) {
                long double dx = x[i] - x[j], dy = y[i] - y[j], dz = z[i] - z[j];
                long double square = dx * dx + dy * dy + dz * dz, pull = .01L / (square * root(square));
                vx[i] -= dx * mass[j] * pull, vy[i] -= dy * mass[j] * pull, vz[i] -= dz * mass[j] * pull;
                vx[j] += dx * mass[i] * pull, vy[j] += dy * mass[i] * pull, vz[j] += dz * mass[i] * pull;
            }
        for (int i = 0; i < BODIES; i++)
            x[i] += .01L * vx[i], y[i] += .01L * vy[i], z[i] += .01L * vz[i];
    }
    union { double number; unsigned long bits; } sum = {(double)(x[0] + y[1] + z[2] + x[3] + y[4])};
    finish(sum.bits);
}
