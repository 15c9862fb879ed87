#ifdef __linux__

// For accept4 and syscall.
#define _GNU_SOURCE

#include "CDuplexLinux.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int duplex_accept(int listening, struct sockaddr_storage *address) {
    socklen_t length = sizeof *address;
    return accept4(listening, (struct sockaddr *)address, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

ssize_t duplex_send(int descriptor, const void *bytes, size_t count) {
    return syscall(SYS_sendto, descriptor, bytes, count, MSG_NOSIGNAL, NULL, 0);
}

ssize_t duplex_recv(int descriptor, void *bytes, size_t count) { return syscall(SYS_recvfrom, descriptor, bytes, count, 0, NULL, NULL); }

int duplex_unsent(int descriptor) {
    int count = 0;
    return ioctl(descriptor, SIOCOUTQ, &count) == 0 ? count : -1;
}

#endif
