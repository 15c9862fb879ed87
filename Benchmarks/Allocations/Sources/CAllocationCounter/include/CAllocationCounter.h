#include <stdint.h>

/// How many times the program has asked for memory since it began.
uint64_t allocation_count(void);
