#ifdef __linux__

// For accept4.
#define _GNU_SOURCE

#include "CDuplexLinux.h"

int duplex_accept(int listening, struct sockaddr_storage *address) {
    socklen_t length = sizeof *address;
    return accept4(listening, (struct sockaddr *)address, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

#endif
