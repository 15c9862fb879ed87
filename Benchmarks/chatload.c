// chatload: a room in which some talk, each at a steady rate, and all listen. One thread, epoll, no dependencies (Linux).
//
//   cc -O3 -o chatload chatload.c
//   chatload HOST PORT PATH MEMBERS TALKERS RATE SIZE WARMUP SECONDS DEAF PID
//
// MEMBERS   connections to PATH, whose server sends what anyone says to all of them, the speaker included
// TALKERS   how many of them talk, RATE times a second each, evenly spread; SIZE bytes a message, 8 of them the time
// WARMUP    seconds of talk that are not counted; then SECONDS that are, and up to GRACE_SECONDS for what is still on its way
// DEAF      as many more connections that never read
// PID       the server's process: its CPU time and its memory
//
// A delay counts from the moment at which a message was due, not from when it could be sent: a load that falls behind makes its messages
// late, not fewer (no coordinated omission). Every delivery counts. Prints one line of JSON.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    READ_BYTES = 1 << 18,     // at once from one connection: the others wait meanwhile
    MAX_SIZE = 1 << 16,       // of a message
    HEAD_BYTES = 14,          // of a frame, at most
    HANDSHAKES = 100,         // at a time
    PER_ADDRESS = 5000,       // connections from one address of 127.0.0.0/8: each has its own ports
    EVENTS = 128,             // between two looks at what is due
    GRACE_SECONDS = 5,
    DEAF_BUFFER = 1 << 16,    // of the kernel, for those who do not read, so that the server feels it soon
    STEPS = 64,               // of the histogram, in every doubling: delays are right to 1.6 %
};
static const uint64_t SECOND = 1000000000;

typedef struct {
    int fd, open, watched;
    uint8_t *rest;            // a frame, or a response head, that a read has cut
    size_t rest_len;
    uint8_t *out;             // what the kernel did not take
    size_t out_len;
} member;

static struct {
    const char *host, *path;
    int port, members, talkers, deaf, pid;
    double rate, warmup, seconds;
    size_t size;
} args;

static member *members;       // the deaf ones last
static int epoll, opened, lost;
static uint8_t *in;           // READ_BYTES, and before them room for the rest of the last read
static const size_t IN_ROOM = MAX_SIZE + HEAD_BYTES;
static uint8_t *said;         // the frame of a message, its time to be filled in
static size_t said_len, said_head;
static uint64_t from, until;  // what is due in between is counted
static uint64_t received, counted, pings, histogram[64 * STEPS], longest;

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * SECOND + t.tv_nsec;
}

__attribute__((noreturn, format(printf, 1, 2))) static void fail(const char *why, ...) {
    va_list list;
    va_start(list, why);
    vfprintf(stderr, why, list);
    va_end(list);
    fputc('\n', stderr);
    exit(1);
}

// The server, as /proc tells

static double cpu_seconds(void) {
    char name[64], line[1024];
    snprintf(name, sizeof name, "/proc/%d/stat", args.pid);
    FILE *file = fopen(name, "r");
    if (!file || !fgets(line, sizeof line, file)) fail("the server's process %d is gone", args.pid);
    fclose(file);
    long user = 0, system = 0;
    sscanf(strrchr(line, ')') + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %ld %ld", &user, &system);
    return (double)(user + system) / sysconf(_SC_CLK_TCK);
}

static double memory_mb(const char *which) {
    char name[64], line[256], format[32];
    long kb = 0;
    snprintf(name, sizeof name, "/proc/%d/status", args.pid);
    snprintf(format, sizeof format, "%s: %%ld", which);
    FILE *file = fopen(name, "r");
    if (!file) fail("the server's process %d is gone", args.pid);
    while (fgets(line, sizeof line, file) && sscanf(line, format, &kb) != 1) {}
    fclose(file);
    return kb / 1024.0;
}

static double own_cpu_seconds(void) {
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    return use.ru_utime.tv_sec + use.ru_stime.tv_sec + (use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

// Delays, in buckets of which each doubling has STEPS

static unsigned bucket(uint64_t ns) {
    if (ns < STEPS) return ns;
    int shift = 63 - __builtin_clzll(ns) - 6;
    return (shift + 1) * STEPS + ((ns >> shift) & (STEPS - 1));
}

static double bucket_ms(unsigned b) {
    if (b < STEPS) return b / 1e6;
    return (double)((uint64_t)(STEPS + b % STEPS) << (b / STEPS - 1)) / 1e6;
}

static double percentile_ms(double share) {
    uint64_t want = share * counted, seen = 0;
    for (unsigned b = 0; b < 64 * STEPS; b++)
        if ((seen += histogram[b]) > want) return bucket_ms(b);
    return longest / 1e6;
}

// Sending

static void watch(member *m, int writes) {
    struct epoll_event event = {.events = EPOLLIN | (writes ? EPOLLOUT : 0), .data.ptr = m};
    if (epoll_ctl(epoll, m->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, m->fd, &event)) fail("epoll_ctl: %m");
    m->watched = 1;
}

static void drop(member *m) {
    close(m->fd);
    m->fd = -1;
    if (m->open) opened--;
    lost++;
    m->open = 0;
}

static void send_bytes(member *m, const uint8_t *bytes, size_t length) {
    ssize_t sent = m->out_len ? 0 : send(m->fd, bytes, length, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) return;  // it is closed, which reading will tell
    if (sent < 0) sent = 0;
    if ((size_t)sent == length) return;
    m->out = realloc(m->out, m->out_len + length - sent);
    if (!m->out) fail("no memory for what the server does not read");
    memcpy(m->out + m->out_len, bytes + sent, length - sent);
    if (!m->out_len) watch(m, 1);
    m->out_len += length - sent;
}

static void send_rest(member *m) {
    ssize_t sent = send(m->fd, m->out, m->out_len, MSG_NOSIGNAL);
    if (sent <= 0) return;
    memmove(m->out, m->out + sent, m->out_len -= sent);
    if (!m->out_len) watch(m, 0);
}

// A masked binary message; the mask is zeros, so that the time can be written into it
static void make_message(void) {
    said = calloc(1, args.size + HEAD_BYTES);
    said[0] = 0x82;
    said_head = args.size < 126 ? 6 : 8;
    said[1] = 0x80 | (args.size < 126 ? args.size : 126);
    if (said_head == 8) said[2] = args.size >> 8, said[3] = args.size;
    memset(said + said_head, 'x', args.size);
    said_len = said_head + args.size;
}

static void talk(member *m, uint64_t due) {
    memcpy(said + said_head, &due, sizeof due);
    send_bytes(m, said, said_len);
}

// Receiving

static void hear(const uint8_t *payload, size_t length, uint64_t at) {
    uint64_t due;
    if (length != args.size) fail("a message of %zu bytes came, not of %zu", length, args.size);
    memcpy(&due, payload, sizeof due);
    received++;
    if (due < from || due >= until) return;
    uint64_t delay = at > due ? at - due : 0;
    counted++;
    histogram[bucket(delay)]++;
    if (delay > longest) longest = delay;
}

static void answer_ping(member *m, const uint8_t *payload, size_t length) {
    uint8_t pong[HEAD_BYTES + 125] = {0x8A, 0x80 | length};
    memcpy(pong + 6, payload, length);
    send_bytes(m, pong, 6 + length);
    pings++;
}

// Handles the whole frames among the bytes; returns how many bytes those were, or -1 if the server closes
static ssize_t take_frames(member *m, const uint8_t *bytes, size_t length, uint64_t at) {
    size_t i = 0;
    while (length - i >= 2) {
        const uint8_t *frame = bytes + i;
        size_t head = 2, size = frame[1] & 0x7F;
        if (size == 127) fail("a frame of 64 KiB or more came");
        if (size == 126) {
            if (length - i < 4) break;
            head = 4, size = frame[2] << 8 | frame[3];
        }
        if (length - i < head + size) break;
        switch (frame[0]) {
        case 0x82: hear(frame + head, size, at); break;
        case 0x89: answer_ping(m, frame + head, size); break;
        case 0x8A: break;
        case 0x88: return -1;
        default: fail("a frame came that begins with 0x%02x", frame[0]);
        }
        i += head + size;
    }
    return i;
}

// Handles the response once it is whole; returns its length, or 0
static size_t take_response(member *m, uint8_t *bytes, size_t length) {
    uint8_t *end = memmem(bytes, length, "\r\n\r\n", 4);
    if (!end) return 0;
    if (memcmp(bytes, "HTTP/1.1 101", 12)) fail("refused: %.*s", (int)strcspn((char *)bytes, "\r"), bytes);
    m->open = 1;
    opened++;
    return end + 4 - bytes;
}

static void receive(member *m) {
    uint8_t *bytes = in + IN_ROOM - m->rest_len;
    if (m->rest_len) memcpy(bytes, m->rest, m->rest_len);
    ssize_t got = recv(m->fd, in + IN_ROOM, READ_BYTES, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) return drop(m);
    size_t length = m->rest_len + got, used = 0;
    if (!m->open) used = take_response(m, bytes, length);
    if (m->open) {
        ssize_t frames = take_frames(m, bytes + used, length - used, now());
        if (frames < 0) return drop(m);
        used += frames;
    }
    m->rest_len = length - used;
    if (m->rest_len > IN_ROOM) fail("a response head of more than %zu bytes came", IN_ROOM);
    if (!m->rest_len) return;
    m->rest = realloc(m->rest, m->rest_len);
    memcpy(m->rest, bytes + used, m->rest_len);
}

static void turn(int timeout_ms) {
    struct epoll_event events[EVENTS];
    int count = epoll_wait(epoll, events, EVENTS, timeout_ms);
    for (int k = 0; k < count; k++) {
        member *m = events[k].data.ptr;
        if (events[k].events & EPOLLOUT && m->out_len) send_rest(m);
        if (events[k].events & ~EPOLLOUT) receive(m);
    }
}

// Connecting

static void join(int i) {
    member *m = &members[i];
    int one = 1, deaf_buffer = DEAF_BUFFER;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(args.port), .sin_addr.s_addr = inet_addr(args.host)};
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + i / PER_ADDRESS)};
    if ((m->fd = socket(AF_INET, SOCK_STREAM, 0)) < 0) fail("socket: %m");
    setsockopt(m->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(m->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    if (i >= args.members) setsockopt(m->fd, SOL_SOCKET, SO_RCVBUF, &deaf_buffer, sizeof deaf_buffer);
    if (!strncmp(args.host, "127.", 4) && bind(m->fd, (void *)&own, sizeof own)) fail("bind: %m");
    if (connect(m->fd, (void *)&to, sizeof to)) fail("connect: %m");
    char request[1024];
    int length = snprintf(request, sizeof request,
        "GET %s HTTP/1.1\r\nHost: %s:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n", args.path, args.host, args.port);
    if (send(m->fd, request, length, MSG_NOSIGNAL) != length) fail("send: %m");
}

static void join_all(void) {
    int all = args.members + args.deaf;
    members = calloc(all, sizeof *members);
    for (int begun = 0; opened + lost < all;) {
        for (; begun < all && begun - opened - lost < HANDSHAKES; begun++) join(begun), watch(&members[begun], 0);
        turn(1000);
    }
    if (lost) fail("the server closed %d connections that had just come", lost);
    for (int i = args.members; i < all; i++) epoll_ctl(epoll, EPOLL_CTL_DEL, members[i].fd, NULL);
}

// How many of the deaf ones the server has cut off: what it had sent before has to be read first
static int deaf_cut_off(void) {
    int cut = 0;
    for (int i = args.members; i < args.members + args.deaf; i++) {
        struct pollfd ready = {.fd = members[i].fd, .events = POLLIN};
        ssize_t got = 1;
        while (got > 0 && poll(&ready, 1, 200) == 1) got = recv(members[i].fd, in, READ_BYTES, 0);
        cut += got <= 0;
    }
    return cut;
}

// The room

int main(int argc, char **argv) {
    if (argc != 12) fail("usage: see the head of chatload.c");
    args.host = argv[1], args.port = atoi(argv[2]), args.path = argv[3], args.members = atoi(argv[4]), args.talkers = atoi(argv[5]);
    args.rate = atof(argv[6]), args.size = strtoul(argv[7], NULL, 10), args.warmup = atof(argv[8]), args.seconds = atof(argv[9]);
    args.deaf = atoi(argv[10]), args.pid = atoi(argv[11]);
    if (args.members < 1 || args.talkers < 1 || args.talkers > args.members || args.deaf < 0) fail("TALKERS are 1 to MEMBERS");
    if (args.size < 8 || args.size >= MAX_SIZE) fail("SIZE is 8 to %d", MAX_SIZE - 1);
    if (args.rate <= 0 || args.seconds <= 0 || args.warmup < 0) fail("RATE and SECONDS are above 0, WARMUP is 0 or more");
    in = malloc(IN_ROOM + READ_BYTES);
    if ((epoll = epoll_create1(0)) < 0) fail("epoll_create1: %m");
    make_message();

    double memory_before = memory_mb("VmRSS");
    join_all();
    double memory_joined = memory_mb("VmRSS");

    uint64_t start = now(), due = start, said_count = 0, counted_said = 0, interval = SECOND / (args.rate * args.talkers);
    from = start + args.warmup * SECOND;
    until = from + args.seconds * SECOND;
    uint64_t t = start, received_before = 0, received_after = 0;
    double cpu = 0, own_cpu = 0;
    int counting = 0;
    for (; t < until; t = now()) {
        if (!counting && t >= from) counting = 1, cpu = cpu_seconds(), own_cpu = own_cpu_seconds(), received_before = received;
        for (; due <= t; due = start + ++said_count * interval) {
            member *m = &members[said_count % args.talkers];
            if (m->fd < 0) fail("the server closed the connection of one who talks");
            talk(m, due);
            counted_said += due >= from;
        }
        uint64_t wait = due > t ? due - t : 0;
        turn(wait >= SECOND / 1000 ? wait / (SECOND / 1000) : 0);
    }
    cpu = cpu_seconds() - cpu, own_cpu = own_cpu_seconds() - own_cpu, received_after = received;
    double seconds = (t - from) / (double)SECOND;
    uint64_t expected = counted_said * args.members, backlog = expected > counted ? expected - counted : 0;
    while (counted < counted_said * (args.members - lost) && now() < until + GRACE_SECONDS * SECOND) turn(100);

    printf("{\"offered_per_s\": %.0f, \"delivered_per_s\": %.0f, \"p50_ms\": %.2f, \"p90_ms\": %.2f, \"p99_ms\": %.2f, \"p999_ms\": %.2f, "
           "\"max_ms\": %.2f, \"backlog\": %lu, \"missing\": %ld, \"lost\": %d, \"pings\": %lu, ",
        expected / seconds, (received_after - received_before) / seconds, percentile_ms(0.5), percentile_ms(0.9), percentile_ms(0.99),
        percentile_ms(0.999), longest / 1e6, (unsigned long)backlog, (long)(expected - counted), lost, (unsigned long)pings);
    printf("\"server_cpu\": %.3f, \"client_cpu\": %.3f, \"memory_before_mb\": %.1f, \"memory_joined_mb\": %.1f, \"memory_peak_mb\": %.1f, "
           "\"deaf_cut_off\": %d}\n",
        cpu / seconds, own_cpu / seconds, memory_before, memory_joined, memory_mb("VmHWM"), deaf_cut_off());
    return 0;
}
