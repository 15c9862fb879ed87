// A rival: libwebsockets, one thread, its own event loop (on libev it was no faster). Usage: lws PORT
//
// / sends back what it gets; /broadcast sends it to everyone there. Compression is an extension that is not loaded. Messages are written in
// the callback that says that there is room, as the library asks for, until there is none; one for many is shared by all of them.
#include <libwebsockets.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

enum { QUEUED = 256 };  // messages that wait for one client; whoever has more is cut off

typedef struct {
    int uses;
    size_t length;
    unsigned char bytes[];  // LWS_PRE of them are the library's, for the header
} message;

typedef struct peer {
    struct lws *wsi;
    struct peer *next, **link;  // the others on /broadcast
    message *partial, *queue[QUEUED];
    unsigned head, tail;
} peer;

static peer *members;

static void release(message *m) {
    if (m && --m->uses == 0) free(m);
}

static int post(peer *p, message *m) {
    if (p->tail - p->head == QUEUED) return -1;
    m->uses++;
    p->queue[p->tail++ % QUEUED] = m;
    lws_callback_on_writable(p->wsi);
    return 0;
}

static int publish(message *m) {
    for (peer *p = members; p; p = p->next)
        if (post(p, m)) lws_set_timeout(p->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC);
    return 0;
}

static void join(peer *p) {
    p->next = members;
    p->link = &members;
    if (members) members->link = &p->next;
    members = p;
}

static void leave(peer *p) {
    if (p->link) *p->link = p->next;
    if (p->next) p->next->link = p->link;
    while (p->head != p->tail) release(p->queue[p->head++ % QUEUED]);
    release(p->partial);
}

static int receive(peer *p, const void *bytes, size_t length) {
    size_t had = p->partial ? p->partial->length : 0;
    message *m = realloc(p->partial, sizeof *m + LWS_PRE + had + length + lws_remaining_packet_payload(p->wsi));
    if (!m) return -1;
    memcpy(m->bytes + LWS_PRE + had, bytes, length);
    m->length = had + length;
    m->uses = 1;
    p->partial = m;
    if (!lws_is_final_fragment(p->wsi) || lws_remaining_packet_payload(p->wsi)) return 0;
    p->partial = NULL;
    int failed = p->link ? publish(m) : post(p, m);
    release(m);
    return failed;
}

static int write_queued(peer *p) {
    while (p->head != p->tail) {
        message *m = p->queue[p->head++ % QUEUED];
        int written = lws_write(p->wsi, m->bytes + LWS_PRE, m->length, LWS_WRITE_BINARY);
        release(m);
        if (written < 0) return -1;
        if (p->head != p->tail && lws_send_pipe_choked(p->wsi)) return lws_callback_on_writable(p->wsi) < 0 ? -1 : 0;
    }
    return 0;
}

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t length) {
    char path[64];
    peer *p = user;
    switch (reason) {
    case LWS_CALLBACK_ESTABLISHED:
        memset(p, 0, sizeof *p);
        p->wsi = wsi;
        if (lws_hdr_copy(wsi, path, sizeof path, WSI_TOKEN_GET_URI) > 0 && !strcmp(path, "/broadcast")) join(p);
        return 0;
    case LWS_CALLBACK_CLOSED: leave(p); return 0;
    case LWS_CALLBACK_RECEIVE: return receive(p, in, length);
    case LWS_CALLBACK_SERVER_WRITEABLE: return write_queued(p);
    default: return 0;
    }
}

int main(int argc, char **argv) {
    static const struct lws_protocols protocols[] = {{"", on_event, sizeof(peer), 65536, 0, NULL, 0}, {0}};
    struct lws_context_creation_info info = {.protocols = protocols, .iface = "127.0.0.1", .port = argc > 1 ? atoi(argv[1]) : 9000};
    info.pt_serv_buf_size = 65536;  // read at once
    mallopt(M_TRIM_THRESHOLD, 64 << 20);  // else the heap shrinks after every large message, to grow with the next
    lws_set_log_level(LLL_ERR, NULL);
    struct lws_context *context = lws_create_context(&info);
    if (!context) return 1;
    while (lws_service(context, 0) >= 0) {}
    lws_context_destroy(context);
    return 0;
}
