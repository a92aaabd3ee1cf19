/* Sends HTTP/1.1 requests at a steady rate and counts what does not come back. Prints one JSON object.
 *
 *   cc -O2 -o steady_load steady_load.c
 *   steady_load HOST PORT RATE SECONDS CONNECTIONS NEW_PERCENT [PATH]
 *
 * RATE requests a second go out on CONNECTIONS kept-alive connections; NEW_PERCENT of them on a connection of their own instead. The time
 * of a request counts from when it was due, so that a server that stands still is charged for all who had to wait. */
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
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { IDLE, CONNECTING, WAITING };

struct client {
    int fd, state, is_single, used;
    uint64_t due;
    char buffer[4096];
    int have;
};

static struct sockaddr_in target;
static char request[2][512];
static int request_length[2], epoll;
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

static int begin(struct client *c) {
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) { no_connection++; return -1; }
    int on = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(c->fd, (struct sockaddr *)&target, sizeof target) < 0 && errno != EINPROGRESS) {
        connect_failures++;
        drop(c);
        return -1;
    }
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c};
    epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event);
    c->state = CONNECTING;
    return 0;
}

static void ask(struct client *c) {
    int kind = c->is_single;
    c->state = WAITING;
    if (send(c->fd, request[kind], (size_t)request_length[kind], MSG_NOSIGNAL) != request_length[kind]) {
        if (errno == EPIPE || errno == ECONNRESET) resets++; else closed_early++;
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
    if (strncmp(c->buffer, "HTTP/1.1 200", 12)) wrong_status++; else succeeded++;
    note(c->due);
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
            if (c->state == WAITING && complete(c)) continue;
            if (c->have >= (int)sizeof c->buffer - 1) { wrong_status++; drop(c); }
            continue;
        }
        if (n < 0 && errno == EAGAIN) return;
        if (c->state == WAITING) {
            if (n < 0) resets++; else closed_early++;
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
    const char *path = count > 7 ? arguments[7] : "/";
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
    uint64_t start = now(), end = start + (uint64_t)(seconds * 1e9), interval = (uint64_t)(1e9 / rate), due = start, late_end = end + 5000000000u;
    int next_kept = 0, next_single = kept, busy = 0;
    uint32_t dice = 12345;
    struct epoll_event events[256];
    while (1) {
        uint64_t t = now();
        while (!over && due <= t && due < end) {
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
            c->due = due;
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
           "\"closed_idle\": %lu, \"told_to_close\": %lu, \"p50_ms\": %.3f, \"p99_ms\": %.3f, \"p999_ms\": %.3f, \"max_ms\": %.3f}\n",
           sent, succeeded, busy, wrong_status, resets, closed_early, connect_failures + no_connection, closed_idle, told_to_close, quantile(0.5),
           quantile(0.99), quantile(0.999), quantile(1.0));
    return 0;
}
