// How many tests run at a time: three for each core, and not all of them. They serve and connect to each other over real sockets with real
// time limits, and a thousand at a time on two cores keep each other waiting for a minute. What is set in the environment counts.

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

__attribute__((constructor)) static void limit_parallel_tests(void) {
    char width[16];
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    snprintf(width, sizeof width, "%ld", 3 * (cores > 0 ? cores : 1));
    setenv("SWT_EXPERIMENTAL_MAXIMUM_PARALLELIZATION_WIDTH", width, 0);
}
