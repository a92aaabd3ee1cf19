/* Sends HTTP/1.1 requests at a steady rate and counts what does not come back. Prints one JSON object.
 *
 *   cc -O2 -o steady_load steady_load.c
 *   steady_load HOST PORT RATE SECONDS CONNECTIONS NEW_PERCENT [PATH [OPTION=VALUE...]]
 *
 * RATE requests a second go out on CONNECTIONS kept-alive connections; NEW_PERCENT of them on a connection of their own instead. The time
 * of a request counts from when it was due, so that a server that stands still is charged for all who had to wait.
 *
 *   posts=PERCENT       so many of them are POSTs with a body of 16 bytes
 *   burst=MILLISECONDS  they go out together, once in that time
 *   open=1              all kept-alive connections are opened before the first request
 *   records=FILE        each request carries a number of its own (X-Number), which its answer must carry where it comes from a
 *                       backend (X-Backend), and is written to FILE: struct record below, at the place of its number */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { IDLE, CONNECTING, WAITING };

/* What became of a request. MIXED: its answer carries the number of another one. TWICE: more came than one answer. */
enum { PENDING, ANSWERED, RESET, CLOSED, NOT_CONNECTED, MALFORMED, MIXED, TWICE };

/* 32 bytes. Times are CLOCK_MONOTONIC in ns; 0: it was not sent, or not answered. */
struct record {
    uint64_t due, sent, done;
    uint16_t status;
    uint8_t is_post, outcome, has_fallback;
    char backend;   /* the last character of X-Backend, 0 for none */
    uint16_t retry_after;
};

struct client {
    int fd, state, is_single, used, is_post, warming;
    uint64_t due, number;
    char buffer[4096];
    int have;
};

static struct sockaddr_in target;
static char request[2][512];
static int request_length[2], epoll;
static const char *path = "/";
static struct record *records;
static uint64_t record_capacity, extra, mixed;
static uint64_t sent, succeeded, wrong_status, resets, closed_early, connect_failures, no_connection, closed_idle, told_to_close;
static uint32_t *times;
static uint64_t time_count, time_capacity;
static volatile sig_atomic_t over;

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void drop(struct client *c) {
    if (c->fd >= 0) close(c->fd);
    c->fd = -1;
    c->state = IDLE;
    c->have = 0;
    c->used = 0;
}

/* What became of the client's request. */
static void tell(struct client *c, int outcome, int status) {
    if (!records || c->number >= record_capacity) return;
    struct record *r = &records[c->number];
    r->done = now();
    r->status = (uint16_t)status;
    r->outcome = (uint8_t)outcome;
}

static int begin(struct client *c) {
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) { no_connection++; tell(c, NOT_CONNECTED, 0); return -1; }
    int on = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(c->fd, (struct sockaddr *)&target, sizeof target) < 0 && errno != EINPROGRESS) {
        connect_failures++;
        tell(c, NOT_CONNECTED, 0);
        drop(c);
        return -1;
    }
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c};
    epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event);
    c->state = CONNECTING;
    return 0;
}

static void ask(struct client *c) {
    char own[768];
    const char *text = request[c->is_single];
    int length = request_length[c->is_single];
    if (records) {
        length = snprintf(own, sizeof own, "%s %s HTTP/1.1\r\nHost: app.test\r\nX-Number: %lu\r\n%s%s\r\n%s", c->is_post ? "POST" : "GET", path,
                          c->number, c->is_single ? "Connection: close\r\n" : "", c->is_post ? "Content-Length: 16\r\n" : "",
                          c->is_post ? "0123456789abcdef" : "");
        text = own;
        if (c->number < record_capacity) records[c->number].sent = now();
    }
    c->state = WAITING;
    if (send(c->fd, text, (size_t)length, MSG_NOSIGNAL) != length) {
        int is_reset = errno == EPIPE || errno == ECONNRESET;
        if (is_reset) resets++; else closed_early++;
        tell(c, is_reset ? RESET : CLOSED, 0);
        drop(c);
    }
}

static void note(uint64_t due) {
    uint64_t micros = (now() - due) / 1000;
    if (time_count < time_capacity) times[time_count++] = micros > UINT32_MAX ? UINT32_MAX : (uint32_t)micros;
}

/* Whether a whole answer is in the buffer: a head with Content-Length and that many bytes. */
static int complete(struct client *c) {
    c->buffer[c->have] = 0;
    char *end = strstr(c->buffer, "\r\n\r\n");
    if (!end) return 0;
    char *length = strcasestr(c->buffer, "\r\ncontent-length:");
    long body = length && length < end ? strtol(length + 17, NULL, 10) : 0;
    if (c->buffer + c->have < end + 4 + body) return 0;
    int is_twice = c->buffer + c->have > end + 4 + body;    /* bytes behind the answer: nobody asked for them */
    extra += (uint64_t)is_twice;
    if (strncmp(c->buffer, "HTTP/1.1 200", 12)) wrong_status++; else succeeded++;
    note(c->due);
    if (records && c->number < record_capacity) {
        char *backend = strcasestr(c->buffer, "\r\nx-backend:"), *number = strcasestr(c->buffer, "\r\nx-number:");
        char *fallback = strcasestr(c->buffer, "\r\nx-sluice-fallback:"), *after = strcasestr(c->buffer, "\r\nretry-after:");
        struct record *r = &records[c->number];
        if (backend && backend < end) r->backend = strstr(backend + 2, "\r\n")[-1];
        if (fallback && fallback < end) r->has_fallback = 1;
        if (after && after < end) r->retry_after = (uint16_t)strtol(after + 14, NULL, 10);
        int is_mixed = backend && backend < end && !(number && number < end && strtoul(number + 11, NULL, 10) == c->number);
        if (is_mixed) mixed++;
        tell(c, is_twice ? TWICE : is_mixed ? MIXED : ANSWERED, strncmp(c->buffer, "HTTP/1.1 ", 9) ? 0 : atoi(c->buffer + 9));
    }
    char *closing = strcasestr(c->buffer, "\r\nconnection: close");
    if (closing && closing < end) {
        if (!c->is_single) told_to_close++;
        drop(c);
    } else {
        c->state = IDLE;
        c->have = 0;
        c->used = 1;
    }
    return 1;
}

static void readable(struct client *c) {
    while (c->fd >= 0) {
        ssize_t n = recv(c->fd, c->buffer + c->have, sizeof c->buffer - 1 - (size_t)c->have, 0);
        if (n > 0) {
            c->have += (int)n;
            if (c->state != WAITING) {
                extra++;
                if (c->used && records && c->number < record_capacity) records[c->number].outcome = TWICE;
                drop(c);
                continue;
            }
            if (complete(c)) continue;
            if (c->have >= (int)sizeof c->buffer - 1) { wrong_status++; tell(c, MALFORMED, 0); drop(c); }
            continue;
        }
        if (n < 0 && errno == EAGAIN) return;
        if (c->state == WAITING) {
            if (n < 0) resets++; else closed_early++;
            tell(c, n < 0 ? RESET : CLOSED, 0);
        } else if (n < 0) {
            resets++;
        } else {
            closed_idle++;
        }
        drop(c);
    }
}

static void stop(int number) { (void)number; over = 1; }

static int compare(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static double quantile(double share) {
    if (!time_count) return 0;
    uint64_t at = (uint64_t)(share * (double)time_count);
    return times[at < time_count ? at : time_count - 1] / 1000.0;
}

int main(int count, char **arguments) {
    if (count < 7) return 2;
    signal(SIGTERM, stop);
    signal(SIGINT, stop);
    target.sin_family = AF_INET;
    target.sin_port = htons((uint16_t)atoi(arguments[2]));
    if (inet_pton(AF_INET, arguments[1], &target.sin_addr) != 1) return 2;
    double rate = atof(arguments[3]), seconds = atof(arguments[4]);
    int kept = atoi(arguments[5]), percent = atoi(arguments[6]), singles = 512;
    if (count > 7) path = arguments[7];
    int posts = 0, opens_first = 0;
    uint64_t burst = 0;
    for (int i = 8; i < count; i++) {
        if (!strncmp(arguments[i], "posts=", 6)) posts = atoi(arguments[i] + 6);
        else if (!strncmp(arguments[i], "burst=", 6)) burst = (uint64_t)atoi(arguments[i] + 6) * 1000000u;
        else if (!strncmp(arguments[i], "open=", 5)) opens_first = atoi(arguments[i] + 5);
        else if (!strncmp(arguments[i], "records=", 8)) {
            record_capacity = (uint64_t)(rate * seconds) + 1000;
            int file = open(arguments[i] + 8, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
            if (file < 0 || ftruncate(file, (off_t)(record_capacity * sizeof *records)) < 0) { perror(arguments[i]); return 1; }
            records = mmap(NULL, record_capacity * sizeof *records, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
            if (records == MAP_FAILED) { perror("mmap"); return 1; }
        } else { fprintf(stderr, "steady_load: no such option: %s\n", arguments[i]); return 2; }
    }
    for (int i = 0; i < 2; i++)
        request_length[i] = snprintf(request[i], sizeof request[i], "GET %s HTTP/1.1\r\nHost: app.test\r\n%s\r\n", path, i ? "Connection: close\r\n" : "");
    time_capacity = (uint64_t)(rate * seconds) + 1000;
    times = malloc(time_capacity * sizeof *times);
    struct client *clients = calloc((size_t)(kept + singles), sizeof *clients);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!times || !clients || epoll < 0) return 1;
    for (int i = 0; i < kept + singles; i++) {
        clients[i].fd = -1;
        clients[i].is_single = i >= kept;
    }
    struct epoll_event events[256];
    if (opens_first) {
        uint64_t until = now() + 5000000000u;
        int missing = kept;
        for (int i = 0; i < kept; i++) {
            clients[i].warming = 1;
            clients[i].number = record_capacity;
            if (begin(&clients[i]) < 0) missing--;
        }
        while (missing > 0 && now() < until) {
            int n = epoll_wait(epoll, events, 256, 100);
            for (int i = 0; i < n; i++) {
                struct client *c = events[i].data.ptr;
                if (!c->warming) continue;
                c->warming = 0;
                missing--;
                if (events[i].events & (EPOLLERR | EPOLLHUP)) drop(c); else c->state = IDLE;
            }
        }
        for (int i = 0; i < kept; i++) {
            if (clients[i].warming) drop(&clients[i]);
            clients[i].warming = 0;
        }
    }
    uint64_t start = now(), end = start + (uint64_t)(seconds * 1e9), interval = (uint64_t)(1e9 / rate), due = start, late_end = end + 5000000000u;
    int next_kept = 0, next_single = kept, busy = 0;
    uint32_t dice = 12345;
    while (1) {
        uint64_t t = now();
        while (!over && (burst ? due - (due - start) % burst : due) <= t && due < end) {
            dice = dice * 1664525u + 1013904223u;
            int single = (int)(dice >> 16) % 100 < percent;
            int first = single ? kept : 0, number = single ? singles : kept, *next = single ? &next_single : &next_kept;
            struct client *c = NULL;
            for (int i = 0; i < number && !c; i++) {
                struct client *candidate = &clients[*next];
                *next = *next + 1 >= first + number ? first : *next + 1;
                if (candidate->state == IDLE) c = candidate;
            }
            if (!c) break; /* all are busy; the request is late, and its time runs */
            c->due = burst ? due - (due - start) % burst : due;
            c->number = sent;
            c->is_post = posts > 0 && (int)(dice >> 8) % 100 < posts;
            if (records && sent < record_capacity) {
                records[sent].due = c->due;
                records[sent].is_post = (uint8_t)c->is_post;
            }
            sent++;
            due += interval;
            if (c->fd >= 0) ask(c); else begin(c);
        }
        busy = 0;
        for (int i = 0; i < kept + singles; i++) busy += clients[i].state != IDLE;
        if ((over || due >= end) && (!busy || t > late_end)) break;
        int n = epoll_wait(epoll, events, 256, 1);
        for (int i = 0; i < n; i++) {
            struct client *c = events[i].data.ptr;
            if (c->fd < 0) continue;
            if (c->state == CONNECTING) {
                int error = 0;
                socklen_t length = sizeof error;
                getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &length);
                if (error) {
                    if (error == ECONNRESET) resets++; else connect_failures++;
                    tell(c, error == ECONNRESET ? RESET : NOT_CONNECTED, 0);
                    drop(c);
                    continue;
                }
                if (events[i].events & EPOLLOUT) ask(c);
            }
            if (c->fd >= 0 && events[i].events & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP)) readable(c);
        }
    }
    qsort(times, time_count, sizeof *times, compare);
    printf("{\"sent\": %lu, \"ok\": %lu, \"unanswered\": %d, \"wrong_status\": %lu, \"resets\": %lu, \"closed_early\": %lu, \"connect_failures\": %lu, "
           "\"closed_idle\": %lu, \"told_to_close\": %lu, \"extra\": %lu, \"mixed\": %lu, \"p50_ms\": %.3f, \"p99_ms\": %.3f, \"p999_ms\": %.3f, \"max_ms\": %.3f}\n",
           sent, succeeded, busy, wrong_status, resets, closed_early, connect_failures + no_connection, closed_idle, told_to_close, extra, mixed, quantile(0.5),
           quantile(0.99), quantile(0.999), quantile(1.0));
    return 0;
}
