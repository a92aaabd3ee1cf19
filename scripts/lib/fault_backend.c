/* A small HTTP/1.1 backend that fails as it is told, in a process of its own, so that it can be killed and stopped.
 *
 *   cc -O2 -o fault_backend fault_backend.c
 *   fault_backend PORT NAME [RECORDS]
 *
 * Listens on 127.0.0.1:PORT and answers every request with 200, `X-Backend: NAME` and, where the request has an X-Number, the
 * same again. /health is for checks, and is counted apart. Orders come over HTTP too:
 *
 *   GET /_/set?KEY=VALUE&…   status     of every answer (200)                    health        status of /health (200)
 *                            delay      ms before an answer (0)                  health_delay  ms before that of /health (0)
 *                            share      percent of the requests that status, delay and end hold for (100)
 *                            idle       ms after which an idle connection is closed (0: never)
 *                            end        close or reset: instead of an answer (answer)
 *                            retry      Retry-After of answers other than 200 (0: none)
 *                            body       bytes of the answer (2)
 *   GET /_/                  {"requests": …, "checks": …, "bytes": …, "accepted": …, "open": …, "running": …, "most": …}
 *
 * RECORDS is a file that survives the process: a head of 64 bytes, of which the first 8 are the number of records, and for each
 * request 32 bytes: its X-Number, the time of its arrival (CLOCK_MONOTONIC, ns), its status, 1 for a GET, and 0. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 16384, ROOM = 16384, RECORDS = 4 << 20 };

struct connection {
    int open, waiting, is_check;
    long body_left;
    int have;
    uint64_t used, due;
    uint64_t number;
    int has_number, faulty;
    char buffer[ROOM];
};

struct record {
    uint64_t number, at;
    uint32_t status, is_get;
    uint64_t none;
};

static struct connection *connections[MOST];
static const char *name;
static uint64_t *record_count;
static struct record *records;
static long status = 200, delay, share = 100, idle, health = 200, health_delay, retry_after, body_length = 2;
static enum { ANSWER, CLOSE, RESET } end_of;
static uint64_t requests, checks, bytes, accepted, running, most;
static char *filler;

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void drop(int fd, int with_reset) {
    struct connection *c = connections[fd];
    if (c->waiting && !c->is_check) running--;
    c->open = c->waiting = c->have = 0;
    if (with_reset) {
        struct linger at_once = {1, 0};
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    }
    close(fd);
}

static void put(int fd, const char *text, size_t length) {
    /* Answers are small, or come to a peer that reads: whoever does not is waited for. */
    while (length > 0) {
        ssize_t n = send(fd, text, length, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) { usleep(200); continue; }
        if (n < 0) return;
        text += n;
        length -= (size_t)n;
    }
}

static void answer(int fd, long code, struct connection *c) {
    char head[512];
    long length = code == 204 || code == 304 ? 0 : body_length;
    int n = snprintf(head, sizeof head, "HTTP/1.1 %ld x\r\nX-Backend: %s\r\n", code, name);
    if (c->has_number) n += snprintf(head + n, sizeof head - (size_t)n, "X-Number: %lu\r\n", (unsigned long)c->number);
    if (code != 200 && retry_after > 0) n += snprintf(head + n, sizeof head - (size_t)n, "Retry-After: %ld\r\n", retry_after);
    if (code != 204) n += snprintf(head + n, sizeof head - (size_t)n, "Content-Length: %ld\r\n", length);
    n += snprintf(head + n, sizeof head - (size_t)n, "\r\n");
    if (length <= (long)sizeof head - n) {
        memcpy(head + n, filler, (size_t)length);
        put(fd, head, (size_t)n + (size_t)length);
    } else {
        put(fd, head, (size_t)n);
        put(fd, filler, (size_t)length);
    }
}

static void order(char *query) {
    for (char *pair = strtok(query, "&"); pair; pair = strtok(NULL, "&")) {
        char *value = strchr(pair, '=');
        if (!value) continue;
        *value++ = 0;
        long number = atol(value);
        if (!strcmp(pair, "status")) status = number;
        else if (!strcmp(pair, "delay")) delay = number;
        else if (!strcmp(pair, "share")) share = number;
        else if (!strcmp(pair, "idle")) idle = number;
        else if (!strcmp(pair, "health")) health = number;
        else if (!strcmp(pair, "health_delay")) health_delay = number;
        else if (!strcmp(pair, "retry")) retry_after = number;
        else if (!strcmp(pair, "body") && number >= 0 && number <= 1 << 20) body_length = number;
        else if (!strcmp(pair, "end")) end_of = !strcmp(value, "close") ? CLOSE : !strcmp(value, "reset") ? RESET : ANSWER;
        else fprintf(stderr, "fault_backend: no such key: %s\n", pair);
    }
}

static void tell(int fd) {
    accepted--;     /* connections with orders are not of the gateway */
    char text[512], body[400];
    int open = 0;
    for (int i = 0; i < MOST; i++) open += connections[i] && connections[i]->open;
    int length = snprintf(body, sizeof body,
                          "{\"requests\": %lu, \"checks\": %lu, \"bytes\": %lu, \"accepted\": %lu, \"open\": %d, \"running\": %lu, \"most\": %lu}",
                          (unsigned long)requests, (unsigned long)checks, (unsigned long)bytes, (unsigned long)accepted, open - 1,
                          (unsigned long)running, (unsigned long)most);
    int n = snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", length, body);
    put(fd, text, (size_t)n);
    drop(fd, 0);
}

/* The time of a request has come. */
static void finish(int fd) {
    struct connection *c = connections[fd];
    c->waiting = 0;
    c->used = now();
    if (c->is_check) {
        answer(fd, health, c);
        return;
    }
    running--;
    if (c->faulty && end_of != ANSWER) {
        drop(fd, end_of == RESET);
        return;
    }
    answer(fd, c->faulty ? status : 200, c);
}

/* Takes whole requests out of the buffer, as long as none waits. */
static void advance(int fd) {
    struct connection *c = connections[fd];
    while (c->open && !c->waiting) {
        if (c->body_left > 0) {
            long part = c->body_left < c->have ? c->body_left : c->have;
            memmove(c->buffer, c->buffer + part, (size_t)(c->have - part));
            c->have -= (int)part;
            c->body_left -= part;
            if (c->body_left > 0) return;
        } else {
            c->buffer[c->have] = 0;
            char *head_end = strstr(c->buffer, "\r\n\r\n");
            if (!head_end) {
                if (c->have >= ROOM - 1) drop(fd, 0);
                return;
            }
            head_end[2] = 0;
            char *target = strchr(c->buffer, ' ');
            if (!target) { drop(fd, 0); return; }
            target++;
            char *number = strcasestr(c->buffer, "\r\nx-number:"), *length = strcasestr(c->buffer, "\r\ncontent-length:");
            c->has_number = number != NULL;
            c->number = number ? strtoul(number + 11, NULL, 10) : 0;
            c->body_left = length ? strtol(length + 17, NULL, 10) : 0;
            int is_get = !strncmp(c->buffer, "GET ", 4), is_order = !strncmp(target, "/_/", 3);
            c->is_check = !strncmp(target, "/health", 7);
            if (is_order) {
                char *query = strchr(target, '?'), *space = strchr(target, ' ');
                if (space) *space = 0;
                if (query) order(query + 1);
                tell(fd);
                return;
            }
            long used = head_end + 4 - c->buffer;
            if (c->is_check) {
                checks++;
                c->due = now() + (uint64_t)health_delay * 1000000u;
            } else {
                c->faulty = (long)(requests % 100) < share;
                requests++;
                if (records && *record_count < RECORDS) {
                    records[*record_count] = (struct record){c->number, now(), (uint32_t)(c->faulty ? status : 200), (uint32_t)is_get, 0};
                    ++*record_count;
                }
                c->due = now() + (uint64_t)(c->faulty ? delay : 0) * 1000000u;
            }
            bytes += c->is_check ? 0 : (uint64_t)used;
            memmove(c->buffer, c->buffer + used, (size_t)(c->have - used));
            c->have -= (int)used;
            if (c->body_left > 0) continue;
        }
        c->waiting = 1;
        if (!c->is_check && ++running > most) most = running;
        if (c->due > now()) return;
        finish(fd);
    }
}

static void readable(int fd) {
    struct connection *c = connections[fd];
    while (c->open && c->have < ROOM - 1) {
        ssize_t n = recv(fd, c->buffer + c->have, (size_t)(ROOM - 1 - c->have), 0);
        if (n < 0 && errno == EAGAIN) return;
        if (n <= 0) { drop(fd, 0); return; }
        c->have += (int)n;
        c->used = now();
        advance(fd);
    }
}

int main(int count, char **arguments) {
    if (count < 3) return 2;
    name = arguments[2];
    signal(SIGPIPE, SIG_IGN);
    filler = malloc((1 << 20) + 1);
    memset(filler, 'x', 1 << 20);
    memcpy(filler, "ok", 2);
    if (count > 3) {
        size_t size = 64 + (size_t)RECORDS * sizeof(struct record);
        int file = open(arguments[3], O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (file < 0 || ftruncate(file, (off_t)size) < 0) { perror(arguments[3]); return 1; }
        char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        if (memory == MAP_FAILED) { perror("mmap"); return 1; }
        record_count = (uint64_t *)memory;
        records = (struct record *)(memory + 64);
    }
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(arguments[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 4096) < 0) { perror(arguments[1]); return 1; }
    int poller = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[256];
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
    int highest = 0;
    while (1) {
        int waits = idle > 0;
        for (int i = 0; i <= highest && !waits; i++) waits = connections[i] && connections[i]->waiting;
        int n = epoll_wait(poller, events, 256, waits ? 1 : 1000);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd != listener) { if (connections[fd]->open) readable(fd); continue; }
            while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
                if (fd >= MOST) { close(fd); continue; }
                if (fd > highest) highest = fd;
                if (!connections[fd] && !(connections[fd] = malloc(sizeof *connections[fd]))) { close(fd); continue; }
                memset(connections[fd], 0, offsetof(struct connection, buffer));
                connections[fd]->open = 1;
                connections[fd]->used = now();
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                event = (struct epoll_event){.events = EPOLLIN | EPOLLRDHUP, .data.fd = fd};
                epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
                accepted++;
            }
        }
        uint64_t t = now();
        for (int fd = 0; fd <= highest; fd++) {
            struct connection *c = connections[fd];
            if (!c || !c->open) continue;
            if (c->waiting && c->due <= t) {
                finish(fd);
                if (c->open) advance(fd);
            } else if (idle > 0 && !c->waiting && c->have == 0 && c->body_left == 0 && t - c->used > (uint64_t)idle * 1000000u) {
                drop(fd, 0);
            }
        }
    }
}
