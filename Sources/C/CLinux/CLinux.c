#define _GNU_SOURCE
#include "CLinux.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static int answer(int result) { return result < 0 ? -errno : result; }

int clinux_epoll_create(void) { return answer(epoll_create1(EPOLL_CLOEXEC)); }

static int control(int epoll, int operation, int fd, uint32_t events, uint64_t data) {
    struct epoll_event event = {.events = events, .data.u64 = data};
    return answer(epoll_ctl(epoll, operation, fd, &event));
}

int clinux_epoll_add(int epoll, int fd, uint32_t events, uint64_t data) { return control(epoll, EPOLL_CTL_ADD, fd, events, data); }
int clinux_epoll_modify(int epoll, int fd, uint32_t events, uint64_t data) { return control(epoll, EPOLL_CTL_MOD, fd, events, data); }
int clinux_epoll_remove(int epoll, int fd) { return control(epoll, EPOLL_CTL_DEL, fd, 0, 0); }

int clinux_epoll_wait(int epoll, struct epoll_event *events, int capacity, int timeout_ms) {
    int n = epoll_wait(epoll, events, capacity, timeout_ms);
    return n < 0 ? (errno == EINTR ? 0 : -errno) : n;
}

int clinux_eventfd(void) { return answer(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)); }

void clinux_eventfd_signal(int fd) {
    uint64_t one = 1;
    while (write(fd, &one, sizeof one) < 0 && errno == EINTR) {}
}

void clinux_eventfd_clear(int fd) {
    uint64_t count;
    while (read(fd, &count, sizeof count) < 0 && errno == EINTR) {}
}

static socklen_t encode(const struct clinux_address *from, struct sockaddr_storage *to) {
    memset(to, 0, sizeof *to);
    if (from->family == 1) {
        struct sockaddr_un *un = (struct sockaddr_un *)to;
        un->sun_family = AF_UNIX;
        strncpy(un->sun_path, from->path, sizeof un->sun_path - 1);
        return (socklen_t)sizeof *un;
    }
    if (from->family == 4) {
        struct sockaddr_in *in = (struct sockaddr_in *)to;
        in->sin_family = AF_INET;
        in->sin_port = htons(from->port);
        in->sin_addr.s_addr = htonl((uint32_t)from->low);
        return (socklen_t)sizeof *in;
    }
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)to;
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(from->port);
    in6->sin6_scope_id = from->scope;
    for (int i = 0; i < 8; i++) {
        in6->sin6_addr.s6_addr[i] = (uint8_t)(from->high >> (56 - 8 * i));
        in6->sin6_addr.s6_addr[8 + i] = (uint8_t)(from->low >> (56 - 8 * i));
    }
    return (socklen_t)sizeof *in6;
}

static void decode(const struct sockaddr_storage *from, struct clinux_address *to) {
    to->family = 1;
    to->port = 0;
    to->high = to->low = 0;
    to->scope = 0;
    to->path[0] = 0;
    if (from->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)from;
        to->family = 4;
        to->port = ntohs(in->sin_port);
        to->low = 0x0000ffff00000000u | ntohl(in->sin_addr.s_addr);
    } else if (from->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)from;
        to->family = 6;
        to->port = ntohs(in6->sin6_port);
        to->scope = in6->sin6_scope_id;
        for (int i = 0; i < 8; i++) {
            to->high = to->high << 8 | in6->sin6_addr.s6_addr[i];
            to->low = to->low << 8 | in6->sin6_addr.s6_addr[8 + i];
        }
    } else if (from->ss_family == AF_UNIX) {
        const struct sockaddr_un *un = (const struct sockaddr_un *)from;
        strncpy(to->path, un->sun_path, sizeof to->path - 1);
        to->path[sizeof to->path - 1] = 0;
    }
}

static int family(const struct clinux_address *address) {
    return address->family == 1 ? AF_UNIX : address->family == 4 ? AF_INET : AF_INET6;
}

int clinux_listen(const struct clinux_address *address, int backlog, int reuse_port, mode_t mode) {
    int on = 1;
    int fd = socket(family(address), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    struct sockaddr_storage storage;
    socklen_t length = encode(address, &storage);
    if (address->family != 1) {
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (reuse_port) setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
        /* Linux hands TCP_NODELAY on to each accepted connection. */
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (address->family == 6) {
            /* "[::]" serves IPv4 too; any other address is IPv6 only. */
            int only = address->high != 0 || address->low != 0;
            setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only);
        }
    } else {
        /* A socket file that nobody listens on is left over from a crash; one that answers is in use. */
        int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (probe < 0) {
            int error = errno;
            close(fd);
            return -error;
        }
        {
            if (connect(probe, (struct sockaddr *)&storage, length) < 0 && errno == ECONNREFUSED) clinux_unlink(address->path);
            close(probe);
        }
        /* Before bind, so that the file never stands there with another mode. */
        fchmod(fd, mode);
    }
    if (bind(fd, (struct sockaddr *)&storage, length) < 0 || listen(fd, backlog) < 0) {
        int error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

int clinux_accept(int listener, struct clinux_address *peer) {
    struct sockaddr_storage storage;
    socklen_t length = sizeof storage;
    storage.ss_family = AF_UNSPEC;
    int fd = accept4(listener, (struct sockaddr *)&storage, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return -errno;
    decode(&storage, peer);
    return fd;
}

int clinux_connect(const struct clinux_address *address) {
    int fd = socket(family(address), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    struct sockaddr_storage storage;
    socklen_t length = encode(address, &storage);
    if (address->family != 1) {
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    if (connect(fd, (struct sockaddr *)&storage, length) < 0 && errno != EINPROGRESS) {
        int error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

int clinux_connect_datagram(const struct clinux_address *address) {
    int fd = socket(family(address), SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    struct sockaddr_storage storage;
    socklen_t length = encode(address, &storage);
    if (connect(fd, (struct sockaddr *)&storage, length) < 0) {
        int error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

int clinux_socket_error(int fd) {
    int error = 0;
    socklen_t length = sizeof error;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0) return errno;
    return error;
}

int clinux_local_address(int fd, struct clinux_address *address) {
    struct sockaddr_storage storage;
    socklen_t length = sizeof storage;
    if (getsockname(fd, (struct sockaddr *)&storage, &length) < 0) return -errno;
    decode(&storage, address);
    return 0;
}

/* Only a socket: the path may be a mistake, and name something that somebody needs. */
void clinux_unlink(const char *path) {
    struct stat found;
    if (lstat(path, &found) == 0 && S_ISSOCK(found.st_mode)) unlink(path);
}

int clinux_duplicate(int fd) { return answer(fcntl(fd, F_DUPFD_CLOEXEC, 0)); }

/* Not the C library's functions: those are cancellation points, and pay for it at each call in a process with threads. */
ssize_t clinux_recv(int fd, void *to, size_t count) {
    ssize_t n;
    do n = syscall(SYS_recvfrom, fd, to, count, 0, NULL, NULL); while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

ssize_t clinux_send(int fd, const void *from, size_t count) {
    ssize_t n;
    do n = syscall(SYS_sendto, fd, from, count, MSG_NOSIGNAL, NULL, 0); while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

ssize_t clinux_send2(int fd, const void *first, size_t first_count, const void *second, size_t second_count) {
    struct iovec pieces[2] = {{(void *)first, first_count}, {(void *)second, second_count}};
    struct msghdr message = {.msg_iov = pieces, .msg_iovlen = 2};
    ssize_t n;
    do n = syscall(SYS_sendmsg, fd, &message, MSG_NOSIGNAL); while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

int clinux_shutdown_write(int fd) { return answer(shutdown(fd, SHUT_WR)); }

void clinux_close(int fd, int reset) {
    if (reset) {
        struct linger now = {.l_onoff = 1, .l_linger = 0};
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    }
    close(fd);
}

const char *clinux_error_text(int error) { return strerrordesc_np(error); }

static uint64_t clock_ns(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t clinux_monotonic_ns(void) { return clock_ns(CLOCK_MONOTONIC); }
uint64_t clinux_realtime_ns(void) { return clock_ns(CLOCK_REALTIME); }
uint64_t clinux_thread_cpu_ns(void) { return clock_ns(CLOCK_THREAD_CPUTIME_ID); }

void clinux_random(void *to, size_t count) {
    unsigned char *at = to;
    while (count > 0) {
        ssize_t n = getrandom(at, count, 0);
        if (n < 0) {
            if (errno == EINTR) continue;
            abort();
        }
        at += n;
        count -= (size_t)n;
    }
}

int clinux_raise_descriptor_limit(uint64_t *limit) {
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) < 0) return -errno;
    if (r.rlim_cur < r.rlim_max) {
        r.rlim_cur = r.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &r) < 0 && getrlimit(RLIMIT_NOFILE, &r) < 0) return -errno;
    }
    *limit = r.rlim_cur;
    return 0;
}

void clinux_name_thread(const char *name) { pthread_setname_np(pthread_self(), name); }

int clinux_signal_descriptor(void) {
    sigset_t set;
    sigemptyset(&set);
    int handled[] = {SIGHUP, SIGTERM, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGPIPE, SIGWINCH};
    for (size_t i = 0; i < sizeof handled / sizeof *handled; i++) sigaddset(&set, handled[i]);
    /* Whoever started us may have ignored it, and then the end of a child could not be asked for. */
    signal(SIGCHLD, SIG_DFL);
    int error = pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (error) return -error;
    sigdelset(&set, SIGPIPE);
    return answer(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
}

int clinux_next_signal(int fd) {
    struct signalfd_siginfo info;
    ssize_t n;
    do n = read(fd, &info, sizeof info); while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof info ? (int)info.ssi_signo : 0;
}

int clinux_resolve(const char *host, uint16_t port, struct clinux_address *addresses, int capacity) {
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int error = getaddrinfo(host, NULL, &hints, &found);
    if (error) return error < 0 ? error : -error;
    int n = 0;
    for (struct addrinfo *a = found; a && n < capacity; a = a->ai_next) {
        struct sockaddr_storage storage;
        if (a->ai_addrlen > sizeof storage) continue;
        memcpy(&storage, a->ai_addr, a->ai_addrlen);
        decode(&storage, &addresses[n]);
        addresses[n].port = port;
        n++;
    }
    freeaddrinfo(found);
    return n;
}

const char *clinux_resolve_error(int code) { return gai_strerror(code); }

int clinux_open_log(const char *path) {
    int flags = O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    int fd;
    do fd = open(path, O_WRONLY | flags, 0640); while (fd < 0 && errno == EINTR);
    if (fd < 0 && errno == ENXIO) {
        /* A FIFO without a reader. Opened for reading as well, it holds what is written until one comes. */
        struct stat found;
        if (stat(path, &found) < 0 || !S_ISFIFO(found.st_mode)) return -ENXIO;
        do fd = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK); while (fd < 0 && errno == EINTR);
    }
    return fd < 0 ? -errno : fd;
}
