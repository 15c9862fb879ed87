// Counts every request for memory of a program that is not built for it, and says how many on standard error at SIGUSR2.
//   cc -O2 -shared -fPIC -o counter.so preloaded_counter.c; LD_PRELOAD=./counter.so PROGRAM

#include "Allocations/Sources/CAllocationCounter/CAllocationCounter.c"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static void tell(int signal) {
    char line[64];
    int length = snprintf(line, sizeof line, "allocations %" PRIu64 "\n", allocation_count());
    if (length > 0 && write(STDERR_FILENO, line, (size_t)length) < 0) _exit(70);
}

__attribute__((constructor)) static void listen_for_questions(void) {
    struct sigaction action = {.sa_handler = tell, .sa_flags = SA_RESTART};
    sigaction(SIGUSR2, &action, NULL);
}
