// What Linux offers and Swift's Glibc module does not show: epoll(7), eventfd(2) and accept4(2); and, everywhere, which Swift task and which thread runs.

#ifndef CDUPLEXLINUX_H
#define CDUPLEXLINUX_H

// No feature macro here (_GNU_SOURCE): Swift's Glibc module is built without, and the same headers read two ways do not compile together.
#include <pthread.h>
#include <stdint.h>

#ifdef __linux__

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

// The kernel's flags are cases of C enumerations, which Swift sees as types of their own; here they are numbers.
static const uint32_t duplex_epoll_in = EPOLLIN;
static const uint32_t duplex_epoll_out = EPOLLOUT;
static const uint32_t duplex_epoll_err = EPOLLERR;
static const uint32_t duplex_epoll_hup = EPOLLHUP;

static inline int duplex_epoll_create(void) { return epoll_create1(EPOLL_CLOEXEC); }

static inline int duplex_eventfd(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }

/// Adds (EPOLL_CTL_ADD), changes (EPOLL_CTL_MOD) or removes (EPOLL_CTL_DEL) a descriptor; it is also what its events bear.
static inline int duplex_epoll_ctl(int epoll, int operation, int descriptor, uint32_t events) {
    struct epoll_event event = {.events = events, .data.u64 = (uint32_t)descriptor};
    return epoll_ctl(epoll, operation, descriptor, &event);
}

static inline int duplex_event_descriptor(const struct epoll_event *event) { return (int)event->data.u64; }

/// Takes the next connection of a listening socket, non-blocking and closed on exec, and says whose it is; -1 and `errno` if there is none.
int duplex_accept(int listening, struct sockaddr_storage *address);

/// send(2) without SIGPIPE, and recv(2). No points of cancellation for pthread_cancel(3), as the C library's own are, which costs two
/// atomic changes a call.
ssize_t duplex_send(int descriptor, const void *bytes, size_t count);
ssize_t duplex_recv(int descriptor, void *bytes, size_t count);

/// The bytes of a TCP socket that the peer's system has not acknowledged (SIOCOUTQ, tcp(7)); -1 and `errno` if the system does not say.
int duplex_unsent(int descriptor);

#endif

/// Which thread runs, to compare with as long as that thread lives; never 0.
static inline uintptr_t duplex_current_thread(void) { return (uintptr_t)pthread_self(); }

// A function of Swift's runtime, which every compiled async function may call: its name and convention are part of the stable interface.
__attribute__((swiftcall)) void *swift_task_getCurrent(void);

/// Which Swift task runs, to compare with as long as that task lives; null for none.
///
/// `withUnsafeCurrentTask` asks the same function, by way of a generic closure and a counted reference: a tenth of what a wait costs.
static inline const void *duplex_current_task(void) { return swift_task_getCurrent(); }

/// Has the processor fetch an object's first lines of memory while other work is done; the address need not be valid.
static inline void duplex_prefetch_object(const void *object) {
    for (int line = 0; line < 5; line++) __builtin_prefetch((const char *)object + 64 * line);
}

#endif
